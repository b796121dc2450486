// SPDX-License-Identifier: Apache-2.0
//
// The PCI capability block as Linux reads it (IOMMU_CAP_IOTLB 24, NPCACHE 26, EFR 27), and what its
// bits promise: NpCache, and a unit whose commands are not seen.

#include "vendors/amdvi/capability_block.h"

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

TEST(CapabilityBlockTest, HeaderByProfile) {
  EXPECT_EQ(CapabilityBlock(options_for(Profile::kV1), 0xfed80000, 0x50).read(0), 0x180b500fU);
  EXPECT_EQ(CapabilityBlock(options_for(Profile::kV2), 0xfed80000).read(0), 0x190b000fU);
  Options options = options_for(Profile::kFull);
  options.caching_mode = true;
  EXPECT_EQ(CapabilityBlock(options, 0xfed80000).read(0), 0x1d0b000fU);
  EXPECT_EQ(CapabilityBlock(options, 0).read(0x10), 2U << 5 | 52U << 8 | 64U << 15);
  EXPECT_EQ(CapabilityBlock(options, 0).read(0x0c), 0U);
}

TEST(CapabilityBlockTest, EnableLocksTheBase) {
  CapabilityBlock block(options_for(Profile::kV1), 0x1'fed80000);
  EXPECT_EQ(block.read(4), 0xfed80000U);
  EXPECT_EQ(block.read(8), 1U);
  block.write(8, 2);
  block.write(4, 0xe0003fff);
  EXPECT_TRUE(block.enabled());
  EXPECT_EQ(block.register_base(), 0x2'e0000000U);
  block.write(4, 0);
  block.write(8, 0);
  block.write(0, 0);
  EXPECT_EQ(block.register_base(), 0x2'e0000000U);
  EXPECT_TRUE(block.enabled());
}

// With NpCache a mapping is announced like a removal, and holds from then on.
TEST(CapabilityBlockTest, AnnouncedMappingsTakeHold) {
  Options options = options_for(Profile::kV1);
  options.caching_mode = true;
  Machine machine(options);
  machine.start();
  EXPECT_TRUE(machine.unit->announces_mappings());
  machine.attach(kDevice, 1, 7);
  EXPECT_EQ(machine.dma(0x5000), std::nullopt);
  EXPECT_EQ(machine.dma(0x5000), std::nullopt);
  EXPECT_EQ(machine.events().size(), 2U);
  machine.store(kRoot + 5 * 8, leaf(0x4000000));
  machine.forget_pages(7, 0x5000);
  EXPECT_EQ(machine.dma(0x5000), 0x4000000U);
}

// A guest whose ring is read by hardware: no command is seen here, and no answer is stale.
TEST(CapabilityBlockTest, UnseenCommandsLeaveNothingStale) {
  Options options = options_for(Profile::kFull);
  options.commands_visible = false;
  Machine machine(options);
  machine.start();
  machine.attach(kDevice, 1, 7);
  for (unsigned i = 0; i < 4; ++i) {
    machine.store(kRoot, leaf(0x4000000 + i * 0x1000));
    EXPECT_EQ(machine.dma(0), 0x4000000U + i * 0x1000);
    EXPECT_EQ(machine.dma(0), 0x4000000U + i * 0x1000);
  }
  machine.set_entry(kDevice, 3);
  EXPECT_EQ(machine.dma(0), std::nullopt);
}

}  // namespace
}  // namespace weir::amdvi::test
