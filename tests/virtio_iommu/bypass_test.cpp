// SPDX-License-Identifier: Apache-2.0
//
// Who bypasses when: the configuration space and its one writable byte (virtio 1.4, 5.13.4), the
// endpoint's states over device and machine resets, and the older feature (5.13.6).
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

using BypassTest = ViommuTest;

TEST_F(BypassTest, AtBootEverythingBypasses) {
  EXPECT_EQ(driver_->bypass(), 1);
  EXPECT_EQ(lands(kNvme, 0x12345, Access::kWrite), 0x12345U);
}

TEST_F(BypassTest, ItAppliesBeforeAnyNegotiation) {
  driver_->write32(guest::kStatus, 0);
  EXPECT_EQ(lands(kNvme, 0x12345), 0x12345U);
}

TEST_F(BypassTest, WrittenZeroUnattachedEndpointsAreBlocked) {
  driver_->set_bypass(0);
  EXPECT_EQ(driver_->bypass(), 0);
  EXPECT_FALSE(lands(kNvme, 0x12345));
  driver_->set_bypass(1);
  EXPECT_EQ(driver_->bypass(), 1);
  EXPECT_EQ(lands(kNvme, 0x12345), 0x12345U);
}

TEST_F(BypassTest, AttachedEndpointsDoNotCare) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_FALSE(lands(kNvme, 0x12345)) << "bypass is 1 and it is attached";
  ASSERT_EQ(driver_->detach(1, kNvme), guest::kOk);
  EXPECT_EQ(lands(kNvme, 0x12345), 0x12345U);
}

TEST_F(BypassTest, OtherValuesThanZeroAndOneAreNotTaken) {
  for (const unsigned value : {2U, 3U, 0x80U, 0xffU}) {
    driver_->set_bypass(static_cast<std::uint8_t>(value));
    EXPECT_EQ(driver_->bypass(), 1);
  }
}

TEST_F(BypassTest, NothingElseCanBeWritten) {
  virtio::MmioTransport& registers = driver_->registers();
  std::vector<std::uint64_t> before;
  for (std::uint64_t at = 0; at < 64; ++at) before.push_back(registers.read(0x100 + at, 1));
  for (std::uint64_t at = 0; at < 64; ++at)
    if (at != 36) registers.write(0x100 + at, 1, 0x5a);
  for (std::uint64_t at = 0; at < 64; at += 2)
    if (at != 36) registers.write(0x100 + at, 2, 0x5a5a);
  for (std::uint64_t at = 0; at < 64; at += 4) registers.write(0x100 + at, 4, 0);
  for (std::uint64_t at = 0; at < 64; ++at)
    EXPECT_EQ(registers.read(0x100 + at, 1), before[at]) << at;
  EXPECT_EQ(status() & guest::kNeedsReset, 0U);
}

TEST_F(BypassTest, TheConfigurationAsLinuxReadsIt) {
  // struct virtio_iommu_config, field by field (include/uapi/linux/virtio_iommu.h).
  EXPECT_EQ(driver_->read32(0x100), 0xfffff000U) << "page_size_mask";
  EXPECT_EQ(driver_->read32(0x104), 0xffffffffU);
  EXPECT_EQ(driver_->read32(0x108), 0U) << "input_range.start";
  EXPECT_EQ(driver_->read32(0x10c), 0U);
  EXPECT_EQ(driver_->read32(0x110), 0xffffffffU) << "input_range.end";
  EXPECT_EQ(driver_->read32(0x114), 0xffffffffU);
  EXPECT_EQ(driver_->read32(0x118), 0U) << "domain_range.start";
  EXPECT_EQ(driver_->read32(0x11c), 0xffffffffU) << "domain_range.end";
  EXPECT_EQ(driver_->read32(0x120), 512U) << "probe_size";
  EXPECT_EQ(driver_->read32(0x124), 1U) << "bypass, and three reserved bytes";
  EXPECT_EQ(driver_->read32(0x128), 0U) << "beyond it there is nothing";
}

TEST_F(BypassTest, WithoutTheFeatureNegotiatedTheByteCannotBeWritten) {
  bring_up({.features = 0x37});
  driver_->set_bypass(0);
  EXPECT_EQ(driver_->bypass(), 1);
}

// Section B6: a device reset detaches and keeps the byte; a machine reset restores it.
TEST_F(BypassTest, ADeviceResetDetachesAndKeepsTheByte) {
  driver_->set_bypass(0);
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  ASSERT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
  ASSERT_EQ(lands(kNvme, 0x1000), 0x8000U);
  driver_->write32(guest::kStatus, 0);
  EXPECT_EQ(status(), 0U);
  EXPECT_FALSE(lands(kNvme, 0x1000));
  bring_up();
  EXPECT_EQ(driver_->bypass(), 0);
  EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kNoEnt);
}

TEST_F(BypassTest, AMachineResetRestoresTheByte) {
  driver_->set_bypass(0);
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  EXPECT_TRUE(iommu_.reset().complete());
  EXPECT_EQ(status(), 0U);
  EXPECT_EQ(lands(kNvme, 0x1000), 0x1000U);
  bring_up();
  EXPECT_EQ(driver_->bypass(), 1);
}

class StrictBootTest : public ViommuTest {
 protected:
  StrictBootTest() : ViommuTest({.boot_bypass = false}) {}
};

TEST_F(StrictBootTest, NothingPassesFromTheFirstMoment) {
  driver_->write32(guest::kStatus, 0);
  EXPECT_FALSE(lands(kNvme, 0x1000));
  bring_up();
  EXPECT_EQ(driver_->bypass(), 0);
}

class OlderFeatureTest : public ViommuTest {
 protected:
  OlderFeatureTest() : ViommuTest({.bypass = BypassControl::kFeature}, {.features = 0x7f}) {}
};

TEST_F(OlderFeatureTest, BypassHoldsOnceItIsNegotiated) {
  EXPECT_EQ(driver_->features() & (guest::kFeatureBypass | guest::kFeatureBypassConfig),
            guest::kFeatureBypass)
      << "never both";
  EXPECT_EQ(lands(kNvme, 0x1000), 0x1000U);
  driver_->write32(guest::kStatus, 0);
  EXPECT_FALSE(lands(kNvme, 0x1000)) << "nothing is negotiated any more";
  bring_up({.features = 0x77});
  EXPECT_FALSE(lands(kNvme, 0x1000)) << "the driver did not accept it";
  EXPECT_EQ(driver_->bypass(), 0);
}

class NoBypassTest : public ViommuTest {
 protected:
  NoBypassTest() : ViommuTest({.bypass = BypassControl::kNone}) {}
};

TEST_F(NoBypassTest, WithoutAnyFeatureNothingPasses) {
  EXPECT_EQ(driver_->features() & (guest::kFeatureBypass | guest::kFeatureBypassConfig), 0U);
  EXPECT_FALSE(lands(kNvme, 0x1000));
}

}  // namespace
}  // namespace weir::virtio_iommu::test
