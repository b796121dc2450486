// SPDX-License-Identifier: Apache-2.0
//
// Layout of the DMAR table (manual chapter 8): byte offsets. Every structure begins with its type
// and length, 16 bits each; every device scope with its own, 8 bits each.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::vtd::dmar {

namespace header {                                    // after ACPI's own: 8.1
inline constexpr std::size_t kHostAddressWidth = 36;  // bits - 1
inline constexpr std::size_t kFlags = 37;
inline constexpr Bit<0> kInterruptRemapping{"INTR_REMAP", "interrupt remapping", "8.1"};
inline constexpr Bit<1> kX2apicOptOut{"X2APIC_OPT_OUT", "please no x2APIC mode", "8.1"};
inline constexpr Bit<2> kPlatformOptIn{"DMA_CTRL_PLATFORM_OPT_IN", "no DMA before the OS", "8.1"};
inline constexpr std::size_t kReserved = 38;
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
inline constexpr std::size_t kSize = 5;
inline constexpr Field<3, 0> kPagesLg2{"SIZE", "of the register set: 2^N pages", "8.3"};
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
inline constexpr std::size_t kFlags = 2;  // of SATC and SIDP; elsewhere reserved
inline constexpr std::size_t kReserved = 3;
inline constexpr std::size_t kEnumeration = 4;  // I/O APIC id, HPET number, number of an ANDD
inline constexpr std::size_t kStartBus = 5;
inline constexpr std::size_t kPath = 6;
inline constexpr std::size_t kStepBytes = 2;
inline constexpr unsigned kDevices = 32;
inline constexpr unsigned kFunctions = 8;
}  // namespace scope

namespace rmrr {  // 8.4
inline constexpr std::uint16_t kType = 1;
inline constexpr std::size_t kReserved = 4;
inline constexpr std::size_t kSegment = 6;
inline constexpr std::size_t kBase = 8;
inline constexpr std::size_t kLimit = 16;  // last byte
}  // namespace rmrr

namespace atsr {  // 8.5
inline constexpr std::uint16_t kType = 2;
inline constexpr std::size_t kFlags = 4;
inline constexpr Bit<0> kAllPorts{"ALL_PORTS", "every root port of the segment", "8.5"};
inline constexpr std::size_t kReserved = 5;
inline constexpr std::size_t kSegment = 6;
}  // namespace atsr

namespace rhsa {  // 8.6
inline constexpr std::uint16_t kType = 3;
inline constexpr std::size_t kReserved = 4;
inline constexpr std::size_t kBase = 8;
inline constexpr std::size_t kProximity = 16;
}  // namespace rhsa

namespace andd {  // 8.7
inline constexpr std::uint16_t kType = 4;
inline constexpr std::size_t kReserved = 4;  // three bytes
inline constexpr std::size_t kNumber = 7;
inline constexpr std::size_t kName = 8;
}  // namespace andd

namespace satc {  // 8.8
inline constexpr std::uint16_t kType = 5;
inline constexpr std::size_t kFlags = 4;
inline constexpr Bit<0> kRequired{"ATC_REQUIRED", "must have ATS enabled to work", "8.8"};
inline constexpr std::size_t kReserved = 5;
inline constexpr std::size_t kSegment = 6;
}  // namespace satc

namespace sidp {  // 8.9
inline constexpr std::uint16_t kType = 6;
inline constexpr std::size_t kReserved = 4;
inline constexpr std::size_t kSegment = 6;
}  // namespace sidp

}  // namespace weir::vtd::dmar
