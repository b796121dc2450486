// SPDX-License-Identifier: Apache-2.0
//
// Host tables (v1) behind a device table entry: all six levels, accessed and dirty bits by HAD,
// tables in absent memory, and entries of the device table with every reserved bit.

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

class HostWalkTest : public ::testing::Test {
 protected:
  HostWalkTest() { machine_.start(); }
  Machine machine_;
};

TEST_F(HostWalkTest, SixLevels) {
  std::uint64_t table = kRoot;
  for (unsigned level = 6; level > 1; --level) {
    machine_.store(table + 8, pde(kTables + level * 0x1000, level - 1));
    table = kTables + level * 0x1000;
  }
  machine_.store(table + 8, leaf(0x4000000));
  machine_.attach(kDevice, 6, 7);
  const std::uint64_t iova = std::uint64_t{1} << 57 | std::uint64_t{1} << 48 |
                             std::uint64_t{1} << 39 | 1 << 30 | 1 << 21 | 1 << 12;
  EXPECT_EQ(machine_.dma(iova | 0x123), 0x4000123U);
  EXPECT_EQ(machine_.dma(iova | std::uint64_t{1} << 63), std::nullopt);
}

TEST_F(HostWalkTest, HtRangeIsOrdinary) {
  machine_.attach(kDevice, 4, 7);
  for (const std::uint64_t iova : {0xfd00000000U, 0xfdf8000000U, 0xffffffff00U}) {
    machine_.store(kRoot + (iova >> 39) * 8, pde(kTables, 3));
    machine_.store(kTables + (iova >> 30 & 0x1ff) * 8, pde(kTables + 0x1000, 2));
    machine_.store(kTables + 0x1000 + (iova >> 21 & 0x1ff) * 8, leaf(0x4000000));
    EXPECT_EQ(machine_.dma(iova), 0x4000000 | (iova & 0x1fffff));
    machine_.forget_all();
  }
}

TEST_F(HostWalkTest, AccessedAndDirty) {
  machine_.store(kRoot, leaf(0x4000000));
  machine_.attach(kDevice, 1, 7);
  EXPECT_EQ(machine_.dma(0), 0x4000000U);
  EXPECT_EQ(machine_.load(kRoot), leaf(0x4000000));  // HAD = 0
  machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw | 1 << 7, 7);
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0), 0x4000000U);
  EXPECT_EQ(machine_.load(kRoot), leaf(0x4000000) | 0x20);
  machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw | 3 << 7, 7);
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0, Access::kRead), 0x4000000U);
  EXPECT_EQ(machine_.load(kRoot), leaf(0x4000000) | 0x20);
  EXPECT_EQ(machine_.dma(0), 0x4000000U);  // the first write sets it, though the read was cached
  EXPECT_EQ(machine_.load(kRoot), leaf(0x4000000) | 0x60);
  machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw | 2 << 7, 7);  // reserved
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0), std::nullopt);
}

TEST_F(HostWalkTest, AbsentTablesAreHardwareErrors) {
  machine_.set_entry(kDevice, 0xffff000000 | 3 << 9 | 3 | kRw, 7);
  EXPECT_EQ(machine_.dma(0x40000000), std::nullopt);
  auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 4U);
  EXPECT_EQ(events[0].flags(), 0x220U);  // RW, type 1: master abort
  EXPECT_EQ(events[0].domain(), 7U);
  EXPECT_EQ(events[0].high, 0xffff000008U);
  machine_.write(kDevTab, 0xfffe000000 | 0x1ff);
  EXPECT_EQ(machine_.dma(0x40000000), std::nullopt);
  events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 3U);
  EXPECT_EQ(events[0].high, 0xfffe000000U + kDevice * 32);
}

TEST_F(HostWalkTest, TablesThatLoopEnd) {
  machine_.store(kRoot, pde(kRoot, 5));
  machine_.attach(kDevice, 6, 7);
  EXPECT_EQ(machine_.dma(0), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 1U);
}

// What was made beside an exclusion range is found again by whoever clears dead entries away, with
// few places and many commands.
TEST(ExclusionTest, EntriesBesideTheRangeAreSweptLikeOthers) {
  Machine machine(options_for(Profile::kFull), {.entries = 64});
  machine.start();
  machine.write(kExclLimit, 0x10000);
  machine.write(kExclBase, 0x10000 | 1);
  for (std::uint64_t page = 0; page < 16; ++page)
    machine.store(kRoot + page * 8, leaf(0x4000000 + page * 0x1000));
  for (const std::uint64_t rights : {kIr, kIw, kRw}) {
    machine.set_entry(kDevice, kRoot | 1 << 9 | 3 | rights, 7 | std::uint64_t{1} << 39);
    const Access access = rights == kIw ? Access::kWrite : Access::kRead;
    for (unsigned round = 0; round < 100; ++round) {
      machine.forget_all();
      for (std::uint64_t page = 0; page < 16; ++page)
        ASSERT_EQ(machine.dma(page << 12, access), 0x4000000 + (page << 12));
      EXPECT_EQ(machine.dma(0x10000, access), 0x10000U);
    }
  }
}

// The masks are those of VirtualBox's iommu-amd.h for revision 3.05, with HAD (8:7), SATS (106) and
// GuestPagingMode as later revisions have them; what a unit without a feature reserves is its own.
TEST_F(HostWalkTest, EveryReservedBitOfAnEntry) {
  const std::uint64_t defined0 = 0x7fffffffffffff83, defined1 = 0xfffffbffffffffff;
  machine_.write(kCtrl, kUsual | kGtEn | kPprEn | kEphEn);
  machine_.store(kRoot, leaf(0x4000000));
  for (unsigned bit = 0; bit < 128; ++bit) {
    const bool low = bit < 64;
    const std::uint64_t mask = std::uint64_t{1} << bit % 64;
    if (((low ? defined0 : defined1) & mask) != 0) continue;
    machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw | (low ? mask : 0), low ? 7 : 7 | mask);
    machine_.forget_all();
    EXPECT_EQ(machine_.dma(0), std::nullopt) << bit;
    const auto events = machine_.events();
    ASSERT_EQ(events.size(), 1U) << bit;
    EXPECT_EQ(events[0].code(), 1U);
    EXPECT_EQ(events[0].flags(), 0x0a0U) << bit;
  }
  // With V = 0 nothing of it means anything.
  machine_.set_entry(kDevice, ~std::uint64_t{1}, ~std::uint64_t{0});
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0x1234), 0x1234U);
}

}  // namespace
}  // namespace weir::amdvi::test
