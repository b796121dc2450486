// SPDX-License-Identifier: Apache-2.0
//
// What other implementations of this device got wrong, one test each: GB1 to GB11 are observed on
// QEMU 11.1.3, with the clause of virtio 1.4 that says otherwise.
#include "tests/virtio_iommu/fixture.h"
#include "vendors/virtio_iommu/translate.h"

namespace weir::virtio_iommu::test {
namespace {

using KnownGapsTest = ViommuTest;

// 5.13.6.5: VA in [virt_start; virt_end]. The byte before is none of it, whatever is cached.
TEST_F(KnownGapsTest, GB1TheByteJustBelowAMappingFaults) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x9000), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0xfff));
  EXPECT_EQ(lands(kNvme, 0x1000), 0x9000U);
  EXPECT_FALSE(lands(kNvme, 0xfff)) << "nor after the mapping was cached";
  EXPECT_FALSE(lands(kNvme, 0x2000));
  EXPECT_EQ(lands(kNvme, 0x1fff), 0x9fffU);
}

// 5.13.6.3.2: a rejected request is no detach.
TEST_F(KnownGapsTest, GB2ARejectedAttachLeavesTheEndpointAttached) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x9000), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kDisk), guest::kOk);
  EXPECT_EQ(driver_->attach(2, kNvme, guest::kAttachBypass), guest::kInval);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x9000U);
  EXPECT_FALSE(lands(kNvme, 0x123456)) << "bypass is 1, and the endpoint is not unattached";
}

TEST_F(KnownGapsTest, GB3AttachWithReservedBytesIsInvalid) {
  EXPECT_EQ(driver_->attach(1, kNvme, 0, 1), guest::kInval);
}

TEST_F(KnownGapsTest, GB4FlagsOfFeaturesThatWereNotNegotiatedAreInvalid) {
  bring_up({.features = 0x17});
  EXPECT_EQ(driver_->attach(1, kNvme, guest::kAttachBypass), guest::kInval);
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x9000, 3 | guest::kMapMmio), guest::kInval);
}

class NarrowTest : public ViommuTest {
 protected:
  NarrowTest() : ViommuTest({.input_range = {Iova(0), Iova(0x7fffffffff)}}) {}
};

// MAP with neither READ nor WRITE is accepted here too: 5.13.6.5 leaves the allowed combinations of
// flags to the device. It takes up its range and lets nothing pass.
TEST_F(NarrowTest, GB5MapThatIsMisalignedOutsideTheRangeOrOverTheMsiWindowIsRefused) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0x1800, 0x27ff, 0x9000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0x8000000000, 0x8000000fff, 0x9000), guest::kRange);
  EXPECT_EQ(driver_->map(1, 0xfee00000, 0xfee00fff, 0x9000), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x9000, 0), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000));
}

TEST_F(KnownGapsTest, GB6AnUnmapThatWouldSplitRemovesNothing) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x9000), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x2000, 0x3fff, 0xa000), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0x1000, 0x2fff), guest::kRange);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x9000U);
}

TEST_F(KnownGapsTest, GB7AnUnknownRequestHasUsedLengthZero) {
  auto request = ViommuDriver::attach_bytes(1, kNvme);
  request[0] = std::byte{0x42};
  EXPECT_EQ(driver_->call(request, 4).written, 0U);
}

TEST_F(KnownGapsTest, GB8ReportsNameDomainAndDirectionOnceForEachAccess) {
  driver_->set_bypass(0);
  EXPECT_FALSE(port(kNvme).write(Iova(0x1000), std::array<std::byte, 8>{}));
  const auto events = driver_->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].reason, 1) << "never attached: DOMAIN";
  EXPECT_EQ(events[0].flags, kFaultAddress | kFaultWrite);
}

// A cache in front, answers of the largest block inside the mapping, and all its permissions.
TEST_F(KnownGapsTest, GB9AnAnswerIsAsLargeAsTheMappingAllowsAndIsCached) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x200000, 0x7fffff, 0x200000), guest::kOk);
  const auto first = port(kNvme).translate(Iova(0x234567), 1, Access::kRead);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->page_lg2, 21);
  EXPECT_TRUE(first->permissions.can_write()) << "asked for a read";
  const auto second = port(kNvme).translate(Iova(0x3fffff), 1, Access::kWrite);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->outcome, Outcome::kHit);
  const auto window = unit_->window(Requester::from_sid(kNvme), Iova(0x234567));
  ASSERT_TRUE(window);
  EXPECT_EQ(window->range.last - window->range.first, 0x5fffffU);
}

// A short request is returned, not a broken device; and a bypassing endpoint whose state changes
// under it is no contradiction.
TEST_F(KnownGapsTest, GB10AShortRequestBreaksNothing) {
  EXPECT_EQ(driver_->call(std::array<std::byte, 2>{std::byte{1}}, 4).written, 0U);
  EXPECT_EQ(status() & guest::kNeedsReset, 0U);
  EXPECT_EQ(lands(kNvme, 0x5000), 0x5000U);
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x5000));
  // A mapping of everything does not wrap to nothing.
  ASSERT_EQ(driver_->attach(3, kNet), guest::kOk);
  EXPECT_EQ(driver_->unmap(3, 0, ~0ULL), guest::kOk);
}

// Any number of units in one machine, each with endpoints of its own.
TEST_F(KnownGapsTest, GB11SeveralUnitsInOneMachine) {
  auto& other = iommu_.add_unit<Unit>(
      kUnitName + 1,
      Options{.boot_bypass = false,
              .endpoints = {{.requester = Requester::from_sid(0x100), .id = 0x100}}});
  auto second = ViommuDriver::create(other.device(), physical_, Gpa(0x800000));
  ASSERT_TRUE(second) << second.error();
  EXPECT_EQ((*second)->attach(1, 0x100), guest::kOk);
  EXPECT_EQ((*second)->map(1, 0x1000, 0x1fff, 0x9000), guest::kOk);
  EXPECT_EQ(driver_->attach(1, 0x100), guest::kNoEnt);
  EXPECT_EQ((*second)->attach(1, kNvme), guest::kNoEnt);
  EXPECT_EQ(driver_->bypass(), 1);
  EXPECT_EQ((*second)->bypass(), 0);
}

}  // namespace
}  // namespace weir::virtio_iommu::test
