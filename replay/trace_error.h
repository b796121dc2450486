// SPDX-License-Identifier: Apache-2.0
//
// Why a trace or a table dump could not be read: a value, one line when printed. Every reader of
// this room returns it; nothing here throws, prints or exits.
//
// Pure values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::replay {

struct TraceError {
  std::string file;
  std::uint64_t line = 0;  // counted from 1; 0 where the file as a whole, or a binary one, is meant
  std::string cause;

  // `file:line: cause`, or `file: cause` when there is no line. Never contains a line break.
  [[nodiscard]] std::string to_string() const;
};

// `text` between double quotes, control and non-ASCII bytes as \xNN, cut after 60 bytes with an
// ellipsis: what a hostile file may put into a message.
[[nodiscard]] std::string in_quotes(std::string_view text);

[[nodiscard]] inline Failure<TraceError> failure(std::string_view file, std::uint64_t line,
                                                 std::string cause) {
  return Failure{TraceError{std::string(file), line, std::move(cause)}};
}

}  // namespace weir::replay
