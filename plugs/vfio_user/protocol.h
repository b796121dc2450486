// SPDX-License-Identifier: Apache-2.0
//
// The vfio-user wire format, as far as this server speaks it: header, commands, and the fixed part
// of each message's payload. Everything is little-endian and unpadded; payloads lie behind the
// 16-byte header.
//
// Layout only: constexpr, no I/O, no locks, no state.
// Source: vfio-user protocol specification (QEMU docs/interop/vfio-user.rst), sections named like
// the commands; VFIO constants from <linux/vfio.h>.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::vfio_user {

enum class Command : std::uint16_t {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kGetInfo = 4,
  kGetRegionInfo = 5,
  kGetRegionIoFds = 6,
  kGetIrqInfo = 7,
  kSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   // server to client
  kDmaWrite = 12,  // server to client
  kReset = 13,
};

struct Header {
  std::uint16_t id = 0;  // the sender's; a reply repeats it
  std::uint16_t command = 0;
  std::uint32_t size = 0;  // header included
  std::uint32_t flags = 0;
  std::uint32_t error = 0;  // errno, in a reply
};
static_assert(sizeof(Header) == 16);

namespace flag {
inline constexpr Field<3, 0> kType{"Type", "0: command, 1: reply", "Header"};
inline constexpr std::uint64_t kCommandType = 0, kReplyType = 1;
inline constexpr Bit<4> kNoReply{"No_reply", "posted", "Header"};
inline constexpr Bit<5> kError{"Error", "errno is valid", "Header"};
inline constexpr auto kLayout = layout<32>(kType, kNoReply, kError);
}  // namespace flag

// What one message may carry. The first is what both sides assume unless told otherwise; the second
// is what QEMU proposes; no command needs more than a vector for every MSI-X entry.
inline constexpr std::size_t kMostData = 1U << 20;
inline constexpr std::size_t kMostFds = 16;
inline constexpr std::size_t kMostMessage = sizeof(Header) + 16 + kMostData;

struct Version {
  std::uint16_t major = 0;
  std::uint16_t minor = 0;
};
static_assert(sizeof(Version) == 4);

struct DmaMap {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;  // into the file
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};
static_assert(sizeof(DmaMap) == 32);
namespace dma_map_flag {
inline constexpr Bit<0> kRead{"readable"};
inline constexpr Bit<1> kWrite{"writeable"};
inline constexpr auto kLayout = layout<32>(kRead, kWrite);
}  // namespace dma_map_flag

struct DmaUnmap {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};
static_assert(sizeof(DmaUnmap) == 24);
namespace dma_unmap_flag {
inline constexpr Bit<1> kAll{"VFIO_DMA_UNMAP_FLAG_ALL"};
inline constexpr auto kLayout = layout<32>(kAll);
}  // namespace dma_unmap_flag

struct DeviceInfo {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint32_t regions = 0;
  std::uint32_t irqs = 0;
};
static_assert(sizeof(DeviceInfo) == 16);
namespace device_flag {
inline constexpr Bit<0> kReset{"VFIO_DEVICE_FLAGS_RESET"};
inline constexpr Bit<1> kPci{"VFIO_DEVICE_FLAGS_PCI"};
}  // namespace device_flag

// VFIO's numbers of a PCI function's regions and interrupt indexes.
inline constexpr std::uint32_t kConfigRegion = 7;
inline constexpr std::uint32_t kRegions = 9;
// INTx, MSI, MSI-X; error and request notification (3, 4) are not there.
inline constexpr std::uint32_t kIrqIndexes = 3;

struct RegionInfo {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t cap_offset = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
};
static_assert(sizeof(RegionInfo) == 32);
namespace region_flag {
inline constexpr Bit<0> kRead{"VFIO_REGION_INFO_FLAG_READ"};
inline constexpr Bit<1> kWrite{"VFIO_REGION_INFO_FLAG_WRITE"};
}  // namespace region_flag

struct IrqInfo {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(IrqInfo) == 16);
namespace irq_flag {
inline constexpr Bit<0> kEventfd{"VFIO_IRQ_INFO_EVENTFD"};
}  // namespace irq_flag

struct SetIrqs {
  std::uint32_t argsz = 0;
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t start = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(SetIrqs) == 20);
namespace set_irqs_flag {
inline constexpr Bit<0> kDataNone{"VFIO_IRQ_SET_DATA_NONE"};
inline constexpr Bit<1> kDataBool{"VFIO_IRQ_SET_DATA_BOOL"};
inline constexpr Bit<2> kDataEventfd{"VFIO_IRQ_SET_DATA_EVENTFD"};
inline constexpr Bit<3> kMask{"VFIO_IRQ_SET_ACTION_MASK"};
inline constexpr Bit<4> kUnmask{"VFIO_IRQ_SET_ACTION_UNMASK"};
inline constexpr Bit<5> kTrigger{"VFIO_IRQ_SET_ACTION_TRIGGER"};
inline constexpr Field<2, 0> kData{"data"};
inline constexpr Field<5, 3> kAction{"action"};
inline constexpr auto kLayout = layout<32>(kData, kAction);
}  // namespace set_irqs_flag

// REGION_READ, REGION_WRITE and their replies; data follows.
struct RegionAccess {
  std::uint64_t offset = 0;
  std::uint32_t region = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(RegionAccess) == 16);

// DMA_READ, DMA_WRITE and their replies; data follows.
struct DmaAccess {
  std::uint64_t address = 0;
  std::uint64_t count = 0;
};
static_assert(sizeof(DmaAccess) == 16);

}  // namespace weir::vfio_user
