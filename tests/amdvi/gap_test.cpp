// SPDX-License-Identifier: Apache-2.0
//
// Gap items GA1 to GA18: where QEMU 11.1.3's model differs from the architecture, one test each of
// what weir does. Those that the golden vectors cover as well look at the rest of the item here.

#include "tests/amdvi/machine.h"
#include "vendors/amdvi/ivrs.h"

namespace weir::amdvi::test {
namespace {

constexpr std::uint16_t kDomain = 7;
constexpr std::uint64_t kL2 = kTables, kL1 = kTables + 0x1000;

class Gap : public ::testing::Test {
 protected:
  Gap() {
    machine_.start();
    machine_.attach(kDevice, 3, kDomain);
    machine_.store(kRoot, pde(kL2, 2));
    machine_.store(kL2, pde(kL1, 1));
    machine_.store(kL1 + 5 * 8, leaf(0x4000000));
  }
  Machine machine_;
};

TEST_F(Gap, GA1DenyAllEntryIsNoPassThrough) {
  machine_.set_entry(kDevice, 3);
  for (const Access access : {Access::kRead, Access::kWrite, Access::kReadWrite})
    EXPECT_EQ(machine_.dma(0x3000000, access), std::nullopt);
  EXPECT_EQ(machine_.port().peek(Iova(0x3000000), Access::kRead), std::nullopt);
  machine_.set_entry(kDevice, 3 | kIr);
  machine_.forget_device(kDevice);
  EXPECT_EQ(machine_.dma(0x3000000, Access::kRead), 0x3000000U);
  EXPECT_EQ(machine_.dma(0x3000000, Access::kWrite), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 4U);
}

TEST_F(Gap, GA2EntriesAreReadOnFirstUseAndDroppedByAll) {
  EXPECT_EQ(machine_.dma(0x5000), 0x4000000U);  // no command was ever sent
  machine_.set_entry(kDevice, 1);
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0x5000), std::nullopt);
}

TEST_F(Gap, GA3PermissionsOfEveryLevelCount) {
  machine_.store(kRoot, pde(kL2, 2) & ~kIr);
  EXPECT_EQ(machine_.dma(0x5000, Access::kRead), std::nullopt);
  EXPECT_EQ(machine_.dma(0x5000, Access::kWrite), 0x4000000U);
  machine_.store(kRoot, pde(kL2, 2));
  machine_.set_entry(kDevice, kRoot | 3 << 9 | 3 | kIr, kDomain);
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0x5000, Access::kRead), 0x4000000U);
  EXPECT_EQ(machine_.dma(0x5000, Access::kWrite), std::nullopt);
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].flags(), 0x050U);
  EXPECT_EQ(events[1].flags(), 0x070U);
}

TEST_F(Gap, GA4SkippedBitsAreLookedAt) {
  machine_.attach(kDevice, 4, kDomain);
  machine_.store(kRoot, pde(kL1, 1));
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0x5010), 0x4000010U);
  for (unsigned bit = 21; bit < 48; ++bit)
    EXPECT_EQ(machine_.dma(0x5010 | std::uint64_t{1} << bit), std::nullopt) << bit;
}

TEST_F(Gap, GA5NothingIsReadPastTheDeviceTable) {
  machine_.write(kDevTab, kDeviceTable);
  machine_.set_entry(0x80, 0);  // would pass
  EXPECT_EQ(machine_.dma(0x5000, Access::kWrite, 0x80), std::nullopt);
}

TEST_F(Gap, GA6EventsNameDeviceDomainAndAddress) {
  machine_.attach(0x1fff, 3, 0xfedc);
  EXPECT_EQ(machine_.dma(0x1234567008, Access::kWrite, 0x1fff), std::nullopt);
  machine_.post(std::uint64_t{0xe} << 60);
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].device(), 0x1fffU);
  EXPECT_EQ(events[0].domain(), 0xfedcU);
  EXPECT_EQ(events[0].high, 0x1234567008U);
  EXPECT_EQ(events[1].code(), 5U);
  EXPECT_EQ(events[1].high, kRing);
}

TEST_F(Gap, GA7EachFaultIsLoggedOnceWithItsFlags) {
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.dma(0x9000, Access::kRead), std::nullopt);
  machine_.store(kL1 + 10 * 8, leaf(0x4000000) | std::uint64_t{1} << 52);
  EXPECT_EQ(machine_.dma(0xa000), std::nullopt);
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].flags(), 0x020U);
  EXPECT_EQ(events[1].flags(), 0x000U);
  EXPECT_EQ(events[2].flags(), 0x0b0U);  // PR RW RZ: a reserved bit
}

TEST_F(Gap, GA8SuppressionModeSevenAndGuestTables) {
  const std::uint64_t entry = kRoot | 3 << 9 | 3 | kRw;
  machine_.set_entry(kDevice, entry, kDomain | std::uint64_t{1} << 33);  // SE
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 1U);
  machine_.forget_device(kDevice);  // until the entry is fetched again
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.dma(0xa000), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 1U);
  machine_.set_entry(kDevice, entry, kDomain | std::uint64_t{1} << 34);  // SA
  machine_.forget_device(kDevice);
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 0U);
  // SA speaks of page faults only.
  machine_.set_entry(kDevice, entry | 7 << 9, kDomain | std::uint64_t{1} << 34);
  machine_.forget_device(kDevice);
  EXPECT_EQ(machine_.dma(0x5000), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 1U);
}

TEST_F(Gap, GA9ExclusionIsForThoseWithEx) {
  machine_.write(kExclBase, 0x6000001);  // enabled, not for all
  machine_.write(kExclLimit, 0x6000000);
  EXPECT_EQ(machine_.dma(0x6000010), std::nullopt);
  // The same domain, with EX; and no rights outside the range.
  machine_.set_entry(0x30, kRoot | 3 << 9 | 3, kDomain | std::uint64_t{1} << 39);
  EXPECT_EQ(machine_.dma(0x6000010, Access::kWrite, 0x30), 0x6000010U);
  EXPECT_EQ(machine_.dma(0x5000, Access::kRead, 0x30), std::nullopt);
  // Neither inherits from the other.
  EXPECT_EQ(machine_.dma(0x6000010), std::nullopt);
  EXPECT_EQ(machine_.dma(0x5000), 0x4000000U);
  // A leaf that overlaps the range is translated around it.
  machine_.set_entry(0x30, kRoot | 3 << 9 | 3 | kRw, kDomain | std::uint64_t{1} << 39);
  machine_.store(kL2 + 48 * 8, leaf(0x2000000));
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0x6001000, Access::kWrite, 0x30), 0x2001000U);
  EXPECT_EQ(machine_.dma(0x6000000, Access::kWrite, 0x30), 0x6000000U);
  EXPECT_EQ(machine_.dma(0x6000000), 0x2000000U);
}

TEST_F(Gap, GA10PageInvalidationIsExactAndTheInterruptHasItsEnable) {
  machine_.store(kL1 + 6 * 8, leaf(0x4001000));
  EXPECT_EQ(machine_.dma(0x5000), 0x4000000U);
  EXPECT_EQ(machine_.dma(0x6000), 0x4001000U);
  const auto before = machine_.iommu->stats();
  machine_.forget_pages(kDomain, 0x5000);
  EXPECT_EQ(machine_.dma(0x6000), 0x4001000U);
  EXPECT_EQ(machine_.iommu->stats().walks, before.walks);
  EXPECT_EQ(machine_.dma(0x5000), 0x4000000U);
  EXPECT_EQ(machine_.iommu->stats().walks, before.walks + 1);
  // f: what is younger does not begin before.
  machine_.post(std::uint64_t{1} << 60 | kSemaphore | 5, 0x1122334455667788);
  EXPECT_EQ(machine_.load(kSemaphore), 0x1122334455667788U);
}

TEST_F(Gap, GA11NothingRunsBehindAnIllegalCommand) {
  for (const std::uint64_t low :
       {std::uint64_t{0}, std::uint64_t{9} << 60, std::uint64_t{0xa} << 60,
        std::uint64_t{2} << 60 | 1 << 16, std::uint64_t{8} << 60 | 1}) {
    Machine machine;
    machine.start();
    machine.post(low);
    EXPECT_FALSE(machine.wait()) << std::hex << low;
    EXPECT_EQ(machine.events().size(), 1U);
  }
}

TEST_F(Gap, GA12AnOverflownLogIsFrozen) {
  for (unsigned i = 0; i < 256; ++i) EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.read(kStat) & (kStOverflow | kStEvtRun), kStOverflow);
  // Clearing the bit is not enough: the log has to be turned off and on.
  EXPECT_EQ(machine_.events().size(), 255U);
  machine_.write(kStat, kStOverflow);
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_TRUE(machine_.events().empty());
  machine_.write(kCtrl, kUsual & ~kEvtLogEn);
  machine_.write(kCtrl, kUsual);
  EXPECT_EQ(machine_.dma(0x9000), std::nullopt);
  EXPECT_EQ(machine_.events().size(), 1U);
}

// GA13 is InterruptTest (V31, V32).

TEST_F(Gap, GA14ControlBitsWithoutAFeatureReadZero) {
  for (const Profile profile : {Profile::kV1, Profile::kV1Xt, Profile::kV2, Profile::kFull}) {
    Machine machine(options_for(profile));
    machine.write(kCtrl, ~std::uint64_t{0});
    const std::uint64_t sticks = machine.read(kCtrl);
    EXPECT_EQ(sticks & std::uint64_t{1} << 59, 0U);  // IRTCacheDis
    EXPECT_EQ((sticks & kXtEn) != 0, profile != Profile::kV1);
    EXPECT_EQ((sticks & kGtEn) != 0, profile == Profile::kV2 || profile == Profile::kFull);
    EXPECT_EQ((sticks & kGcr3TrpMode) != 0, profile == Profile::kFull);
  }
}

TEST_F(Gap, GA15ALargeLeafIsOneEntryAndNothingIsFlushedWhenFull) {
  machine_.store(kRoot + 8, leaf(0));  // 1 GiB
  for (unsigned i = 0; i < 64; ++i) EXPECT_TRUE(machine_.dma(0x40000000 + i * 0x100000));
  EXPECT_EQ(machine_.iommu->stats().walks, 1U);
  EXPECT_EQ(machine_.iommu->stats().fills, 1U);
}

TEST_F(Gap, GA16HostileModesAreEventsNotAsserts) {
  for (unsigned mode = 0; mode < 8; ++mode)
    for (const std::uint64_t iova : {std::uint64_t{0}, std::uint64_t{0x5000}, ~std::uint64_t{7}}) {
      machine_.attach(kDevice, mode, kDomain);
      machine_.forget_device(kDevice);
      (void)machine_.dma(iova, Access::kRead);
    }
  machine_.attach(kDevice, 3, kDomain);
  machine_.forget_all();
  EXPECT_EQ(machine_.dma(0x5000), 0x4000000U);
}

TEST_F(Gap, GA17EveryLeafSizeAndSkip) {
  for (unsigned lg2 = 12; lg2 <= 38; ++lg2) {
    const unsigned level = (lg2 - 12) / 9 + 1;
    const bool own_size = (lg2 - 12) % 9 == 0;
    const std::uint64_t code = own_size ? 0 : ((std::uint64_t{1} << (lg2 - 1)) - 1) & ~0xfffULL;
    const std::uint64_t iova = std::uint64_t{1} << 38 | (std::uint64_t{1} << lg2);
    const std::uint64_t copies = own_size ? 1 : std::uint64_t{1} << (lg2 - 12 - 9 * (level - 1));
    machine_.attach(kDevice, 4, kDomain);
    // The root skips down to the leaf's level where it can: bits between must be zero.
    std::uint64_t table = kRoot;
    for (unsigned l = 4; l > level; --l) {
      const std::uint64_t next = kTables + 0x10000 + l * 0x1000;
      machine_.store(table + (iova >> 9 * l & 0xff8), pde(next, l - 1));
      table = next;
    }
    const std::uint64_t first = iova >> (12 + 9 * (level - 1)) & 0x1ff & ~(copies - 1);
    for (std::uint64_t i = 0; i < copies; ++i)
      machine_.store(table + (first + i) * 8, leaf(code, own_size ? 0 : 7));
    machine_.forget_all();
    const std::uint64_t inside = 0xabc & ((std::uint64_t{1} << lg2) - 1);
    EXPECT_EQ(machine_.dma(iova + inside, Access::kRead), inside) << lg2;
  }
}

// One unit of AMD's beside another is no special case: domains of equal numbers are apart.
TEST(GapMachine, GA18TwoUnitsShareNothing) {
  Machine machine;
  machine.start();
  Coverage coverage;
  coverage.units.push_back({.register_base = 0xfed80000, .functions = {{0, 0x7f}}});
  coverage.units.push_back({.register_base = 0xfed90000, .functions = {{0x80, 0xffff}}});
  const auto table = build_ivrs(coverage);
  ASSERT_TRUE(table);
  alignas(4096) static std::byte ram[1 << 16];
  auto memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), ram));
  Iommu iommu({.memory = memory});
  ASSERT_TRUE(iommu.use_tables(ivrs_parser(), *table));
  auto& first = iommu.add_unit<Unit>(0xfed80000, options_for(Profile::kV1));
  auto& second = iommu.add_unit<Unit>(0xfed90000, options_for(Profile::kV1));
  auto a = iommu.attach({.function = Requester::from_sid(0x10)}).value();
  auto b = iommu.attach({.function = Requester::from_sid(0x90)}).value();
  first.write_register(kDevTab, 8, 0x1000);
  first.write_register(kCtrl, 8, kIommuEn);
  (void)memory->store64(Hpa(0x1000 + 0x10 * 32), 3);
  EXPECT_FALSE(a->translate(Iova(0x5000), 4, Access::kRead));
  EXPECT_TRUE(b->translate(Iova(0x5000), 4, Access::kRead));
  EXPECT_EQ(second.read_register(kCtrl, 8), 0U);
}

}  // namespace
}  // namespace weir::amdvi::test
