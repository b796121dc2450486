// SPDX-License-Identifier: Apache-2.0
//
// INVALIDATE_IOMMU_PAGES removes exactly what it names (L5): for every size that an address can
// encode and every leaf size, entries are counted before and after; neighbours and other domains
// stay.

#include "iotlb/iotlb.h"
#include "tests/amdvi/machine.h"
#include "vendors/amdvi/commands.h"

namespace weir::amdvi::test {
namespace {

// What an address says with S set, as Linux builds it: ones from bit 12 up to a zero at lg2 - 1.
[[nodiscard]] std::uint64_t encoded(std::uint64_t base, unsigned lg2) {
  const std::uint64_t ones = lg2 > 13 ? (std::uint64_t{1} << (lg2 - 1)) - 0x1000 : 0;
  return (base & ~((std::uint64_t{1} << lg2) - 1)) | ones;
}

TEST(InvalidationTest, EverySizeThatAnAddressEncodes) {
  for (unsigned lg2 = 13; lg2 < 64; ++lg2) {
    const std::uint64_t base = 0xa5a5a5a5a5a5a000 >> (lg2 < 60 ? 0 : 63 - lg2);
    const auto range = pages_of(encoded(base, lg2), true);
    ASSERT_TRUE(range) << lg2;
    const std::uint64_t mask = (std::uint64_t{1} << lg2) - 1;
    EXPECT_EQ(range->first.value(), base & ~mask) << lg2;
    EXPECT_EQ(range->last.value(), base | mask) << lg2;
  }
  EXPECT_EQ(pages_of(0x7ffffffffffff000, true), std::nullopt);
  EXPECT_EQ(pages_of(~std::uint64_t{0xfff}, true), std::nullopt);
  const auto one = pages_of(0x12345000, false);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->first.value(), 0x12345000U);
  EXPECT_EQ(one->last.value(), 0x12345fffU);
}

// Entries of every leaf size, three of each side by side, in two domains: a command removes those
// of its domain that it touches, as the definition says, and no other.
TEST(InvalidationTest, RemovesWhatItTouchesAtEveryLeafSize) {
  constexpr std::uint64_t kAt = 0x40'0000'0000;
  for (unsigned size = 12; size <= 39; ++size) {
    iotlb::Iotlb tlb({.entries = 1024});
    std::vector<std::pair<DomainId, AddressRange<Iova>>> kept;
    for (unsigned domain = 1; domain <= 2; ++domain)
      for (unsigned lg2 = 12; lg2 <= 36; ++lg2)
        for (unsigned i = 0; i < 3; ++i) {
          const std::uint64_t page = kAt + (std::uint64_t{i} << lg2);
          const iotlb::Tag tag{.domain = DomainId{domain}};
          ASSERT_EQ(
              tlb.fill(tlb.begin_fill(tag.domain), {.tag = tag,
                                                    .page = Iova(page),
                                                    .output = 0,
                                                    .page_lg2 = static_cast<std::uint8_t>(lg2),
                                                    .permissions = Permissions::all()}),
              iotlb::FillResult::kFilled);
          kept.emplace_back(
              tag.domain,
              AddressRange<Iova>{Iova(page), Iova(page + (std::uint64_t{1} << lg2) - 1)});
        }
    const auto range = pages_of(size == 12 ? kAt : encoded(kAt, size), size > 12);
    ASSERT_TRUE(range);
    const std::size_t before = tlb.size();
    std::size_t touched = 0;
    for (const auto& [domain, page] : kept)
      if (domain == DomainId{1} && page.overlaps(*range)) ++touched;
    const auto removed = tlb.invalidate(
        {.scope = iotlb::Scope::kStage2Range, .domain = DomainId{1}, .range = *range});
    EXPECT_EQ(removed.entries, touched) << size;
    EXPECT_FALSE(removed.widened);
    EXPECT_EQ(tlb.size(), before - touched) << size;
  }
}

// The same through the command buffer, seen by who has to walk again.
TEST(InvalidationTest, ByCommandNeighboursStay) {
  Machine machine;
  machine.start();
  machine.attach(kDevice, 3, 7);
  machine.attach(0x30, 3, 8);
  machine.store(kRoot, pde(kTables, 2));
  for (unsigned i = 0; i < 64; ++i) machine.store(kTables + i * 8, leaf(0));  // 2 MiB each
  machine.store(kTables, pde(kTables + 0x1000, 1));
  for (unsigned i = 0; i < 512; ++i) machine.store(kTables + 0x1000 + i * 8, leaf(i * 0x1000));
  std::vector<std::uint64_t> pages;
  for (unsigned i = 0; i < 64; ++i) pages.push_back(i * 0x1000);
  for (unsigned i = 1; i < 32; ++i) pages.push_back(i * 0x200000);
  const auto touch = [&] {
    const std::uint64_t before = machine.iommu->stats().walks;
    for (const std::uint64_t page : pages) {
      EXPECT_TRUE(machine.dma(page));
      EXPECT_TRUE(machine.dma(page, Access::kWrite, 0x30));
    }
    return machine.iommu->stats().walks - before;
  };
  EXPECT_EQ(touch(), pages.size() * 2);
  EXPECT_EQ(touch(), 0U);
  for (unsigned lg2 = 12; lg2 <= 26; ++lg2) {
    std::size_t covered = 0;
    for (const std::uint64_t page : pages)
      if (page >> lg2 == 0) ++covered;
    machine.forget_pages(7, lg2 == 12 ? 0 : encoded(0, lg2) | 1);
    EXPECT_EQ(touch(), covered) << lg2;
  }
  machine.forget_pages(7, 0x7ffffffffffff000 | 3);
  EXPECT_EQ(touch(), pages.size());
}

// PDE = 0: only leaves have changed, and the way to them is remembered.
TEST(InvalidationTest, DirectoriesStayWithoutPde) {
  Machine machine;
  machine.start();
  machine.attach(kDevice, 3, 7);
  machine.store(kRoot, pde(kTables, 2));
  machine.store(kTables, pde(kTables + 0x1000, 1));
  machine.store(kTables + 0x1000, leaf(0x5000));
  const auto references = [&] {
    const auto before = machine.iommu->stats().references;
    EXPECT_EQ(machine.dma(0), 0x5000U);
    return machine.iommu->stats().references - before;
  };
  EXPECT_EQ(references(), 3U);
  machine.forget_pages(7, 0);
  EXPECT_EQ(references(), 1U);
  machine.forget_pages(7, 2);
  EXPECT_EQ(references(), 3U);
}

// Two devices share a domain, one of them may not write: whoever filled the entry (L10).
TEST(InvalidationTest, RightsAreTheRequestersOwn) {
  Machine machine;
  machine.start();
  machine.attach(kDevice, 1, 7);
  machine.set_entry(0x30, kRoot | 1 << 9 | 3 | kIr, 7);
  machine.store(kRoot, leaf(0x5000));
  EXPECT_EQ(machine.dma(0), 0x5000U);
  EXPECT_EQ(machine.dma(0, Access::kRead, 0x30), 0x5000U);
  EXPECT_EQ(machine.iommu->stats().walks, 1U);
  EXPECT_EQ(machine.dma(0, Access::kWrite, 0x30), std::nullopt);
  const auto events = machine.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].flags(), 0x070U);
  EXPECT_EQ(events[0].domain(), 7U);
  machine.forget_all();
  EXPECT_EQ(machine.dma(0, Access::kWrite, 0x30), std::nullopt);
  EXPECT_EQ(machine.dma(0, Access::kRead, 0x30), 0x5000U);
  EXPECT_EQ(machine.dma(0), 0x5000U);
}

}  // namespace
}  // namespace weir::amdvi::test
