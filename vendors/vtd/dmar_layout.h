// SPDX-License-Identifier: Apache-2.0
//
// Layout of the DMAR table (manual chapter 8): byte offsets of the fields that a parser or a
// builder of remapping-unit coverage needs. Every structure begins with its type and length, 16
// bits each.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::vtd::dmar {

namespace header {  // ACPI's own, then 8.1
inline constexpr std::size_t kSignature = 0;
inline constexpr std::size_t kLength = 4;
inline constexpr std::size_t kRevision = 8;
inline constexpr std::size_t kChecksum = 9;
inline constexpr std::size_t kOemId = 10;
inline constexpr std::size_t kOemTableId = 16;
inline constexpr std::size_t kOemRevision = 24;
inline constexpr std::size_t kCreatorId = 28;
inline constexpr std::size_t kCreatorRevision = 32;
inline constexpr std::size_t kHostAddressWidth = 36;  // bits - 1
inline constexpr std::size_t kFlags = 37;
inline constexpr Bit<0> kInterruptRemapping{"INTR_REMAP", "interrupt remapping", "8.1"};
inline constexpr std::size_t kBytes = 48;
}  // namespace header

namespace structure {  // 8.2
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kLength = 2;
inline constexpr std::size_t kBytes = 4;
}  // namespace structure

namespace drhd {  // 8.3
inline constexpr std::uint16_t kType = 0;
inline constexpr std::size_t kFlags = 4;
inline constexpr Bit<0> kIncludePciAll{"INCLUDE_PCI_ALL", "all other devices", "8.3"};
inline constexpr std::size_t kSize = 5;  // of the register set: 2^N pages
inline constexpr std::size_t kSegment = 6;
inline constexpr std::size_t kBase = 8;
inline constexpr std::size_t kBytes = 16;
}  // namespace drhd

namespace scope {  // 8.3.1
inline constexpr std::size_t kType = 0;
inline constexpr std::uint8_t kEndpoint = 1;
inline constexpr std::uint8_t kSubHierarchy = 2;
inline constexpr std::uint8_t kIoApic = 3;
inline constexpr std::uint8_t kHpet = 4;
inline constexpr std::uint8_t kNamespaceDevice = 5;
inline constexpr std::size_t kLength = 1;
inline constexpr std::size_t kStartBus = 5;
inline constexpr std::size_t kPath = 6;
inline constexpr std::size_t kStepBytes = 2;
inline constexpr unsigned kDevices = 32;
inline constexpr unsigned kFunctions = 8;
}  // namespace scope

}  // namespace weir::vtd::dmar
