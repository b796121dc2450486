// SPDX-License-Identifier: Apache-2.0
//
// The event queue: every reason and flag of a fault report (virtio 1.4, 5.13.6.9), and what becomes
// of faults for which the driver has no buffer.
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

class FaultTest : public ViommuTest {
 protected:
  FaultTest() { driver_->set_bypass(0); }
};

TEST_F(FaultTest, UnattachedIsReasonDomain) {
  const auto event = event_of(kNvme, 0x1234);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, 1);
  EXPECT_EQ(event->flags, kFaultAddress | kFaultRead);
  EXPECT_EQ(event->endpoint, kNvme);
  EXPECT_EQ(event->address, 0x1234U);
}

TEST_F(FaultTest, NotMappedIsReasonMapping) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  const auto event = event_of(kNvme, 0x5432, Access::kWrite);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, 2);
  EXPECT_EQ(event->flags, kFaultAddress | kFaultWrite);
  EXPECT_EQ(event->address, 0x5432U);
}

TEST_F(FaultTest, NotAllowedIsReasonMapping) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000, guest::kMapRead), guest::kOk);
  const auto event = event_of(kNvme, 0x1ff0, Access::kWrite);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, 2);
  EXPECT_EQ(event->flags, kFaultAddress | kFaultWrite);
  ASSERT_EQ(driver_->map(1, 0x2000, 0x2fff, 0x9000, guest::kMapWrite), guest::kOk);
  const auto read = event_of(kNvme, 0x2000);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->flags, kFaultAddress | kFaultRead);
}

TEST_F(FaultTest, AnAtomicIsBoth) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_FALSE(port(kNvme).fetch_add(Iova(0x1000), 1));
  const auto events = driver_->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].flags, kFaultAddress | kFaultRead | kFaultWrite);
}

// What the device does not know at all: PASIDs and addresses translated elsewhere.
TEST_F(FaultTest, ASpecialRequestIsReasonUnknown) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_FALSE(port(kNvme).translate(Iova(0x1000), 1, Access::kRead, {.pasid = Pasid{5}}));
  EXPECT_FALSE(port(kNvme).translate(Iova(0x1000), 1, Access::kRead,
                                     {.address_type = AddressType::kTranslated}));
  const auto events = driver_->take_events();
  ASSERT_EQ(events.size(), 2U);
  for (const auto& event : events) EXPECT_EQ(event.reason, 0);
}

TEST_F(FaultTest, OneAccessIsOneReport) {
  EXPECT_FALSE(port(kNvme).write(Iova(0x1000), std::array<std::byte, 64>{}));
  EXPECT_EQ(driver_->take_events().size(), 1U);
}

TEST_F(FaultTest, TheDriverIsInterrupted) {
  ASSERT_FALSE(lands(kNvme, 0));
  EXPECT_EQ(interrupts_.of_queue(1), 1U);
  EXPECT_TRUE(interrupts_.line);
  driver_->write32(guest::kInterruptAck, 3);
  EXPECT_FALSE(interrupts_.line);
}

TEST_F(FaultTest, FaultsWithoutABufferWaitUpToALimit) {
  // The driver has given 64; as many again wait, the rest is dropped and counted.
  for (std::uint64_t i = 0; i < 64 + 64 + 9; ++i) ASSERT_FALSE(lands(kNvme, i * 0x1000));
  EXPECT_EQ(unit_->counts().faults_reported, 64U);
  EXPECT_EQ(unit_->counts().faults_dropped, 9U);
  const auto first = driver_->take_events();
  ASSERT_EQ(first.size(), 64U);
  EXPECT_EQ(first[63].address, 63U * 0x1000);
  const auto second = driver_->take_events();
  ASSERT_EQ(second.size(), 64U) << "those that waited took the buffers that came back";
  EXPECT_EQ(second[0].address, 64U * 0x1000);
  EXPECT_EQ(unit_->counts().faults_reported, 128U);
}

TEST_F(FaultTest, WithoutAQueueTheyAreDropped) {
  driver_->write32(guest::kStatus, 0);
  ASSERT_FALSE(lands(kNvme, 0));
  bring_up();
  EXPECT_TRUE(driver_->take_events().empty());
  EXPECT_EQ(unit_->counts().faults_dropped, 1U);
}

// A function that is behind the unit but no endpoint of it: blocked, and there is no number to
// report it under.
TEST_F(FaultTest, ARequesterThatIsNoEndpointIsBlockedSilently) {
  EXPECT_FALSE(lands(0x99, 0x1000));
  EXPECT_TRUE(driver_->take_events().empty());
}

}  // namespace
}  // namespace weir::virtio_iommu::test
