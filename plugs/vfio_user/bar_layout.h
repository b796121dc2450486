// SPDX-License-Identifier: Apache-2.0
//
// Where SeaBIOS puts the memory BARs of a machine's root bus, so that a firmware table can name a
// unit's registers before the machine has been started. Observed with QEMU's q35 and SeaBIOS 1.16:
// the largest first, those of one size in the order of their functions and BARs, packed without
// gaps so that the end comes as near to FEC00000h as the largest one's alignment allows.
//
// Whether it was right shows when the firmware has placed them (WindowFunction::Options::placed).
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::vfio_user {

// The AHCI controller that every q35 has at 00:1f.2: BAR 5, behind all of 00:00 to 00:1e.
inline constexpr std::uint64_t kQ35AhciBarBytes = 0x1000;

// The address of `sizes[which]`. REQUIRES: sizes in the order of functions and BARs, 32-bit memory,
// not prefetchable, each a power of two of at least 4 KiB, together less than 1 GiB.
[[nodiscard]] std::uint64_t bar_address(std::span<const std::uint64_t> sizes, std::size_t which);

}  // namespace weir::vfio_user
