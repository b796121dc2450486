// SPDX-License-Identifier: Apache-2.0
#include "replay/line_reader.h"

#include <cstring>
#include <utility>

namespace weir::replay {
namespace {

// Room for the longest line and its break, and enough beyond that few lines are moved.
constexpr std::size_t kBufferSize = 4 * kMaxLine;

}  // namespace

LineReader::LineReader(std::string file, ByteSource source)
    : file_(std::move(file)), source_(std::move(source)), buffer_(kBufferSize) {}

Result<LineReader, TraceError> LineReader::open(std::string path) {
  auto source = ByteSource::open(path);
  if (!source) {
    return failure(path, 0, std::move(source.error()));
  }
  return LineReader(std::move(path), std::move(*source));
}

Result<std::optional<std::string_view>, TraceError> LineReader::next() {
  const std::uint64_t number = line_number_ + 1;
  std::size_t searched = 0;
  for (;;) {
    const char* const line = buffer_.data() + begin_;
    const auto* const newline =
        static_cast<const char*>(std::memchr(line + searched, '\n', end_ - begin_ - searched));
    searched = newline != nullptr ? static_cast<std::size_t>(newline - line) : end_ - begin_;
    if (searched > kMaxLine) {
      return failure(file_, number, "line is longer than " + std::to_string(kMaxLine) + " bytes");
    }
    if (newline != nullptr) {
      line_number_ = number;
      begin_ += searched + 1;
      if (std::memchr(line, '\0', searched) != nullptr) {
        return failure_here("line contains a NUL byte: not a text file");
      }
      return std::optional(std::string_view(line, searched));
    }
    std::memmove(buffer_.data(), line, searched);
    begin_ = 0;
    end_ = searched;
    auto got = source_.read(std::span(buffer_).subspan(end_));
    if (!got) {
      return failure(file_, number, std::move(got.error()));
    }
    if (*got == 0) {
      if (searched != 0) {
        return failure(file_, number, "line has no end: the file is cut off here");
      }
      return std::optional<std::string_view>();
    }
    end_ += *got;
  }
}

}  // namespace weir::replay
