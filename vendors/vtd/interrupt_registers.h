// SPDX-License-Identifier: Apache-2.0
//
// Layout of the register that names the interrupt-remapping table (manual 10.4.30).
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include "vendors/vtd/capability_registers.h"

namespace weir::vtd::reg::irta {

inline constexpr Field<63, 12> kTable{"IRTA", "interrupt-remapping table address", "10.4.30"};
inline constexpr Bit<11> kExtended{"EIME", "extended interrupt mode enable", "10.4.30"};
inline constexpr Field<3, 0> kSize{"S", "entries: 2^(S+1)", "10.4.30"};
inline constexpr auto kLayout = layout<64>(kTable, kExtended, kSize);
inline constexpr Register kRegister{.offset = 0xb8,
                                    .bits = 64,
                                    .mnemonic = "IRTA_REG",
                                    .name = "interrupt-remapping table address",
                                    .section = "10.4.30",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};

}  // namespace weir::vtd::reg::irta
