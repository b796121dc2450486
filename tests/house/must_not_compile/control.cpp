// SPDX-License-Identifier: Apache-2.0
//
// The other files' statements, written as they should be.
// expect-success
#include "base/address.h"

weir::Gpa from_number(weir::Iova iova) { return weir::Gpa(iova.value()); }

weir::Iova written_out() {
  weir::Iova iova = weir::Iova(5);
  return iova;
}

bool same(weir::Gpa a, weir::Gpa b) { return a == b; }

std::uint64_t land(weir::Hpa hpa);
std::uint64_t through_the_right_type(weir::Hpa hpa) { return land(hpa); }

std::uint64_t out(weir::Ipa ipa) { return ipa.value(); }
