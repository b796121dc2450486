// SPDX-License-Identifier: Apache-2.0
//
// Takes the fields of one line apart from left to right, and remembers the first thing that was not
// as expected: after that every step is a no-op, so a caller writes the whole line down as a chain
// and asks once. For one thread; the line must outlive the scan. Never allocates unless asked for
// the cause, and never accepts half a number: what follows a number must be matched too.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace weir::replay {

class FieldScan {
 public:
  // Columns in causes count from 1 in `line`; the scan starts at byte `begin` of it.
  FieldScan(std::string_view line, std::size_t begin) : line_(line), at_(begin) {}

  FieldScan& lit(std::string_view text);  // exactly this
  template <std::unsigned_integral T>
  FieldScan& hex(T& out) {  // 0x and hexadecimal digits
    return hex_prefix() ? number(out, 16) : *this;
  }
  template <std::unsigned_integral T>
  FieldScan& bare_hex(T& out) {  // hexadecimal digits without 0x
    return number(out, 16);
  }
  template <std::unsigned_integral T>
  FieldScan& dec(T& out) {
    return number(out, 10);
  }
  FieldScan& flag(bool& out);                                 // 0 or 1
  FieldScan& word(std::string_view& out, char end = ' ');     // up to `end` or the end of line
  FieldScan& bdf(Requester& out);                             // BB:DD.F or BB:DD.FF, hexadecimal
  FieldScan& rest(std::string_view& out);                     // all that remains
  FieldScan& end();                                           // nothing but spaces remains
  FieldScan& check(bool good, std::string_view expectation);  // fails here unless `good`

  [[nodiscard]] bool ok() const { return expected_.empty(); }
  // Whether `text` comes next; never fails.
  [[nodiscard]] bool peek(std::string_view text) const {
    return ok() && line_.substr(at_).starts_with(text);
  }
  [[nodiscard]] bool at_end() const { return at_ == line_.size(); }

  // REQUIRES: !ok(). "column 7: expected a decimal number, found "abc"".
  [[nodiscard]] std::string cause() const;

 private:
  template <std::unsigned_integral T>
  FieldScan& number(T& out, int base) {
    if (!ok()) {
      return *this;
    }
    const char* const first = line_.data() + at_;
    const auto [stop, error] = std::from_chars(first, line_.data() + line_.size(), out, base);
    if (error == std::errc::invalid_argument) {
      return fail(base == 16 ? "a hexadecimal number" : "a decimal number");
    }
    if (error == std::errc::result_out_of_range) {
      return fail(sizeof(T) == 8   ? "a number of at most 64 bits"
                  : sizeof(T) == 4 ? "a number of at most 32 bits"
                  : sizeof(T) == 2 ? "a number of at most 16 bits"
                                   : "a number of at most 8 bits");
    }
    at_ += static_cast<std::size_t>(stop - first);
    return *this;
  }
  [[nodiscard]] bool hex_prefix();
  FieldScan& fail(std::string_view expected, bool is_text = false) {
    expected_ = expected;
    expected_is_text_ = is_text;
    return *this;
  }

  std::string_view line_;
  std::size_t at_;
  std::string_view expected_;  // static text or the caller's literal
  bool expected_is_text_ = false;
};

}  // namespace weir::replay
