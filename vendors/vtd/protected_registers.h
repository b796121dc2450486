// SPDX-License-Identifier: Apache-2.0
//
// Layout of the protected memory registers (manual 10.4.16 to 10.4.20). Regions are aligned to
// 2 MiB; a limit names the last block of that size.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include "vendors/vtd/capability_registers.h"

namespace weir::vtd::reg {

namespace pmen {
inline constexpr Bit<31> kEnable{"EPM", "enable protected memory", "10.4.16"};
inline constexpr Bit<0> kStatus{"PRS", "protected region status", "10.4.16"};
inline constexpr auto kLayout = layout<32>(kEnable, kStatus);
inline constexpr Register kRegister{.offset = 0x64,
                                    .bits = 32,
                                    .mnemonic = "PMEN_REG",
                                    .name = "protected memory enable",
                                    .section = "10.4.16",
                                    .layout = kLayout,
                                    .writable = kEnable.kMask};
}  // namespace pmen

namespace protected_region {
inline constexpr Field<31, 21> kLow{"PLMB/PLML", "low region", "10.4.17"};
inline constexpr Field<63, 21> kHigh{"PHMB/PHML", "high region", "10.4.19"};
inline constexpr Field<20, 0> kInside{"2 MiB"};
inline constexpr auto kLowLayout = layout<32>(kLow);
inline constexpr auto kHighLayout = layout<64>(kHigh);
}  // namespace protected_region
inline constexpr Register kPlmbase{.offset = 0x68,
                                   .bits = 32,
                                   .mnemonic = "PLMBASE_REG",
                                   .name = "protected low memory base",
                                   .section = "10.4.17",
                                   .layout = protected_region::kLowLayout,
                                   .writable = protected_region::kLowLayout.defined};
inline constexpr Register kPlmlimit{.offset = 0x6c,
                                    .bits = 32,
                                    .mnemonic = "PLMLIMIT_REG",
                                    .name = "protected low memory limit",
                                    .section = "10.4.18",
                                    .layout = protected_region::kLowLayout,
                                    .writable = protected_region::kLowLayout.defined};
inline constexpr Register kPhmbase{.offset = 0x70,
                                   .bits = 64,
                                   .mnemonic = "PHMBASE_REG",
                                   .name = "protected high memory base",
                                   .section = "10.4.19",
                                   .layout = protected_region::kHighLayout,
                                   .writable = protected_region::kHighLayout.defined};
inline constexpr Register kPhmlimit{.offset = 0x78,
                                    .bits = 64,
                                    .mnemonic = "PHMLIMIT_REG",
                                    .name = "protected high memory limit",
                                    .section = "10.4.20",
                                    .layout = protected_region::kHighLayout,
                                    .writable = protected_region::kHighLayout.defined};

}  // namespace weir::vtd::reg
