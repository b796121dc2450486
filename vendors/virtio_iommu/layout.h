// SPDX-License-Identifier: Apache-2.0
//
// Layout of the virtio IOMMU device (virtio 1.4, 5.13): feature bits, configuration space,
// requests, properties, fault reports. Byte offsets; all fields little-endian.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bits.h"

namespace weir::virtio_iommu {

inline constexpr std::uint16_t kDeviceId = 23;     // 5.13.1
inline constexpr std::uint16_t kRequestQueue = 0;  // 5.13.2
inline constexpr std::uint16_t kEventQueue = 1;

namespace feature {  // 5.13.3
inline constexpr Bit<0> kInputRange{"VIRTIO_IOMMU_F_INPUT_RANGE", "input_range is valid"};
inline constexpr Bit<1> kDomainRange{"VIRTIO_IOMMU_F_DOMAIN_RANGE", "domain_range is valid"};
inline constexpr Bit<2> kMapUnmap{"VIRTIO_IOMMU_F_MAP_UNMAP", "MAP and UNMAP requests"};
inline constexpr Bit<3> kBypass{"VIRTIO_IOMMU_F_BYPASS", "unattached endpoints bypass"};
inline constexpr Bit<4> kProbe{"VIRTIO_IOMMU_F_PROBE", "PROBE requests"};
inline constexpr Bit<5> kMmio{"VIRTIO_IOMMU_F_MMIO", "the MMIO flag of MAP"};
inline constexpr Bit<6> kBypassConfig{"VIRTIO_IOMMU_F_BYPASS_CONFIG", "bypass is configurable"};
inline constexpr auto kLayout =
    layout<32>(kInputRange, kDomainRange, kMapUnmap, kBypass, kProbe, kMmio, kBypassConfig);
}  // namespace feature

namespace config {                               // 5.13.4
inline constexpr std::size_t kPageSizeMask = 0;  // 8
inline constexpr std::size_t kInputStart = 8;    // 8
inline constexpr std::size_t kInputEnd = 16;     // 8
inline constexpr std::size_t kDomainStart = 24;  // 4
inline constexpr std::size_t kDomainEnd = 28;    // 4
inline constexpr std::size_t kProbeSize = 32;    // 4
inline constexpr std::size_t kBypass = 36;       // 1
inline constexpr std::size_t kBytes = 40;        // three reserved bytes at its end
inline constexpr Bit<0> kBypassOn{"bypass", "unattached endpoints bypass", "5.13.4"};
}  // namespace config

// Every request: a head to be read, fields to be read, and a tail to be written (5.13.6).
enum class RequestType : std::uint8_t { kAttach = 1, kDetach, kMap, kUnmap, kProbe };

[[nodiscard]] constexpr std::optional<RequestType> decode_type(std::uint8_t type) {
  if (type < 1 || type > 5) return std::nullopt;
  return static_cast<RequestType>(type);
}

enum class Status : std::uint8_t {
  kOk,
  kIoError,
  kUnsupported,
  kDeviceError,
  kInvalid,
  kRange,
  kNoEntry,
  kFault,
  kNoMemory,
};

namespace head {
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kBytes = 4;
}  // namespace head
namespace tail {
inline constexpr std::size_t kStatus = 0;
inline constexpr std::size_t kBytes = 4;
}  // namespace tail

namespace attach {  // 5.13.6.3
inline constexpr std::size_t kDomain = 4;
inline constexpr std::size_t kEndpoint = 8;
inline constexpr std::size_t kFlags = 12;
inline constexpr std::size_t kReserved = 16;
inline constexpr std::size_t kBytes = 20;
inline constexpr Bit<0> kBypass{"VIRTIO_IOMMU_ATTACH_F_BYPASS", "a bypass domain"};
}  // namespace attach

namespace detach {  // 5.13.6.4
inline constexpr std::size_t kDomain = 4;
inline constexpr std::size_t kEndpoint = 8;
inline constexpr std::size_t kBytes = 20;
}  // namespace detach

namespace map {  // 5.13.6.5
inline constexpr std::size_t kDomain = 4;
inline constexpr std::size_t kVirtStart = 8;
inline constexpr std::size_t kVirtEnd = 16;
inline constexpr std::size_t kPhysStart = 24;
inline constexpr std::size_t kFlags = 32;
inline constexpr std::size_t kBytes = 36;
inline constexpr Bit<0> kRead{"VIRTIO_IOMMU_MAP_F_READ", "reads are allowed"};
inline constexpr Bit<1> kWrite{"VIRTIO_IOMMU_MAP_F_WRITE", "writes are allowed"};
inline constexpr Bit<2> kMmio{"VIRTIO_IOMMU_MAP_F_MMIO", "device registers lie behind it"};
inline constexpr auto kLayout = layout<32>(kRead, kWrite, kMmio);
}  // namespace map

namespace unmap {  // 5.13.6.6
inline constexpr std::size_t kDomain = 4;
inline constexpr std::size_t kVirtStart = 8;
inline constexpr std::size_t kVirtEnd = 16;
inline constexpr std::size_t kBytes = 28;
}  // namespace unmap

namespace probe {  // 5.13.6.7
inline constexpr std::size_t kEndpoint = 4;
inline constexpr std::size_t kBytes = 72;
}  // namespace probe

// Properties, one after the other (5.13.6.8).
namespace property {
inline constexpr std::size_t kType = 0;  // 16: type 11:0, reserved 15:12
inline constexpr std::size_t kLength = 2;
inline constexpr std::size_t kHeadBytes = 4;
inline constexpr std::uint16_t kReservedMemory = 1;
namespace reserved_memory {
inline constexpr std::size_t kSubtype = 4;
inline constexpr std::size_t kStart = 8;
inline constexpr std::size_t kEnd = 16;
inline constexpr std::size_t kBytes = 24;
inline constexpr std::uint8_t kSubtypeReserved = 0;
inline constexpr std::uint8_t kSubtypeMsi = 1;
}  // namespace reserved_memory
}  // namespace property

namespace fault {  // 5.13.6.9
inline constexpr std::size_t kReason = 0;
inline constexpr std::size_t kFlags = 4;
inline constexpr std::size_t kEndpoint = 8;
inline constexpr std::size_t kAddress = 16;
inline constexpr std::size_t kBytes = 24;
inline constexpr Bit<0> kRead{"VIRTIO_IOMMU_FAULT_F_READ", "a read"};
inline constexpr Bit<1> kWrite{"VIRTIO_IOMMU_FAULT_F_WRITE", "a write"};
inline constexpr Bit<8> kAddressValid{"VIRTIO_IOMMU_FAULT_F_ADDRESS", "address is valid"};
inline constexpr auto kLayout = layout<32>(kRead, kWrite, kAddressValid);
enum class Reason : std::uint8_t { kUnknown, kDomain, kMapping };
}  // namespace fault

}  // namespace weir::virtio_iommu
