// SPDX-License-Identifier: Apache-2.0
//
// Layout of the VIOT (ACPI 6.5, 5.2.34): byte offsets. Every node begins with its type and, after a
// reserved byte, its length.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::virtio_iommu::viot {

namespace header {  // after ACPI's own
inline constexpr std::size_t kNodeCount = 36;
inline constexpr std::size_t kNodeOffset = 38;
inline constexpr std::size_t kReserved = 40;
inline constexpr std::size_t kBytes = 48;
}  // namespace header

namespace node {
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kReserved = 1;
inline constexpr std::size_t kLength = 2;
inline constexpr std::size_t kHeadBytes = 4;
inline constexpr std::uint8_t kPciRange = 1;
inline constexpr std::uint8_t kMmioEndpoint = 2;
inline constexpr std::uint8_t kPciUnit = 3;
inline constexpr std::uint8_t kMmioUnit = 4;
}  // namespace node

namespace pci_range {
inline constexpr std::size_t kEndpointStart = 4;
inline constexpr std::size_t kSegmentStart = 8;
inline constexpr std::size_t kSegmentEnd = 10;
inline constexpr std::size_t kBdfStart = 12;
inline constexpr std::size_t kBdfEnd = 14;
inline constexpr std::size_t kOutputNode = 16;  // offset of the unit's node in the table
inline constexpr std::size_t kReserved = 18;    // six bytes
}  // namespace pci_range

namespace mmio_endpoint {
inline constexpr std::size_t kEndpoint = 4;
inline constexpr std::size_t kBase = 8;
inline constexpr std::size_t kOutputNode = 16;
inline constexpr std::size_t kReserved = 18;  // six bytes
}  // namespace mmio_endpoint

namespace pci_unit {
inline constexpr std::size_t kSegment = 4;
inline constexpr std::size_t kBdf = 6;
inline constexpr std::size_t kReserved = 8;
}  // namespace pci_unit

namespace mmio_unit {
inline constexpr std::size_t kReserved = 4;
inline constexpr std::size_t kBase = 8;
}  // namespace mmio_unit

// weir's own: how a unit that is a PCI function is named where others are named by an address.
namespace pci_name {
inline constexpr Bit<63> kIsPci{"PCI"};
inline constexpr Field<31, 16> kSegment{"segment"};
inline constexpr Field<15, 0> kBdf{"function"};
inline constexpr auto kLayout = layout<64>(kIsPci, kSegment, kBdf);
}  // namespace pci_name

}  // namespace weir::virtio_iommu::viot
