// SPDX-License-Identifier: Apache-2.0
//
// What a guest's driver knows of virtio in numbers: virtio-mmio registers, rings, and the requests
// of the IOMMU device, as Linux names them (include/uapi/linux/virtio_mmio.h, virtio_ring.h,
// virtio_iommu.h). Written apart from the device's own layouts, so that a mistake in one shows
// against the other.
//
// Constexpr values only: no I/O, no state.
#pragma once

#include <cstdint>

namespace weir::replay::virtio_driver {

// virtio_mmio.h
inline constexpr std::uint64_t kMagic = 0x000, kVersion = 0x004, kDeviceId = 0x008,
                               kDeviceFeatures = 0x010, kDeviceFeaturesSel = 0x014,
                               kDriverFeatures = 0x020, kDriverFeaturesSel = 0x024,
                               kQueueSel = 0x030, kQueueNumMax = 0x034, kQueueNum = 0x038,
                               kQueueReady = 0x044, kQueueNotify = 0x050, kInterruptStatus = 0x060,
                               kInterruptAck = 0x064, kStatus = 0x070, kQueueDesc = 0x080,
                               kQueueAvail = 0x090, kQueueUsed = 0x0a0, kConfig = 0x100;

// virtio_config.h
inline constexpr std::uint32_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8,
                               kNeedsReset = 0x40, kFailed = 0x80;
inline constexpr std::uint64_t kFeatureIndirect = 1ULL << 28, kFeatureEventIndex = 1ULL << 29,
                               kFeatureVersion1 = 1ULL << 32, kFeaturePacked = 1ULL << 34;

// virtio_ring.h
inline constexpr std::uint16_t kDescNext = 1, kDescWrite = 2, kDescIndirect = 4,
                               kDescAvail = 1 << 7, kDescUsed = 1 << 15;
inline constexpr std::uint16_t kEventEnable = 0, kEventDisable = 1, kEventDesc = 2;

// virtio_iommu.h
inline constexpr std::uint64_t kFeatureInputRange = 1, kFeatureDomainRange = 2,
                               kFeatureMapUnmap = 4, kFeatureBypass = 8, kFeatureProbe = 0x10,
                               kFeatureMmio = 0x20, kFeatureBypassConfig = 0x40;
inline constexpr std::uint8_t kAttach = 1, kDetach = 2, kMap = 3, kUnmap = 4, kProbe = 5;
inline constexpr std::uint8_t kOk = 0, kIoErr = 1, kUnsupp = 2, kDevErr = 3, kInval = 4, kRange = 5,
                              kNoEnt = 6, kFault = 7, kNoMem = 8;
inline constexpr std::uint32_t kMapRead = 1, kMapWrite = 2, kMapMmio = 4, kAttachBypass = 1;

}  // namespace weir::replay::virtio_driver
