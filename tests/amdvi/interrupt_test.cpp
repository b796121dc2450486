// SPDX-License-Identifier: Apache-2.0
//
// Interrupt remapping as a driver and a device meet it; golden vectors V31 and V32, gap item GA13.

#include <array>
#include <cstring>

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

constexpr std::uint64_t kIrt = 0x600000, kApicPage = 0x610000;
constexpr std::uint64_t kRemap = std::uint64_t{2} << 60;
// IV, 2^n entries, remap.
[[nodiscard]] constexpr std::uint64_t table_of(unsigned n) { return kIrt | n << 1 | 1 | kRemap; }

class InterruptTest : public ::testing::Test {
 protected:
  explicit InterruptTest(std::uint64_t control = kUsual) : control_(control) {
    machine_.start(control);
    set_entry(table_of(9));
  }
  void set_entry(std::uint64_t q2) {
    machine_.set_entry(kDevice, 0, 0, q2);
    machine_.forget_all();
  }
  void set_irte32(unsigned index, std::uint32_t entry) {
    const std::uint64_t at = kIrt + index * 4 / 8 * 8;
    const unsigned shift = index % 2 * 32;
    machine_.store(at, (machine_.load(at) & ~(std::uint64_t{0xffffffff} << shift)) |
                           std::uint64_t{entry} << shift);
  }
  void set_irte128(unsigned index, std::uint64_t low, std::uint64_t high) {
    machine_.store(kIrt + index * 16 + 8, high);
    machine_.store(kIrt + index * 16, low);
  }
  // True: it went through; what arrived is in msis().
  bool send(std::uint32_t data, std::uint64_t address = 0xfee00000) {
    std::array<std::byte, 4> bytes;
    std::memcpy(bytes.data(), &data, 4);
    return machine_.port().write(Iova(address), bytes).ok();
  }
  [[nodiscard]] std::vector<std::pair<Requester, Msi>>& msis() {
    return machine_.sinks.device_msis;
  }
  void expect_event(unsigned code, unsigned flags) {
    const auto events = machine_.events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].code(), code);
    EXPECT_EQ(events[0].flags(), flags);
    EXPECT_EQ(events[0].device(), kDevice);
    EXPECT_EQ(events[0].domain(), 0U);
  }

  Machine machine_;
  std::uint64_t control_;
};

TEST_F(InterruptTest, V31IndexBeyondTheTable) {
  set_entry(table_of(3));
  set_irte32(80, 0x00400001);
  EXPECT_FALSE(send(80));
  expect_event(2, 0x008);
  EXPECT_TRUE(msis().empty());
  set_irte32(7, 0x00400001);
  EXPECT_TRUE(send(7));
  EXPECT_FALSE(send(8));
}

TEST_F(InterruptTest, V32DisabledEntriesAndAbort) {
  EXPECT_FALSE(send(5));
  expect_event(2, 0x008);
  set_irte32(5, 0x00400002);  // SupIOPF
  EXPECT_FALSE(send(5));
  EXPECT_TRUE(machine_.events().empty());
  set_entry(table_of(9) & ~kRemap);  // IntCtl = 0
  EXPECT_FALSE(send(5));
  expect_event(2, 0x008);
  set_entry((table_of(9) & ~kRemap) | 0x20);  // IG
  EXPECT_FALSE(send(5));
  EXPECT_TRUE(machine_.events().empty());
  EXPECT_TRUE(msis().empty());
}

TEST_F(InterruptTest, GA13EveryLengthIsChecked) {
  for (unsigned n = 0; n <= 9; ++n) {
    set_entry(table_of(n));
    const unsigned entries = 1U << n;
    set_irte32(entries - 1, 0x00400001);
    EXPECT_TRUE(send(entries - 1)) << n;
    EXPECT_FALSE(n < 9 && send(entries)) << n;
  }
}

TEST_F(InterruptTest, RemapsWith32BitEntries) {
  set_irte32(3, 0x00'41'07'41);  // vector 41h, destination 7, logical
  EXPECT_TRUE(send(3));
  ASSERT_EQ(msis().size(), 1U);
  EXPECT_EQ(msis()[0].first.bdf, kDevice);
  EXPECT_EQ(msis()[0].second.address, 0xfee07004U);
  EXPECT_EQ(msis()[0].second.data & 0x7ff, 0x41U);
  set_irte32(4, 0x00'42'08'05);  // arbitrated
  EXPECT_TRUE(send(4));
  EXPECT_EQ(msis()[1].second.address, 0xfee08000U);
  EXPECT_EQ(msis()[1].second.data & 0x7ff, 0x142U);
}

TEST_F(InterruptTest, WithoutValidBitEverythingPasses) {
  set_entry(0);
  EXPECT_TRUE(send(0x4123, 0xfee0200c));
  ASSERT_EQ(msis().size(), 1U);
  EXPECT_EQ(msis()[0].second, (Msi{.address = 0xfee0200c, .data = 0x4123}));
  // V and TV of the other half do not matter.
  machine_.set_entry(kDevice, 3, 0, table_of(9));
  machine_.forget_all();
  EXPECT_FALSE(send(9));
}

TEST_F(InterruptTest, ForwardsUnmapped) {
  set_entry((table_of(9) & ~kRemap) | std::uint64_t{1} << 60);
  EXPECT_TRUE(send(0x55));
  EXPECT_EQ(msis()[0].second.data, 0x55U);
}

TEST_F(InterruptTest, IllegalEntries) {
  set_entry(table_of(9) | std::uint64_t{3} << 60);
  EXPECT_FALSE(send(1));
  expect_event(1, 0x008);
  set_entry(table_of(12));
  EXPECT_FALSE(send(1));
  expect_event(1, 0x008);
  set_entry(table_of(9) | std::uint64_t{1} << 52);  // reserved
  EXPECT_FALSE(send(1));
  expect_event(1, 0x088);
  // The DMA half of the same entry is not concerned.
  EXPECT_EQ(machine_.dma(0x5000), 0x5000U);
}

// Bits of the upper half of a device entry that no revision of the manual up to 3.05 defines
// (VirtualBox's iommu-amd.h: IOMMU_DTE_QWORD_2_VALID_MASK, IOMMU_DTE_QWORD_3_VALID_MASK, with
// GuestPagingMode and HPTMode as later revisions have them), and those of a virtual IOMMU, which
// this one is not (EFR.vIommuSup = 0).
TEST_F(InterruptTest, EveryReservedBitOfAnEntry) {
  const std::uint64_t reserved2 = std::uint64_t{3} << 52, reserved3 = 0x001fffffffffffff;
  set_irte32(1, 0x00400001);
  for (unsigned bit = 0; bit < 128; ++bit) {
    const std::uint64_t mask = std::uint64_t{1} << bit % 64;
    const bool high = bit >= 64;
    // What has a meaning changes the answer in ways of its own.
    if (((high ? reserved3 : reserved2) & mask) == 0) continue;
    machine_.set_entry(kDevice, 0, 0, table_of(9) | (high ? 0 : mask), high ? mask : 0);
    machine_.forget_all();
    EXPECT_FALSE(send(1)) << bit;
    expect_event(1, 0x088);  // I RZ
    // Without IV none of it is looked at.
    machine_.set_entry(kDevice, 0, 0, (table_of(9) & ~std::uint64_t{1}) | (high ? 0 : mask),
                       high ? mask : 0);
    machine_.forget_all();
    EXPECT_TRUE(send(1)) << bit;
  }
  // And bits that are ignored, or say something about others, are no error.
  for (const unsigned bit : {53U, 55U, 56U, 63U}) {
    machine_.set_entry(kDevice, 0, 0, table_of(9), std::uint64_t{1} << bit);
    machine_.forget_all();
    EXPECT_TRUE(send(1)) << bit;
  }
}

TEST_F(InterruptTest, ReservedBitsAndTypes) {
  for (const std::uint32_t entry : {0x01'40'00'01U, 0x00'40'00'09U, 0x00'40'00'81U}) {
    set_irte32(6, entry);
    EXPECT_FALSE(send(6));
    expect_event(2, 0x098);  // I PR RZ
  }
}

TEST_F(InterruptTest, OtherDeliveryModesHaveTheirPassBits) {
  struct Row {
    std::uint32_t data;
    unsigned bit;
  };
  for (const Row row : {Row{0x500, 56}, Row{0x700, 57}, Row{0x400, 58}}) {
    set_entry(table_of(9));
    EXPECT_FALSE(send(row.data));
    expect_event(2, 0x008);
    set_entry(table_of(9) | std::uint64_t{1} << row.bit);
    EXPECT_TRUE(send(row.data));
    EXPECT_EQ(msis().back().second.data, row.data);
    EXPECT_FALSE(send(row.data, 0xfee00004));  // logical
    expect_event(2, 0x008);
  }
}

// Seen on hardware: ExtInt to all, address=0xfdf800ff98.
TEST_F(InterruptTest, EventsShowTheBusForm) {
  EXPECT_FALSE(send(0x700, 0xfeeff000));
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].high, 0xfdf800ff98U);
}

TEST_F(InterruptTest, TablesOutsideMemory) {
  set_entry((table_of(9) & ~kIrt) | 0xffffff0000);
  EXPECT_FALSE(send(2));
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 4U);
  EXPECT_EQ(events[0].flags() & 0x008, 0x008U);
  EXPECT_EQ(events[0].high, 0xffffff0008U);
}

TEST_F(InterruptTest, OffMeansAsItIs) {
  machine_.write(kCtrl, 0);
  EXPECT_TRUE(send(0x44));
  EXPECT_EQ(msis()[0].second.data, 0x44U);
}

TEST_F(InterruptTest, ResolveAnswersTheSame) {
  set_irte32(3, 0x00'41'07'01);
  const auto resolved = machine_.iommu->resolve_msi(Requester::from_sid(kDevice), 0xfee00000, 3);
  (void)machine_.port();
  const auto attached = machine_.iommu->resolve_msi(Requester::from_sid(kDevice), 0xfee00000, 3);
  ASSERT_TRUE(attached);
  EXPECT_EQ(attached->msi.address, 0xfee07000U);
  EXPECT_EQ(attached->index, 3U);
  (void)resolved;
  EXPECT_TRUE(msis().empty());
}

class WideInterruptTest : public InterruptTest {
 protected:
  WideInterruptTest() : InterruptTest(kUsual | kGaEn | kXtEn) {}
};

TEST_F(WideInterruptTest, XtHas32BitDestinations) {
  set_irte128(3, 0x0012345641, 0x12'00000000000055ULL);
  EXPECT_TRUE(send(3));
  ASSERT_EQ(msis().size(), 1U);
  EXPECT_EQ(msis()[0].second.address, 0x12123400'fee56004ULL);
  EXPECT_EQ(msis()[0].second.data & 0x7ff, 0x55U);
}

TEST_F(WideInterruptTest, WithoutXtOnlyTheLowestByteCounts) {
  machine_.write(kCtrl, kUsual | kGaEn);
  set_irte128(3, 0x0012345601, 0x12'00000000000055ULL);
  EXPECT_TRUE(send(3));
  EXPECT_EQ(msis()[0].second.address, 0xfee56000U);
}

TEST_F(WideInterruptTest, WideEntriesLieSixteenBytesApart) {
  for (unsigned i = 0; i < 512; ++i) set_irte128(i, i << 8 | 1, i & 0xff);
  for (unsigned i = 0; i < 512; i += 73) {
    EXPECT_TRUE(send(i));
    EXPECT_EQ(msis().back().second.data & 0xff, i & 0xff);
  }
}

TEST_F(WideInterruptTest, GuestModeNeedsItsControl) {
  set_irte128(3, 0x81, kApicPage | 0x31);
  EXPECT_FALSE(send(3));
  expect_event(2, 0x098);
}

class GuestLogTest : public InterruptTest {
 protected:
  GuestLogTest() : InterruptTest(kUsual | kGaEn | kXtEn | kGamEn | kGaLogEn | kGaIntEn) {
    machine_.unit->set_msi(Msi{.address = 0xfee00000, .data = 0x77});
  }
};

TEST_F(GuestLogTest, AGuestThatIsNotRunningIsLogged) {
  machine_.write(kGaTailAddr, 0x620000);
  set_irte128(3, std::uint64_t{0xcafe1234} << 32 | 0x85, kApicPage | 0x31);  // GALogIntr
  EXPECT_TRUE(send(3));
  EXPECT_EQ(machine_.load(kApicPage + 0x210), 1U << 0x11);  // vector 31h
  EXPECT_EQ(machine_.load(kGaLogAt), 0x10000028cafe1234ULL);
  EXPECT_EQ(machine_.read(kGaTail), 8U);
  EXPECT_EQ(machine_.load(0x620000), 8U);
  EXPECT_EQ(machine_.read(kStat) & 0x400, 0x400U);
  ASSERT_EQ(machine_.sinks.unit_msis.size(), 1U);
  EXPECT_TRUE(msis().empty());
}

TEST_F(GuestLogTest, ARunningGuestGetsTheDoorbell) {
  set_irte128(3, 0x5c5, kApicPage | 0xff);  // IsRun, destination 5
  EXPECT_TRUE(send(3));
  EXPECT_EQ(machine_.load(kApicPage + 0x270), std::uint64_t{1} << 31);
  EXPECT_EQ(machine_.read(kGaTail), 0U);
  ASSERT_EQ(msis().size(), 1U);
  EXPECT_EQ(msis()[0].second.address, 0xfee05000U);
}

TEST_F(GuestLogTest, AFullLogOverflows) {
  set_irte128(3, 0x85, kApicPage | 0x31);
  for (unsigned i = 0; i < 256; ++i) EXPECT_TRUE(send(3));
  EXPECT_EQ(machine_.read(kStat) & 0x300, 0x200U);  // overflow, not running
  EXPECT_EQ(machine_.read(kGaTail), 255U * 8);
}

TEST_F(GuestLogTest, AnAbsentApicPageIsAnEvent) {
  set_irte128(3, 0x85, 0xffff000000 | 0x31);
  EXPECT_FALSE(send(3));
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 4U);
}

}  // namespace
}  // namespace weir::amdvi::test
