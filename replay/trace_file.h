// SPDX-License-Identifier: Apache-2.0
//
// Writes and reads weir's own traces, record by record (docs/trace-format.md): one place for what
// each record looks like. A file without its end record is not a whole trace, and no reader takes
// it for one; a writer that is destroyed without finish() leaves such a file.
//
// For one thread at a time. A hostile file costs a reader bounded memory (trace_limits) and gives
// one TraceError that names the place.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "base/result.h"
#include "replay/binary_trace.h"
#include "replay/trace_error.h"

namespace weir::replay {

class TraceWriter {
 public:
  [[nodiscard]] static Result<TraceWriter, TraceError> create(const std::string& path);
  TraceWriter(TraceWriter&&) noexcept;
  TraceWriter& operator=(TraceWriter&&) noexcept;
  ~TraceWriter();

  void write(const TraceMachine& machine);
  void write(const TraceTable& table);
  void write(const TraceUnit& unit);
  void write(const TraceMemory& memory);
  void write(const TraceOperation& operation);
  // Makes what was written so far readable, should the process end.
  void flush();
  // Writes the end. The failure is the first that any write met.
  [[nodiscard]] Result<Done, TraceError> finish(
      const std::map<std::string, std::uint64_t>& books);

 private:
  struct State;
  explicit TraceWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

using TraceRecord =
    std::variant<TraceMachine, TraceTable, TraceUnit, TraceMemory, TraceOperation, TraceEnd>;

class TraceReader {
 public:
  [[nodiscard]] static Result<TraceReader, TraceError> open(const std::string& path);
  TraceReader(TraceReader&&) noexcept;
  TraceReader& operator=(TraceReader&&) noexcept;
  ~TraceReader();

  // Reads the next record into `record`. False: the end came before, and nothing follows it.
  [[nodiscard]] Result<bool, TraceError> next(TraceRecord& record);

  // An error at the record that was read last.
  [[nodiscard]] Failure<TraceError> failure_here(std::string cause) const;
  [[nodiscard]] std::uint64_t operations() const;
  [[nodiscard]] double part_read() const;

 private:
  struct State;
  explicit TraceReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
