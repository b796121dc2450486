// SPDX-License-Identifier: Apache-2.0
//
// The lines of a text file, plain or xz, one at a time. For one thread. Never loads the whole file:
// a line is at most 64 KiB, and a longer one is an error that names it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replay/byte_source.h"
#include "replay/trace_error.h"

namespace weir::replay {

inline constexpr std::size_t kMaxLine = std::size_t{64} << 10;

class LineReader {
 public:
  [[nodiscard]] static Result<LineReader, TraceError> open(std::string path);

  // The next line without its line break, valid until the next call; nullopt at the end. A last
  // line without a line break is a cut-off file, and an error: half a number still looks like one.
  // So is a NUL byte. REQUIRES: no earlier call failed.
  [[nodiscard]] Result<std::optional<std::string_view>, TraceError> next();

  // Number of the line next() gave last, from 1; 0 before the first.
  [[nodiscard]] std::uint64_t line_number() const { return line_number_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  // How far into the file reading has come, 0…1.
  [[nodiscard]] double part_read() const { return source_.part_read(); }

  // An error at the line next() gave last.
  [[nodiscard]] Failure<TraceError> failure_here(std::string cause) const {
    return failure(file_, line_number_, std::move(cause));
  }

 private:
  LineReader(std::string file, ByteSource source);

  std::string file_;
  ByteSource source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // unread bytes are [begin_, end_) of buffer_
  std::size_t end_ = 0;
  std::uint64_t line_number_ = 0;
};

}  // namespace weir::replay
