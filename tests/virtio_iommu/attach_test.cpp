// SPDX-License-Identifier: Apache-2.0
//
// ATTACH and DETACH: virtio 1.4, 5.13.6.3.2 and 5.13.6.4.2, one test for each sentence that a
// device must or should keep, and the endpoint's states.
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

using AttachTest = ViommuTest;

TEST_F(AttachTest, CreatesTheDomainAndTranslates) {
  EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x1234), 0x8234U);
}

TEST_F(AttachTest, ReservedBytesThatAreNotZeroAreInvalid) {
  for (const std::uint32_t reserved : {1U, 0x80U, 0x80000000U})
    EXPECT_EQ(driver_->attach(1, kNvme, 0, reserved), guest::kInval);
  EXPECT_EQ(driver_->map(1, 0, 0xfff, 0), guest::kNoEnt) << "and no domain came of it";
}

TEST_F(AttachTest, AFlagThatIsNotKnownIsInvalid) {
  for (unsigned bit = 1; bit < 32; ++bit)
    EXPECT_EQ(driver_->attach(1, kNvme, 1U << bit), guest::kInval) << bit;
}

TEST_F(AttachTest, AnEndpointThatDoesNotExistIsNoEntry) {
  EXPECT_EQ(driver_->attach(1, kStranger), guest::kNoEnt);
}

TEST_F(AttachTest, ADomainOutsideTheRangeIsRefused) {
  // 5.13.6: the range says which values are supported.
  EXPECT_EQ(driver_->attach(~0U, kNvme), guest::kOk) << "by default all are";
}

TEST_F(AttachTest, SeveralEndpointsShareADomain) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(1, kDisk), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
  EXPECT_EQ(lands(kDisk, 0x1000), 0x8000U);
}

TEST_F(AttachTest, DomainsAreIsolated) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kDisk), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_FALSE(lands(kDisk, 0x1000));
}

TEST_F(AttachTest, ABypassFlagThatDoesNotGoWithTheDomainIsInvalid) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kNet, guest::kAttachBypass), guest::kOk);
  EXPECT_EQ(driver_->attach(1, kDisk, guest::kAttachBypass), guest::kInval);
  EXPECT_EQ(driver_->attach(2, kDisk), guest::kInval);
}

TEST_F(AttachTest, TheOnlyEndpointCannotTurnItsDomainAround) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->attach(1, kNvme, guest::kAttachBypass), guest::kInval);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
}

TEST_F(AttachTest, ABypassDomainIsIdentity) {
  ASSERT_EQ(driver_->attach(2, kNet, guest::kAttachBypass), guest::kOk);
  EXPECT_EQ(lands(kNet, 0x12345), 0x12345U);
  EXPECT_EQ(iommu_.stats().of(Outcome::kPassedThrough), 1U);
}

TEST_F(AttachTest, AnAttachedEndpointMoves) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(lands(kNvme, 0x1000), 0x8000U);
  ASSERT_EQ(driver_->attach(2, kNvme), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000)) << "as if it had been detached first";
  EXPECT_EQ(driver_->map(1, 0x2000, 0x2fff, 0x8000), guest::kNoEnt) << "nobody was left in 1";
}

TEST_F(AttachTest, TheSameDomainAgainChangesNothing) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
}

using DetachTest = ViommuTest;

TEST_F(DetachTest, TheEndpointReachesNoMappingOfTheDomain) {
  driver_->set_bypass(0);
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(1, kDisk), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(lands(kNvme, 0x1000), 0x8000U);
  EXPECT_EQ(driver_->detach(1, kNvme), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000));
  EXPECT_EQ(lands(kDisk, 0x1000), 0x8000U) << "the other one stays";
}

TEST_F(DetachTest, AnEndpointThatDoesNotExistIsNoEntry) {
  EXPECT_EQ(driver_->detach(1, kStranger), guest::kNoEnt);
}

TEST_F(DetachTest, FromADomainThatItIsNotInIsInvalid) {
  EXPECT_EQ(driver_->detach(1, kNvme), guest::kInval) << "attached to nothing";
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->attach(2, kDisk), guest::kOk);
  EXPECT_EQ(driver_->detach(2, kNvme), guest::kInval);
  EXPECT_EQ(driver_->detach(3, kNvme), guest::kInval);
}

TEST_F(DetachTest, ReservedBytesAreIgnored) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  auto request = ViommuDriver::detach_bytes(1, kNvme);
  request[12] = std::byte{0xff};
  EXPECT_EQ(driver_->call(request, 4).status, guest::kOk);
}

TEST_F(DetachTest, TheLastOneTakesTheDomainAndItsMappingsAlong) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(driver_->detach(1, kNvme), guest::kOk);
  EXPECT_EQ(driver_->unmap(1, 0, ~0ULL), guest::kNoEnt);
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x1000)) << "the id is a new domain's";
}

class DomainRangeTest : public ViommuTest {
 protected:
  DomainRangeTest() : ViommuTest({.first_domain = 5, .last_domain = 6}) {}
};

TEST_F(DomainRangeTest, WhatTheConfigurationSaysHolds) {
  EXPECT_EQ(driver_->read32(0x100 + 24), 5U);
  EXPECT_EQ(driver_->read32(0x100 + 28), 6U);
  EXPECT_EQ(driver_->attach(4, kNvme), guest::kRange);
  EXPECT_EQ(driver_->attach(7, kNvme), guest::kRange);
  EXPECT_EQ(driver_->attach(5, kNvme), guest::kOk);
  EXPECT_EQ(driver_->attach(6, kNvme), guest::kOk);
}

class MixedReservationsTest : public ViommuTest {
 protected:
  MixedReservationsTest() : ViommuTest(make()) {}
  static Options make() {
    Options options;
    options.endpoints.push_back(
        {.requester = Requester::from_sid(0x30),
         .id = 0x30,
         .reserved = {{ReservedRegion::Kind::kReserved, {Iova(0x1000), Iova(0x1fff)}}}});
    return options;
  }
};

// 5.13.6.3.2: an endpoint whose properties do not go with the domain is refused with UNSUPP.
TEST_F(MixedReservationsTest, AnEndpointThatReservesWhatIsMappedIsUnsupported) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  EXPECT_EQ(driver_->attach(1, 0x30), guest::kUnsupp);
  ASSERT_EQ(driver_->unmap(1, 0x1000, 0x1fff), guest::kOk);
  EXPECT_EQ(driver_->attach(1, 0x30), guest::kOk);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kInval) << "now it is in the domain";
}

}  // namespace
}  // namespace weir::virtio_iommu::test
