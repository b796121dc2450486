// SPDX-License-Identifier: Apache-2.0
//
// Numbers that every virtio device shares: the feature bits of rings and transport (virtio 1.4, 6)
// and the device status (2.1).
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace weir::virtio {

namespace feature {
inline constexpr Bit<28> kIndirect{"VIRTIO_F_INDIRECT_DESC", "indirect descriptors", "6"};
inline constexpr Bit<29> kEventIndex{"VIRTIO_F_EVENT_IDX", "event index", "6"};
inline constexpr Bit<32> kVersion1{"VIRTIO_F_VERSION_1", "not a legacy device", "6"};
inline constexpr Bit<33> kAccessPlatform{"VIRTIO_F_ACCESS_PLATFORM", "behind an IOMMU", "6"};
inline constexpr Bit<34> kPackedRing{"VIRTIO_F_RING_PACKED", "packed virtqueues", "6"};
inline constexpr Field<31, 0> kLowWord{"features 31:0"};
inline constexpr Field<63, 32> kHighWord{"features 63:32"};
}  // namespace feature

namespace status {
inline constexpr Bit<0> kAcknowledge{"ACKNOWLEDGE", "the guest has found the device", "2.1"};
inline constexpr Bit<1> kDriver{"DRIVER", "the guest has a driver", "2.1"};
inline constexpr Bit<2> kDriverOk{"DRIVER_OK", "the driver is ready", "2.1"};
inline constexpr Bit<3> kFeaturesOk{"FEATURES_OK", "feature negotiation is over", "2.1"};
inline constexpr Bit<6> kNeedsReset{"DEVICE_NEEDS_RESET", "the device cannot go on", "2.1"};
inline constexpr Bit<7> kFailed{"FAILED", "the driver has given up", "2.1"};
inline constexpr auto kLayout =
    layout<16>(kAcknowledge, kDriver, kDriverOk, kFeaturesOk, kNeedsReset, kFailed);
}  // namespace status

// Why an interrupt was raised, as both transports show it (4.1.4.5, 4.2.2).
namespace isr {
inline constexpr Bit<0> kQueue{"used buffer notification"};
inline constexpr Bit<1> kConfig{"configuration change notification"};
}  // namespace isr

inline constexpr std::uint16_t kNoVector = 0xffff;    // VIRTIO_MSI_NO_VECTOR (4.1.5.1.2)
inline constexpr std::uint16_t kMostEntries = 32768;  // of a queue, in either format (2.7, 2.8)

}  // namespace weir::virtio
