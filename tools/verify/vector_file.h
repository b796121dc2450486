// SPDX-License-Identifier: Apache-2.0
//
// A file of test vectors (JSON lines, plain or xz): one header, then one case a line, read as they
// are asked for. What the header and the cases mean beyond format, version and mode is the business
// of the machine that carries them out.
//
// For one thread. Every failure is a value that names file, line and cause in one line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "replay/trace_error.h"
#include "tools/verify/fields.h"

namespace weir::verify {

using replay::TraceError;

class VectorFile {
 public:
  // Reads the header as well.
  [[nodiscard]] static Result<VectorFile, TraceError> open(std::string path);

  VectorFile(VectorFile&&) noexcept;
  VectorFile& operator=(VectorFile&&) noexcept;
  ~VectorFile();

  [[nodiscard]] const std::string& path() const;
  [[nodiscard]] const std::string& mode() const;
  // How many cases the file was made with; it may hold fewer, never more.
  [[nodiscard]] std::uint64_t announced_cases() const;
  [[nodiscard]] Fields header();

  // Goes on to the next case; false at the end of the file. A file without any is a failure.
  [[nodiscard]] Result<bool, TraceError> next_case();
  [[nodiscard]] Fields current();
  [[nodiscard]] std::uint64_t case_number() const;

  // A failure at the line read last, with what a Fields of it complained about or with `cause`.
  [[nodiscard]] bool has_problem() const;
  [[nodiscard]] Failure<TraceError> problem() const;
  [[nodiscard]] Failure<TraceError> failure_here(std::string cause) const;

 private:
  struct State;
  explicit VectorFile(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace weir::verify
