// SPDX-License-Identifier: Apache-2.0
//
// Layout of the device against numbers that nobody here wrote: Linux'
// include/uapi/linux/virtio_iommu.h (offsets of its structures, values of its constants), and bytes
// that QEMU's x86 machines answer a PROBE with (request_test.cpp).
#include "vendors/virtio_iommu/layout.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace weir::virtio_iommu {
namespace {

TEST(ViommuLayout, FeaturesAndIds) {
  EXPECT_EQ(kDeviceId, 23);  // VIRTIO_ID_IOMMU
  EXPECT_EQ(feature::kInputRange.kMask, 1U << 0);
  EXPECT_EQ(feature::kDomainRange.kMask, 1U << 1);
  EXPECT_EQ(feature::kMapUnmap.kMask, 1U << 2);
  EXPECT_EQ(feature::kBypass.kMask, 1U << 3);
  EXPECT_EQ(feature::kProbe.kMask, 1U << 4);
  EXPECT_EQ(feature::kMmio.kMask, 1U << 5);
  EXPECT_EQ(feature::kBypassConfig.kMask, 1U << 6);
}

// struct virtio_iommu_config
TEST(ViommuLayout, Configuration) {
  EXPECT_EQ(config::kPageSizeMask, 0U);
  EXPECT_EQ(config::kInputStart, 8U);
  EXPECT_EQ(config::kInputEnd, 16U);
  EXPECT_EQ(config::kDomainStart, 24U);
  EXPECT_EQ(config::kDomainEnd, 28U);
  EXPECT_EQ(config::kProbeSize, 32U);
  EXPECT_EQ(config::kBypass, 36U);
  EXPECT_EQ(config::kBytes, 40U);
}

// struct virtio_iommu_req_attach and so on: sizeof less the tail.
TEST(ViommuLayout, Requests) {
  EXPECT_EQ(static_cast<unsigned>(RequestType::kAttach), 1U);
  EXPECT_EQ(static_cast<unsigned>(RequestType::kDetach), 2U);
  EXPECT_EQ(static_cast<unsigned>(RequestType::kMap), 3U);
  EXPECT_EQ(static_cast<unsigned>(RequestType::kUnmap), 4U);
  EXPECT_EQ(static_cast<unsigned>(RequestType::kProbe), 5U);
  EXPECT_FALSE(decode_type(0));
  EXPECT_FALSE(decode_type(6));
  EXPECT_EQ(attach::kDomain, 4U);
  EXPECT_EQ(attach::kEndpoint, 8U);
  EXPECT_EQ(attach::kFlags, 12U);
  EXPECT_EQ(attach::kReserved, 16U);
  EXPECT_EQ(attach::kBytes, 20U);
  EXPECT_EQ(attach::kBypass.kMask, 1U);
  EXPECT_EQ(detach::kBytes, 20U);
  EXPECT_EQ(map::kVirtStart, 8U);
  EXPECT_EQ(map::kVirtEnd, 16U);
  EXPECT_EQ(map::kPhysStart, 24U);
  EXPECT_EQ(map::kFlags, 32U);
  EXPECT_EQ(map::kBytes, 36U);
  EXPECT_EQ(map::kRead.kMask, 1U);
  EXPECT_EQ(map::kWrite.kMask, 2U);
  EXPECT_EQ(map::kMmio.kMask, 4U);
  EXPECT_EQ(unmap::kBytes, 28U);
  EXPECT_EQ(probe::kEndpoint, 4U);
  EXPECT_EQ(probe::kBytes, 72U);
}

TEST(ViommuLayout, Statuses) {
  const Status in_order[] = {Status::kOk,          Status::kIoError, Status::kUnsupported,
                             Status::kDeviceError, Status::kInvalid, Status::kRange,
                             Status::kNoEntry,     Status::kFault,   Status::kNoMemory};
  for (unsigned i = 0; i < 9; ++i) EXPECT_EQ(static_cast<unsigned>(in_order[i]), i);
}

// struct virtio_iommu_fault, virtio_iommu_probe_resv_mem
TEST(ViommuLayout, ReportsAndProperties) {
  EXPECT_EQ(fault::kReason, 0U);
  EXPECT_EQ(fault::kFlags, 4U);
  EXPECT_EQ(fault::kEndpoint, 8U);
  EXPECT_EQ(fault::kAddress, 16U);
  EXPECT_EQ(fault::kBytes, 24U);
  EXPECT_EQ(fault::kRead.kMask, 1U);
  EXPECT_EQ(fault::kWrite.kMask, 2U);
  EXPECT_EQ(fault::kAddressValid.kMask, 1U << 8);
  EXPECT_EQ(static_cast<unsigned>(fault::Reason::kUnknown), 0U);
  EXPECT_EQ(static_cast<unsigned>(fault::Reason::kDomain), 1U);
  EXPECT_EQ(static_cast<unsigned>(fault::Reason::kMapping), 2U);
  EXPECT_EQ(property::kReservedMemory, 1U);
  EXPECT_EQ(property::reserved_memory::kSubtype, 4U);
  EXPECT_EQ(property::reserved_memory::kStart, 8U);
  EXPECT_EQ(property::reserved_memory::kEnd, 16U);
  EXPECT_EQ(property::reserved_memory::kBytes, 24U);
}

}  // namespace
}  // namespace weir::virtio_iommu
