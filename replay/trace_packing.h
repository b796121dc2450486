// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a trace on their way to and from a file: a magic and a version as they are, all
// behind them as one zstd stream. PackedOutput writes as it goes and holds no more than a buffer;
// PackedInput gives zstd no more than 8 MiB, whatever the file asks for, and unpacks xz around it
// on the way.
//
// For one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::replay {

class PackedOutput {
 public:
  // Makes the file anew. The failure is the cause alone.
  [[nodiscard]] static Result<PackedOutput, std::string> create(const std::string& path);
  PackedOutput(PackedOutput&&) noexcept;
  PackedOutput& operator=(PackedOutput&&) noexcept;
  ~PackedOutput();  // without close(): what is on disk then has no end

  // After a failure nothing is written any more, and close() says why.
  void write(std::span<const std::uint8_t> bytes);
  // What was written so far can be unpacked by whoever looks now.
  void flush();
  [[nodiscard]] Result<Done, std::string> close();

 private:
  struct State;
  explicit PackedOutput(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Whether the file, unpacked from xz if need be, begins like a trace of weir's own. A file that
// cannot be read does not.
[[nodiscard]] bool is_packed_trace(const std::string& path);

class PackedInput {
 public:
  // Refuses what is no trace, or one of another version.
  [[nodiscard]] static Result<PackedInput, std::string> open(const std::string& path);
  PackedInput(PackedInput&&) noexcept;
  PackedInput& operator=(PackedInput&&) noexcept;
  ~PackedInput();

  // Up to out.size() bytes; 0 at the end.
  [[nodiscard]] Result<std::size_t, std::string> read(std::span<std::uint8_t> out);
  [[nodiscard]] double part_read() const;

 private:
  struct State;
  explicit PackedInput(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::replay
