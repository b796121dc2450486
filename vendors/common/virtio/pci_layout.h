// SPDX-License-Identifier: Apache-2.0
//
// Layout of the virtio-pci transport, modern part (virtio 1.4, 4.1.4): the structures behind its
// capabilities, and where this transport puts them in its one BAR.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstdint>

namespace weir::virtio::pci {

// 4.1.2: vendor, and device ids from here on.
inline constexpr std::uint16_t kVendor = 0x1af4;
inline constexpr std::uint16_t kDeviceBase = 0x1040;

// struct virtio_pci_common_cfg (4.1.4.3)
namespace common {
inline constexpr std::uint64_t kDeviceFeatureSelect = 0x00;  // 32 bits
inline constexpr std::uint64_t kDeviceFeature = 0x04;        // 32
inline constexpr std::uint64_t kDriverFeatureSelect = 0x08;  // 32
inline constexpr std::uint64_t kDriverFeature = 0x0c;        // 32
inline constexpr std::uint64_t kConfigVector = 0x10;         // 16
inline constexpr std::uint64_t kQueueCount = 0x12;           // 16
inline constexpr std::uint64_t kStatus = 0x14;               // 8
inline constexpr std::uint64_t kGeneration = 0x15;           // 8
inline constexpr std::uint64_t kQueueSelect = 0x16;          // 16
inline constexpr std::uint64_t kQueueSize = 0x18;            // 16
inline constexpr std::uint64_t kQueueVector = 0x1a;          // 16
inline constexpr std::uint64_t kQueueEnable = 0x1c;          // 16
inline constexpr std::uint64_t kQueueNotifyOff = 0x1e;       // 16
inline constexpr std::uint64_t kQueueDescLow = 0x20;         // 64, in halves
inline constexpr std::uint64_t kQueueDescHigh = 0x24;
inline constexpr std::uint64_t kQueueDriverLow = 0x28;
inline constexpr std::uint64_t kQueueDriverHigh = 0x2c;
inline constexpr std::uint64_t kQueueDeviceLow = 0x30;
inline constexpr std::uint64_t kQueueDeviceHigh = 0x34;
inline constexpr std::uint64_t kBytes = 0x38;
}  // namespace common

// struct virtio_pci_cap (4.1.4)
namespace capability {
inline constexpr std::uint8_t kVendorSpecific = 0x09;
inline constexpr std::size_t kId = 0;
inline constexpr std::size_t kNext = 1;
inline constexpr std::size_t kLength = 2;
inline constexpr std::size_t kType = 3;
inline constexpr std::size_t kBar = 4;
inline constexpr std::size_t kOffset = 8;
inline constexpr std::size_t kStructureLength = 12;
inline constexpr std::size_t kBytes = 16;
inline constexpr std::size_t kNotifyMultiplier = 16;  // of kNotify: one more word
inline constexpr std::size_t kWindowData = 16;        // of kWindow
inline constexpr std::size_t kLongBytes = 20;
inline constexpr std::uint8_t kCommon = 1;
inline constexpr std::uint8_t kNotify = 2;
inline constexpr std::uint8_t kIsr = 3;
inline constexpr std::uint8_t kDevice = 4;
inline constexpr std::uint8_t kWindow = 5;  // VIRTIO_PCI_CAP_PCI_CFG
}  // namespace capability

// Where the structures lie in the BAR: a page each.
inline constexpr std::uint64_t kCommonAt = 0x0000;
inline constexpr std::uint64_t kIsrAt = 0x1000;
inline constexpr std::uint64_t kDeviceAt = 0x2000;
inline constexpr std::uint64_t kNotifyAt = 0x3000;
inline constexpr std::uint64_t kStructureBytes = 0x1000;
inline constexpr std::uint64_t kBarBytes = 0x4000;
inline constexpr std::uint32_t kNotifyMultiplierValue = 4;

}  // namespace weir::virtio::pci
