// SPDX-License-Identifier: Apache-2.0
//
// Layouts of rings, features and registers against numbers that nobody here wrote: Linux'
// include/uapi/linux/virtio_ring.h, virtio_config.h, virtio_mmio.h and virtio_pci.h.
#include <gtest/gtest.h>

#include "vendors/common/virtio/features.h"
#include "vendors/common/virtio/mmio_layout.h"
#include "vendors/common/virtio/pci_layout.h"
#include "vendors/common/virtio/ring_layout.h"

namespace weir::virtio {
namespace {

TEST(VirtioLayout, SplitRings) {
  // struct vring_desc { __virtio64 addr; __virtio32 len; __virtio16 flags; __virtio16 next; }
  const std::uint64_t word = 0x1234'5678'9abcdef0;
  EXPECT_EQ(split::descriptor::kLength.get(word), 0x9abcdef0U);
  EXPECT_EQ(split::descriptor::kFlags.get(word), 0x5678U);
  EXPECT_EQ(split::descriptor::kNext.get(word), 0x1234U);
  EXPECT_EQ(descriptor_flag::kNext.kMask, 1U);
  EXPECT_EQ(descriptor_flag::kWrite.kMask, 2U);
  EXPECT_EQ(descriptor_flag::kIndirect.kMask, 4U);
  // vring_used_event(vr): avail->ring[num]; vring_avail_event(vr): used->ring[num].
  EXPECT_EQ(split::available::used_event(256), 4U + 2 * 256);
  EXPECT_EQ(split::used::available_event(256), 4U + 8 * 256);
  EXPECT_EQ(split::available::kNoInterrupt.kMask, 1U);
  EXPECT_EQ(split::used::kNoNotify.kMask, 1U);
  EXPECT_EQ(split::used::kId.get(0x0000'0007'0000'0003), 3U);
  EXPECT_EQ(split::used::kLength.get(0x0000'0007'0000'0003), 7U);
}

TEST(VirtioLayout, PackedRings) {
  // struct vring_packed_desc { __le64 addr; __le32 len; __le16 id; __le16 flags; }
  const std::uint64_t word = 0x1234'5678'9abcdef0;
  EXPECT_EQ(packed::descriptor::kLength.get(word), 0x9abcdef0U);
  EXPECT_EQ(packed::descriptor::kId.get(word), 0x5678U);
  EXPECT_EQ(packed::descriptor::kFlags.get(word), 0x1234U);
  EXPECT_EQ(descriptor_flag::kAvailable.kMask, 1U << 7);  // VRING_PACKED_DESC_F_AVAIL 7
  EXPECT_EQ(descriptor_flag::kUsed.kMask, 1U << 15);      // VRING_PACKED_DESC_F_USED 15
  // struct vring_packed_desc_event { __le16 off_wrap; __le16 flags; }, WRAP_CTR 15
  EXPECT_EQ(packed::event::kOffset.get(0x2'8005), 5U);
  EXPECT_TRUE(packed::event::kWrap.is_set(0x2'8005));
  EXPECT_EQ(packed::event::kFlags.get(0x2'8005), 2U);
  EXPECT_EQ(packed::event::kEnable, 0U);
  EXPECT_EQ(packed::event::kDisable, 1U);
  EXPECT_EQ(packed::event::kSpecific, 2U);
}

TEST(VirtioLayout, FeaturesAndStatus) {
  EXPECT_EQ(feature::kIndirect.kMask, 1ULL << 28);
  EXPECT_EQ(feature::kEventIndex.kMask, 1ULL << 29);
  EXPECT_EQ(feature::kVersion1.kMask, 1ULL << 32);
  EXPECT_EQ(feature::kAccessPlatform.kMask, 1ULL << 33);
  EXPECT_EQ(feature::kPackedRing.kMask, 1ULL << 34);
  EXPECT_EQ(status::kAcknowledge.kMask, 1U);
  EXPECT_EQ(status::kDriver.kMask, 2U);
  EXPECT_EQ(status::kDriverOk.kMask, 4U);
  EXPECT_EQ(status::kFeaturesOk.kMask, 8U);
  EXPECT_EQ(status::kNeedsReset.kMask, 0x40U);
  EXPECT_EQ(status::kFailed.kMask, 0x80U);
}

TEST(VirtioLayout, PciStructures) {
  // enum of offsets in virtio_pci.h: VIRTIO_PCI_COMMON_*
  EXPECT_EQ(pci::common::kDeviceFeatureSelect, 0U);
  EXPECT_EQ(pci::common::kDeviceFeature, 4U);
  EXPECT_EQ(pci::common::kDriverFeatureSelect, 8U);
  EXPECT_EQ(pci::common::kDriverFeature, 12U);
  EXPECT_EQ(pci::common::kConfigVector, 16U);
  EXPECT_EQ(pci::common::kQueueCount, 18U);
  EXPECT_EQ(pci::common::kStatus, 20U);
  EXPECT_EQ(pci::common::kGeneration, 21U);
  EXPECT_EQ(pci::common::kQueueSelect, 22U);
  EXPECT_EQ(pci::common::kQueueSize, 24U);
  EXPECT_EQ(pci::common::kQueueVector, 26U);
  EXPECT_EQ(pci::common::kQueueEnable, 28U);
  EXPECT_EQ(pci::common::kQueueNotifyOff, 30U);
  EXPECT_EQ(pci::common::kQueueDescLow, 32U);
  EXPECT_EQ(pci::common::kQueueDriverLow, 40U);
  EXPECT_EQ(pci::common::kQueueDeviceLow, 48U);
  EXPECT_EQ(pci::capability::kBytes, 16U);
  EXPECT_EQ(pci::capability::kOffset, 8U);
  EXPECT_EQ(pci::capability::kStructureLength, 12U);
}

}  // namespace
}  // namespace weir::virtio
