// SPDX-License-Identifier: Apache-2.0
//
// The addresses that are interrupts and never memory (manual 3.14, 3.15). Constexpr values.
#pragma once

#include "base/address.h"

namespace weir::vtd {

inline constexpr AddressRange<Gpa> kInterruptRange{Gpa(0xfee00000), Gpa(0xfeefffff)};

}  // namespace weir::vtd
