// SPDX-License-Identifier: Apache-2.0
#include "replay/field_scan.h"

#include <algorithm>

#include "replay/trace_error.h"

namespace weir::replay {

FieldScan& FieldScan::lit(std::string_view text) {
  if (!ok()) {
    return *this;
  }
  if (!peek(text)) {
    return fail(text, true);
  }
  at_ += text.size();
  return *this;
}

bool FieldScan::hex_prefix() {
  if (!ok()) {
    return false;
  }
  if (!peek("0x")) {
    fail("a hexadecimal number with 0x");
    return false;
  }
  at_ += 2;
  return true;
}

FieldScan& FieldScan::flag(bool& out) {
  if (!ok()) {
    return *this;
  }
  if (!peek("0") && !peek("1")) {
    return fail("0 or 1");
  }
  out = line_[at_++] == '1';
  return *this;
}

FieldScan& FieldScan::word(std::string_view& out, char end) {
  if (!ok()) {
    return *this;
  }
  const std::size_t stop = std::min(line_.find(end, at_), line_.size());
  if (stop == at_) {
    return fail("a word");
  }
  out = line_.substr(at_, stop - at_);
  at_ = stop;
  return *this;
}

FieldScan& FieldScan::bdf(Requester& out) {
  unsigned bus = 0;
  unsigned device = 0;
  unsigned function = 0;
  const std::size_t begin = at_;
  bare_hex(bus).lit(":").bare_hex(device).lit(".").bare_hex(function);
  if (ok() && (bus > 0xff || device > 0x1f || function > 7)) {
    at_ = begin;
    return fail("a PCI function BB:DD.F");
  }
  out = Requester::from_bdf(bus, device, function, out.segment);
  return *this;
}

FieldScan& FieldScan::rest(std::string_view& out) {
  if (ok()) {
    out = line_.substr(at_);
    at_ = line_.size();
  }
  return *this;
}

FieldScan& FieldScan::end() {
  if (ok()) {
    const std::size_t stop = line_.find_first_not_of(' ', at_);
    if (stop != std::string_view::npos) {
      at_ = stop;
      return fail("the end of the line");
    }
    at_ = line_.size();
  }
  return *this;
}

FieldScan& FieldScan::check(bool good, std::string_view expectation) {
  return ok() && !good ? fail(expectation) : *this;
}

std::string FieldScan::cause() const {
  std::string out = "column " + std::to_string(at_ + 1) + ": expected ";
  out += expected_is_text_ ? in_quotes(expected_) : std::string(expected_);
  out += at_ < line_.size() ? ", found " + in_quotes(line_.substr(at_))
                            : ", found the end of the line";
  return out;
}

}  // namespace weir::replay
