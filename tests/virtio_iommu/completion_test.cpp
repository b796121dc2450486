// SPDX-License-Identifier: Apache-2.0
//
// A status is a completion (L1): what it waits for, who goes on with it, and that no kick, reset or
// register write blocks meanwhile (L8).
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

class CompletionTest : public ViommuTest {
 protected:
  CompletionTest() {
    EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk);
    EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
    EXPECT_EQ(driver_->map(1, 0x2000, 0x2fff, 0x9000), guest::kOk);
    driver_->forget_replies();
  }
  void post(std::span<const std::byte> request) {
    ASSERT_TRUE(driver_->post(request));
    driver_->kick();
  }
  [[nodiscard]] Pin pin(std::uint16_t sid, std::uint64_t iova) {
    return port(sid).map(Iova(iova), 16, Access::kWrite).value();
  }
};

TEST_F(CompletionTest, AnUnmapWaitsForTheBurstThatMayUseIt) {
  std::optional<DmaPort::Burst> burst(std::in_place, port(kNvme));
  const auto answer = burst->translate(Iova(0x1000), 4, Access::kWrite);
  ASSERT_TRUE(answer);
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  EXPECT_FALSE(driver_->collect()) << "the kick has returned, the status is not written";
  iommu_.poll();
  EXPECT_FALSE(driver_->collect());
  burst.reset();
  ASSERT_TRUE(driver_->collect());
  EXPECT_EQ(driver_->replies()[0].status, guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000));
}

TEST_F(CompletionTest, AnUnmapWaitsForAPinInItsRangeAlone) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  post(ViommuDriver::unmap_bytes(1, 0x2000, 0x2fff));
  EXPECT_TRUE(driver_->collect()) << "another page's";
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  EXPECT_FALSE(driver_->collect());
  held.reset();
  EXPECT_TRUE(driver_->collect());
}

TEST_F(CompletionTest, AMapWaitsForNobody) {
  std::optional<DmaPort::Burst> burst(std::in_place, port(kNvme));
  ASSERT_TRUE(burst->translate(Iova(0x1000), 4, Access::kRead));
  post(ViommuDriver::map_bytes(1, 0x3000, 0x3fff, 0xa000));
  EXPECT_TRUE(driver_->collect());
  EXPECT_TRUE(burst->translate(Iova(0x3000), 4, Access::kRead)) << "and it can be seen at once";
}

TEST_F(CompletionTest, ADetachWaitsForTheEndpointsPins) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  post(ViommuDriver::detach_bytes(1, kNvme));
  EXPECT_FALSE(driver_->collect());
  held.reset();
  EXPECT_TRUE(driver_->collect());
}

TEST_F(CompletionTest, AnAttachWaitsForWhatBypassedBefore) {
  std::optional<Pin> held = pin(kDisk, 0x5000);  // unattached, bypass is 1
  post(ViommuDriver::attach_bytes(2, kDisk));
  EXPECT_FALSE(driver_->collect());
  held.reset();
  EXPECT_TRUE(driver_->collect());
}

TEST_F(CompletionTest, AnotherEndpointsPinIsNobodysBusiness) {
  std::optional<Pin> held = pin(kDisk, 0x5000);
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  EXPECT_TRUE(driver_->collect());
  post(ViommuDriver::detach_bytes(1, kNvme));
  EXPECT_TRUE(driver_->collect());
}

TEST_F(CompletionTest, WhatIsKickedWhileABatchIsParkedComesAfterIt) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  post(ViommuDriver::map_bytes(1, 0x1000, 0x1fff, 0xb000));
  EXPECT_FALSE(driver_->collect());
  EXPECT_FALSE(lands(kNvme, 0x1000)) << "the second batch has not been taken";
  held.reset();
  ASSERT_TRUE(driver_->collect());
  EXPECT_EQ(driver_->replies()[1].status, guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x1000), 0xb000U);
}

TEST_F(CompletionTest, ARevokedPinLetsTheBatchGo) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  EXPECT_FALSE(driver_->collect());
  EXPECT_TRUE(iommu_.revoke(held->id()));
  EXPECT_TRUE(driver_->collect());
}

// The bypass byte is a completion too: it reads what holds for everything that is in flight.
TEST_F(CompletionTest, TheBypassByteFollowsWhatIsInFlight) {
  std::optional<Pin> held = pin(kDisk, 0x5000);
  driver_->set_bypass(0);
  EXPECT_EQ(driver_->bypass(), 1) << "somebody still reaches memory unattached";
  EXPECT_FALSE(lands(kNet, 0x5000)) << "but nobody new";
  std::optional<Pin> attached = pin(kNvme, 0x1000);
  held.reset();
  EXPECT_EQ(driver_->bypass(), 0) << "an attached endpoint's pin does not matter";
}

TEST_F(CompletionTest, ADeviceResetShowsWhenNothingIsLeftOfBefore) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  driver_->write32(guest::kStatus, 0);
  EXPECT_NE(status(), 0U) << "4.2.3.1: the driver waits for 0";
  EXPECT_FALSE(lands(kNvme, 0x2000) == 0x9000U) << "but nothing new goes the old way";
  held.reset();
  EXPECT_EQ(status(), 0U);
}

TEST_F(CompletionTest, AResetForgetsTheParkedBatch) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  driver_->write32(guest::kStatus, 0);
  held.reset();
  EXPECT_EQ(status(), 0U);
  EXPECT_FALSE(driver_->collect()) << "its ring is the guest's again and was not written";
}

TEST_F(CompletionTest, AStoppedQueueIsNotTouchedAnyMore) {
  std::optional<Pin> held = pin(kNvme, 0x1000);
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  driver_->write32(guest::kQueueSel, 0);
  driver_->write32(guest::kQueueReady, 0);
  EXPECT_EQ(driver_->read32(guest::kQueueReady), 0U);
  held.reset();
  EXPECT_FALSE(driver_->collect());
}

// A domain that has gone while a burst may still look into its map.
TEST_F(CompletionTest, ABurstOutlivesTheDomainItWalks) {
  std::optional<DmaPort::Burst> burst(std::in_place, port(kNvme));
  ASSERT_TRUE(burst->translate(Iova(0x1000), 4, Access::kRead));
  post(ViommuDriver::detach_bytes(1, kNvme));
  for (int i = 0; i < 3; ++i) (void)burst->translate(Iova(0x2000), 4, Access::kRead);
  EXPECT_FALSE(driver_->collect());
  burst.reset();
  EXPECT_TRUE(driver_->collect());
}

}  // namespace
}  // namespace weir::virtio_iommu::test
