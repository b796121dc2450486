// SPDX-License-Identifier: Apache-2.0
//
// Guest tables (v2): PASIDs through guest CR3 tables of one to three levels, requests without PASID
// by GIoV, and the same nested over host tables (v1), with exact reference counts. Entries are
// x86-64's.

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

constexpr std::uint16_t kDomain = 7;
constexpr std::uint64_t kGcr3 = 0x700000, kGuest = 0x710000, kData = 0x3000000;
constexpr std::uint64_t kGv = std::uint64_t{1} << 55, kGiov = std::uint64_t{1} << 54;
constexpr std::uint64_t kV2Control = kUsual | kGtEn;

// The root of the guest CR3 table, as Linux spreads it over the entry.
struct RootBits {
  std::uint64_t q0 = 0, q1 = 0;
};
[[nodiscard]] constexpr RootBits root_bits(std::uint64_t root) {
  return {(root >> 12 & 7) << 58, (root >> 15 & 0xffff) << 16 | (root >> 31 & 0x1fffff) << 43};
}

class GuestWalkTest : public ::testing::Test {
 protected:
  explicit GuestWalkTest(std::uint64_t control = kV2Control, const CacheOptions& caches = {})
      : machine_(options_for(Profile::kFull), caches) {
    machine_.start(control);
  }
  void attach(std::uint64_t q0, std::uint64_t gcr3 = kGcr3, std::uint64_t q2 = 0,
              std::uint16_t bdf = kDevice) {
    const RootBits root = root_bits(gcr3);
    machine_.set_entry(bdf, 3 | kRw | kGv | q0 | root.q0, kDomain | root.q1, q2);
    machine_.forget_all();
  }
  // Four levels at `root` with one page of 4 KiB. Pointers are shifted by `shift` in memory.
  void map_guest(std::uint64_t root, std::uint64_t iova, std::uint64_t page, std::uint64_t bits = 7,
                 std::uint64_t shift = 0) {
    std::uint64_t table = root;
    for (unsigned level = 4; level > 1; --level) {
      const std::uint64_t next = root + 0x1000 * (5 - level);
      machine_.store(table + shift + (iova >> 9 * level & 0xff8), next | 7);
      table = next;
    }
    machine_.store(table + shift + (iova >> 12 & 0x1ff) * 8, page | bits);
  }
  [[nodiscard]] std::optional<std::uint64_t> dma(std::uint64_t iova, std::optional<unsigned> pasid,
                                                 Access access = Access::kWrite,
                                                 bool privileged = false, bool execute = false) {
    DmaAttributes attributes;
    if (pasid) attributes.pasid = Pasid{*pasid};
    attributes.privileged = privileged;
    attributes.execute = execute;
    return machine_.dma(iova, access, kDevice, attributes);
  }
  void expect_event(unsigned flags, unsigned pasid, std::uint64_t address, unsigned code = 2) {
    const auto events = machine_.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].code(), code);
    EXPECT_EQ(events[0].flags(), flags);
    EXPECT_EQ(events[0].pasid(), pasid);
    EXPECT_EQ(events[0].high, address);
  }

  Machine machine_;
};

TEST_F(GuestWalkTest, OneLevelOfPasids) {
  machine_.store(kGcr3 + 5 * 8, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData);
  attach(0);
  EXPECT_EQ(dma(0x12345678, 5), kData + 0x678);
  EXPECT_EQ(dma(0x12345678, 6), std::nullopt);
  expect_event(0x025, 6, 0x12345678);  // GN US RW; the PASID is not present
  EXPECT_EQ(dma(0x12346000, 5, Access::kRead), std::nullopt);
  expect_event(0x005, 5, 0x12346000);
  EXPECT_EQ(dma(0x12345678, 512), std::nullopt);  // beyond one level
  EXPECT_EQ(machine_.events().size(), 1U);
  // Without a PASID and without GIoV the host side counts, which is identity here.
  EXPECT_EQ(dma(0x12345678 & 0xffffff, std::nullopt), 0x345678U);
}

TEST_F(GuestWalkTest, Gcr3Levels) {
  constexpr unsigned kPasid = 0xc5a33;
  machine_.store(kGcr3 + (kPasid >> 18) * 8, (kGcr3 + 0x1000) | 1);
  machine_.store(kGcr3 + 0x1000 + (kPasid >> 9 & 0x1ff) * 8, (kGcr3 + 0x2000) | 1);
  machine_.store(kGcr3 + 0x2000 + (kPasid & 0x1ff) * 8, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData);
  attach(std::uint64_t{2} << 56);
  EXPECT_EQ(dma(0x12345000, kPasid), kData);
  EXPECT_EQ(dma(0x12345000, kPasid ^ 1), std::nullopt);
  expect_event(0x025, kPasid ^ 1, 0x12345000);
  machine_.store(kGcr3 + 0x1000 + (kPasid >> 9 & 0x1ff) * 8, (kGcr3 + 0x2000) | 3);
  machine_.forget_all();
  EXPECT_EQ(dma(0x12345000, kPasid), std::nullopt);
  expect_event(0x0b5, kPasid, 0x12345000);  // PR RZ
}

TEST_F(GuestWalkTest, PasidBits) {
  Options options = options_for(Profile::kFull);
  options.pasid_bits = 4;
  Machine machine(options);
  EXPECT_EQ(machine.read(kEfr) >> 32 & 0x1f, 3U);
  machine.start(kV2Control);
  for (unsigned pasid = 0; pasid < 32; ++pasid) machine.store(kGcr3 + pasid * 8, kGuest | 1);
  machine.store(kGuest, 0x83 | 4);  // never looked at: not a legal leaf at level 4
  const RootBits root = root_bits(kGcr3);
  machine.set_entry(kDevice, 3 | kRw | kGv | root.q0, kDomain | root.q1);
  EXPECT_EQ(machine.dma(0x1000, Access::kRead, kDevice, {.pasid = Pasid{16}}), std::nullopt);
  const auto events = machine.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].flags(), 0x005U);
}

TEST_F(GuestWalkTest, GuestIo) {
  machine_.store(kGcr3, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData);
  attach(kGiov);
  EXPECT_EQ(dma(0x12345678, std::nullopt), kData + 0x678);
  EXPECT_EQ(dma(0x12345678, 0), kData + 0x678);
  EXPECT_EQ(dma(0x22345678, std::nullopt), std::nullopt);
  expect_event(0x025, 0, 0x22345678);
  // PASID 0 has all 48 bits: not sign-extended.
  map_guest(kGuest + 0x10000, 0x8000'0000'0000, kData + 0x1000);
  machine_.store(kGcr3, (kGuest + 0x10000) | 1);
  machine_.forget_all();
  EXPECT_EQ(dma(0x8000'0000'0000, std::nullopt), kData + 0x1000);
  EXPECT_EQ(dma(0x1'8000'0000'0000, std::nullopt), std::nullopt);
  expect_event(0x035, 0, 0x1'8000'0000'0000);
}

TEST_F(GuestWalkTest, OtherPasidsAreCanonical) {
  machine_.store(kGcr3 + 8, kGuest | 1);
  map_guest(kGuest, 0x8000'0000'0000, kData);
  attach(kGiov);
  EXPECT_EQ(dma(0x8000'0000'0000, 1), std::nullopt);
  expect_event(0x035, 1, 0x8000'0000'0000);
  EXPECT_EQ(dma(0xffff'8000'0000'0000, 1), kData);
}

TEST_F(GuestWalkTest, FiveLevels) {
  machine_.store(kGcr3 + 8, (kGuest + 0x20000) | 1);
  map_guest(kGuest, 0x12345000, kData);
  machine_.store(kGuest + 0x20000, kGuest | 7);
  attach(0, kGcr3, std::uint64_t{1} << 54);
  EXPECT_EQ(dma(0x12345000, 1), kData);
  attach(0, kGcr3, std::uint64_t{2} << 54);  // no such mode
  EXPECT_EQ(dma(0x12345000, 1), std::nullopt);
  expect_event(0x020, 0, 0x12345000, 1);
}

TEST_F(GuestWalkTest, UserPagesAndReadOnlyPages) {
  machine_.store(kGcr3 + 8, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData, 3);  // supervisor
  attach(0);
  EXPECT_EQ(dma(0x12345000, 1), std::nullopt);
  expect_event(0x075, 1, 0x12345000);  // PE PR
  EXPECT_EQ(dma(0x12345000, 1, Access::kWrite, true), kData);
  EXPECT_EQ(dma(0x12345000, 1), std::nullopt);  // the entry that is there now is no way in (L10)
  EXPECT_EQ(machine_.events().size(), 1U);
  map_guest(kGuest, 0x12345000, kData, 5);  // read-only
  machine_.forget_all();
  EXPECT_EQ(dma(0x12345000, 1), std::nullopt);
  expect_event(0x075, 1, 0x12345000);
  EXPECT_EQ(dma(0x12345000, 1, Access::kRead), kData);
}

TEST_F(GuestWalkTest, NoExecute) {
  machine_.store(kGcr3 + 8, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData, 7 | std::uint64_t{1} << 63);
  attach(0);
  EXPECT_EQ(dma(0x12345000, 1, Access::kRead), kData);
  EXPECT_EQ(dma(0x12345000, 1, Access::kRead, false, true), std::nullopt);
  expect_event(0x057, 1, 0x12345000);  // NX GN US PR PE
}

TEST_F(GuestWalkTest, AccessedAndDirtyAreSet) {
  machine_.store(kGcr3 + 8, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData);
  attach(0);
  const std::uint64_t at = kGuest + 0x3000 + 0x145 * 8;
  (void)machine_.port().peek(Iova(0x12345000), Access::kWrite, {.pasid = Pasid{1}});
  EXPECT_EQ(machine_.load(at), kData | 7);
  EXPECT_EQ(dma(0x12345000, 1, Access::kRead), kData);
  EXPECT_EQ(machine_.load(at), kData | 0x27);
  EXPECT_EQ(dma(0x12345000, 1), kData);
  EXPECT_EQ(machine_.load(at), kData | 0x67);
}

TEST_F(GuestWalkTest, EntryRightsComeFirst) {
  machine_.store(kGcr3 + 8, kGuest | 1);
  map_guest(kGuest, 0x12345000, kData);
  const RootBits root = root_bits(kGcr3);
  machine_.set_entry(kDevice, 3 | kIr | kGv | root.q0, kDomain | root.q1);
  EXPECT_EQ(dma(0x12345000, 1, Access::kRead), kData);
  EXPECT_EQ(dma(0x12345000, 1), std::nullopt);
  expect_event(0x075, 1, 0x12345000);
}

TEST_F(GuestWalkTest, InvalidationsByPasid) {
  for (unsigned pasid = 1; pasid < 4; ++pasid) {
    machine_.store(kGcr3 + pasid * 8, (kGuest + pasid * 0x10000) | 1);
    map_guest(kGuest + pasid * 0x10000, 0x12345000, kData + pasid * 0x1000);
    map_guest(kGuest + pasid * 0x10000, 0x12346000, kData + pasid * 0x1000);
  }
  attach(0);
  const auto touch = [this] {
    for (unsigned pasid = 1; pasid < 4; ++pasid) {
      EXPECT_TRUE(dma(0x12345000, pasid));
      EXPECT_TRUE(dma(0x12346000, pasid));
    }
    return machine_.iommu->stats().walks;
  };
  std::uint64_t walks = touch();
  EXPECT_EQ(touch(), walks);
  const auto forget = [this](unsigned pasid, std::uint64_t high) {
    machine_.post(std::uint64_t{3} << 60 | std::uint64_t{kDomain} << 32 | pasid, high);
    EXPECT_TRUE(machine_.wait());
  };
  forget(2, 0x12345000 | 4);  // one page of one PASID
  EXPECT_EQ(touch(), walks + 1);
  forget(2, 0x7ffffffffffff000 | 5);  // all of one PASID
  EXPECT_EQ(touch(), walks + 3);
  forget(9, 0x7ffffffffffff000 | 7);
  EXPECT_EQ(touch(), walks + 3);
  forget(0, 0x7ffffffffffff000 | 3);  // the whole domain
  EXPECT_EQ(touch(), walks + 9);
  // A new CR3 takes hold with a flush of the PASID, no entry command: as Linux does it.
  machine_.store(kGcr3 + 8, (kGuest + 0x30000) | 1);
  forget(1, 0x7ffffffffffff000 | 7);
  EXPECT_EQ(dma(0x12345000, 1), kData + 0x3000);
}

// Nested: the guest's addresses of its tables are 1000000h below where they are.
class NestedTest : public GuestWalkTest {
 protected:
  static constexpr std::uint64_t kShift = 0x1000000, kHostRoot = 0x500000;

  explicit NestedTest(const CacheOptions& caches = {.walk = {.stage1_tables = 0,
                                                             .stage2_tables = 0,
                                                             .stage2_pages = 0}})
      : GuestWalkTest(kV2Control | kGcr3TrpMode, caches) {
    // Four host levels, pages of 4 KiB: 0…2 MiB of GPA for tables, and one page of data.
    machine_.store(kHostRoot, pde(kHostRoot + 0x1000, 3));
    machine_.store(kHostRoot + 0x1000, pde(kHostRoot + 0x2000, 2));
    machine_.store(kHostRoot + 0x2000 + 3 * 8, pde(kHostRoot + 0x3000, 1));
    machine_.store(kHostRoot + 0x2000 + 24 * 8, pde(kHostRoot + 0x4000, 1));
    for (std::uint64_t page = 0x600000; page < 0x800000; page += 0x1000)
      machine_.store(kHostRoot + 0x3000 + (page >> 12 & 0x1ff) * 8, leaf(page + kShift));
    machine_.store(kHostRoot + 0x4000, leaf(0x5000000));
    machine_.store(kGcr3 + kShift + 8, kGuest | 1);
    map_guest(kGuest, 0x12345000, kData, 7, kShift);
    attach(kHostRoot | 4 << 9);
  }
};

TEST_F(NestedTest, GuestOverHost) {
  EXPECT_EQ(dma(0x12345678, 1), 0x5000678U);
  EXPECT_TRUE(machine_.events().empty());
}

TEST_F(NestedTest, TwentyFourReferencesWithNothingCached) {
  EXPECT_EQ(dma(0x12345678, 1, Access::kRead), 0x5000678U);  // sets the accessed bits
  machine_.forget_pages(0, 0x7ffffffffffff003);
  machine_.post(std::uint64_t{3} << 60 | std::uint64_t{kDomain} << 32, 0x7ffffffffffff003);
  ASSERT_TRUE(machine_.wait());
  const auto before = machine_.iommu->stats();
  EXPECT_EQ(dma(0x12345678, 1, Access::kRead), 0x5000678U);
  const auto after = machine_.iommu->stats();
  EXPECT_EQ(after.walks, before.walks + 1);
  EXPECT_EQ(after.references - before.references, 24U);
}

TEST_F(NestedTest, HostFaultsNameTheGuestPhysicalAddress) {
  map_guest(kGuest, 0x12345000, 0x3001000, 7, kShift);
  EXPECT_EQ(dma(0x12345678, 1), std::nullopt);
  auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].flags(), 0x020U);  // GN = 0
  EXPECT_EQ(events[0].domain(), kDomain);
  EXPECT_EQ(events[0].high, 0x3001678U);
  // A guest table page without a host page.
  machine_.store(kHostRoot + 0x3000 + (0x711 & 0x1ff) * 8, 0);
  machine_.forget_all();
  EXPECT_EQ(dma(0x12345678, 1), std::nullopt);
  events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].domain(), kDomain);
  EXPECT_EQ(events[0].high, 0x711000U);
}

TEST_F(NestedTest, RootByControl) {
  machine_.write(kCtrl, kV2Control);  // GCR3TRPMode = 0: the root is a system physical address
  EXPECT_EQ(dma(0x12345678, 1), std::nullopt);
  attach(kHostRoot | 4 << 9, kGcr3 + kShift);
  EXPECT_EQ(dma(0x12345678, 1), 0x5000678U);
}

TEST_F(NestedTest, AChangeBelowReachesWhatWasMadeThroughIt) {
  EXPECT_EQ(dma(0x12345678, 1), 0x5000678U);
  machine_.store(kHostRoot + 0x4000, leaf(0x6000000));
  machine_.forget_pages(kDomain, kData);  // GN = 0: a guest-physical page
  EXPECT_EQ(dma(0x12345678, 1), 0x6000678U);
}

// The guest CR3 table lies in the guest's memory too.
TEST_F(NestedTest, AChangeBelowReachesTheGuestCr3) {
  EXPECT_EQ(dma(0x12345678, 1), 0x5000678U);
  map_guest(kGuest + 0x10000, 0x12345000, kData, 7, kShift);
  machine_.store(kGuest + 0x10000 + kShift + 0x3000 + 0x145 * 8, 0);  // not present
  machine_.store(kGcr3 + kShift + 0x5000 + 8, (kGuest + 0x10000) | 1);
  machine_.store(kHostRoot + 0x3000 + 0x100 * 8, leaf(kGcr3 + kShift + 0x5000));
  machine_.forget_pages(kDomain, kGcr3);
  EXPECT_EQ(dma(0x12345678, 1), std::nullopt);
}

// A table page of the guest is remapped below it: PDE = 0, since only a host leaf has changed.
class CachedNestedTest : public NestedTest {
 protected:
  CachedNestedTest() : NestedTest(CacheOptions{}) {}
};
TEST_F(CachedNestedTest, AChangeBelowReachesTablesOfTheGuest) {
  EXPECT_EQ(dma(0x12345678, 1), 0x5000678U);
  machine_.store(kGuest + kShift + 0x3000 + 0x146 * 8, kData | 7);
  // The last table of the guest, from another host page on.
  machine_.store(kGuest + kShift + 0x40000 + 0x147 * 8, kData | 7);
  machine_.store(kHostRoot + 0x3000 + 0x113 * 8, leaf(kGuest + kShift + 0x40000));
  machine_.forget_pages(kDomain, kGuest + 0x3000);
  EXPECT_EQ(dma(0x12346678, 1), std::nullopt);
  EXPECT_EQ(dma(0x12347678, 1), 0x5000678U);
  // A directory of the guest from another page on: the pointer that was remembered is void.
  machine_.store(kGuest + kShift + 0x50000 + 0x91 * 8, (kGuest + 0x60000) | 7);
  machine_.store(kGuest + kShift + 0x60000 + 0x145 * 8, kData | 7);
  machine_.store(kHostRoot + 0x3000 + 0x112 * 8, leaf(kGuest + kShift + 0x50000));
  machine_.forget_pages(kDomain, kGuest + 0x2000);
  EXPECT_EQ(dma(0x12347678, 1), std::nullopt);
  EXPECT_EQ(dma(0x12345678, 1), 0x5000678U);
}

TEST_F(NestedTest, BothStagesMustAllow) {
  machine_.store(kHostRoot + 0x4000, leaf(0x5000000) & ~kIw);
  EXPECT_EQ(dma(0x12345678, 1, Access::kRead), 0x5000678U);
  EXPECT_EQ(dma(0x12345678, 1), std::nullopt);
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].flags(), 0x070U);
  EXPECT_EQ(events[0].high, kData + 0x678);
}

}  // namespace
}  // namespace weir::amdvi::test
