// SPDX-License-Identifier: Apache-2.0
#include "replay/trace_error.h"

namespace weir::replay {
namespace {

constexpr std::size_t kQuotedLimit = 60;

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 0xf];
    } else {
      out += c;
    }
  }
}

}  // namespace

std::string TraceError::to_string() const {
  std::string out;
  append_escaped(out, file);
  out += ':';
  if (line != 0) {
    out += std::to_string(line);
    out += ':';
  }
  out += ' ';
  out += cause;
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  append_escaped(out, text.substr(0, kQuotedLimit));
  if (text.size() > kQuotedLimit) {
    out += "...";
  }
  out += '"';
  return out;
}

}  // namespace weir::replay
