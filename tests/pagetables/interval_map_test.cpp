// SPDX-License-Identifier: Apache-2.0
//
// The rules of MAP and UNMAP, each by the clause of virtio 1.4 that states it, and the edges of the
// address space and of the limits.

#include "pagetables/interval_map.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/pagetables/failing_allocation.h"

namespace weir::pagetables {
namespace {

constexpr std::uint64_t kLast = ~std::uint64_t{0};

AddressRange<Iova> range(std::uint64_t first, std::uint64_t last) {
  return {Iova(first), Iova(last)};
}

Mapping mapping(std::uint64_t first, std::uint64_t last, std::uint64_t output = 0,
                Permissions permissions = Permissions::read_write(), bool mmio = false) {
  return {range(first, last), Gpa(output), permissions, mmio};
}

class IntervalMapTest : public testing::Test {
 protected:
  MapStatus map(std::uint64_t first, std::uint64_t last) { return map_.map(mapping(first, last)); }
  Unmapped unmap(std::uint64_t first, std::uint64_t last) { return map_.unmap(range(first, last)); }
  bool has(std::uint64_t first, std::uint64_t last) {
    const auto m = map_.lookup(Iova(first));
    return m && m->range == range(first, last);
  }

  FreeAtOnce retirer_;
  IntervalMap map_{{}, retirer_};
};

constexpr Unmapped removed(std::size_t n) { return {UnmapStatus::kUnmapped, n}; }
constexpr Unmapped kSplit{UnmapStatus::kWouldSplit, 0};

// --- 5.13.6.8, the seven examples

TEST_F(IntervalMapTest, UnmapExample1NothingMapped) { EXPECT_EQ(unmap(0, 4), removed(0)); }

TEST_F(IntervalMapTest, UnmapExample2WholeMapping) {
  ASSERT_EQ(map(0, 9), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 9), removed(1));
  EXPECT_FALSE(map_.lookup(Iova(0)));
}

TEST_F(IntervalMapTest, UnmapExample3TwoMappings) {
  ASSERT_EQ(map(0, 4), MapStatus::kMapped);
  ASSERT_EQ(map(5, 9), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 9), removed(2));
  EXPECT_EQ(map_.size(), 0U);
}

TEST_F(IntervalMapTest, UnmapExample4WouldSplitRemovesNothing) {
  ASSERT_EQ(map(0, 9), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 4), kSplit);
  EXPECT_TRUE(has(0, 9));
}

TEST_F(IntervalMapTest, UnmapExample5OneOfTwo) {
  ASSERT_EQ(map(0, 4), MapStatus::kMapped);
  ASSERT_EQ(map(5, 9), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 4), removed(1));
  EXPECT_TRUE(has(5, 9));
}

TEST_F(IntervalMapTest, UnmapExample6RangeLargerThanMapping) {
  ASSERT_EQ(map(0, 4), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 9), removed(1));
}

TEST_F(IntervalMapTest, UnmapExample7HoleBetween) {
  ASSERT_EQ(map(0, 4), MapStatus::kMapped);
  ASSERT_EQ(map(10, 14), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 14), removed(2));
}

// --- 5.13.6.8.2, "would split": nothing goes, wherever the split lies

TEST_F(IntervalMapTest, UnmapSplittingTheLastMappingKeepsTheEarlierOnes) {
  ASSERT_EQ(map(0, 9), MapStatus::kMapped);
  ASSERT_EQ(map(10, 19), MapStatus::kMapped);
  ASSERT_EQ(map(20, 29), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 25), kSplit);
  EXPECT_EQ(unmap(5, 29), kSplit);
  EXPECT_EQ(unmap(3, 6), kSplit);
  EXPECT_EQ(unmap(9, 9), kSplit);
  EXPECT_EQ(unmap(9, 10), kSplit);
  EXPECT_TRUE(has(0, 9) && has(10, 19) && has(20, 29));
  EXPECT_EQ(map_.size(), 3U);
}

TEST_F(IntervalMapTest, UnmapSplittingAcrossManyNodesRemovesNothing) {
  for (std::uint64_t i = 0; i < 5000; ++i) ASSERT_EQ(map(i * 16, i * 16 + 7), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, 4999 * 16 + 3), kSplit);
  EXPECT_EQ(unmap(4, kLast), kSplit);
  EXPECT_EQ(map_.size(), 5000U);
  for (std::uint64_t i = 0; i < 5000; ++i) ASSERT_TRUE(has(i * 16, i * 16 + 7)) << i;
}

// --- 5.13.6.7.2, overlap

TEST_F(IntervalMapTest, MapOverAnExistingMappingIsRefusedWhole) {
  ASSERT_EQ(map(10, 19), MapStatus::kMapped);
  EXPECT_EQ(map(10, 19), MapStatus::kOverlap);
  EXPECT_EQ(map(0, 10), MapStatus::kOverlap);
  EXPECT_EQ(map(19, 30), MapStatus::kOverlap);
  EXPECT_EQ(map(12, 13), MapStatus::kOverlap);
  EXPECT_EQ(map(0, 100), MapStatus::kOverlap);
  EXPECT_EQ(map(0, kLast), MapStatus::kOverlap);
  EXPECT_FALSE(map_.lookup(Iova(0)));
  EXPECT_EQ(map_.size(), 1U);
  EXPECT_EQ(map(0, 9), MapStatus::kMapped) << "touching is not overlapping";
  EXPECT_EQ(map(20, 20), MapStatus::kMapped);
}

// --- the answer

TEST_F(IntervalMapTest, TheByteJustBelowAndJustAboveIsNotMapped) {
  ASSERT_EQ(map(0x1000, 0x1fff), MapStatus::kMapped);
  EXPECT_FALSE(map_.lookup(Iova(0xfff)));
  EXPECT_FALSE(map_.lookup(Iova(0x2000)));
}

TEST_F(IntervalMapTest, AnAnswerIsTheWholeMappingWithItsFlags) {
  const Mapping all[] = {
      mapping(0x1000, 0x1fff, 0x9000, Permissions::read_only()),
      mapping(0x2000, 0x2fff, 0xa000, Permissions::write_only(), true),
      mapping(0x3001, 0x3001, 0x5, Permissions::of(false, false)),
      mapping(0x20'0000, 0x5f'ffff, 0x7000, Permissions::read_write(), true),  // two 2 MiB blocks
      mapping(0x4000'0000, 0xbfff'ffff, 0x8000'0000),                          // two of 1 GiB
      mapping(0x100'0000'0000, 0x1ff'ffff'ffff, 0x3),                          // 1 TiB, odd output
      mapping(0xfff0'0000'0000'0001, 0xffff'0000'0000'0000, 0xfffff),
  };
  for (const Mapping& m : all) ASSERT_EQ(map_.map(m), MapStatus::kMapped);
  for (const Mapping& m : all) {
    const std::uint64_t size_less_one = m.range.last - m.range.first;
    for (const std::uint64_t inside : {std::uint64_t{0}, size_less_one / 2, size_less_one}) {
      const auto found = map_.lookup(m.range.first + inside);
      ASSERT_TRUE(found);
      EXPECT_EQ(*found, m);
      EXPECT_EQ(found->translate(m.range.first + inside), m.output + inside);
    }
  }
}

TEST_F(IntervalMapTest, NextMappingAbove) {
  for (std::uint64_t i = 1; i <= 300; ++i) ASSERT_EQ(map(i * 100, i * 100 + 9), MapStatus::kMapped);
  EXPECT_EQ(map_.first_at_or_after(Iova(0))->range, range(100, 109));
  EXPECT_EQ(map_.first_at_or_after(Iova(109))->range, range(100, 109));
  EXPECT_EQ(map_.first_at_or_after(Iova(110))->range, range(200, 209));
  EXPECT_FALSE(map_.first_at_or_after(Iova(30010)));
  std::vector<std::uint64_t> seen;
  map_.for_each(range(205, 500), [&](const Mapping& m) { seen.push_back(m.range.first.value()); });
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{200, 300, 400, 500}));
}

// --- the edges of the space

TEST_F(IntervalMapTest, WholeSpace) {
  ASSERT_EQ(map(0, kLast), MapStatus::kMapped);
  EXPECT_TRUE(has(0, kLast));
  EXPECT_EQ(map_.lookup(Iova(kLast))->translate(Iova(kLast)), Gpa(kLast));
  EXPECT_EQ(map(kLast, kLast), MapStatus::kOverlap);
  EXPECT_EQ(unmap(0, kLast - 1), kSplit);
  EXPECT_EQ(unmap(1, kLast), kSplit);
  EXPECT_EQ(unmap(0, kLast), removed(1));
  EXPECT_FALSE(map_.lookup(Iova(kLast)));
}

TEST_F(IntervalMapTest, WholeSpaceUnmapTakesEverything) {
  for (std::uint64_t i = 0; i < 3000; ++i)
    ASSERT_EQ(map(i << 50, (i << 50) + 4095), MapStatus::kMapped);
  ASSERT_EQ(map(kLast, kLast), MapStatus::kMapped);
  EXPECT_EQ(unmap(0, kLast), removed(3001));
  EXPECT_EQ(map_.node_bytes(), 0U);
  EXPECT_FALSE(map_.first_at_or_after(Iova(0)));
}

TEST_F(IntervalMapTest, TheLastByteAlone) {
  ASSERT_EQ(map(kLast, kLast), MapStatus::kMapped);
  EXPECT_TRUE(has(kLast, kLast));
  EXPECT_FALSE(map_.lookup(Iova(kLast - 1)));
  for (std::uint64_t i = 1; i < 200; ++i) ASSERT_EQ(map(kLast - i, kLast - i), MapStatus::kMapped);
  EXPECT_TRUE(has(kLast, kLast));
  EXPECT_EQ(unmap(kLast, kLast), removed(1));
  EXPECT_FALSE(map_.lookup(Iova(kLast)));
  EXPECT_TRUE(has(kLast - 1, kLast - 1));
}

TEST_F(IntervalMapTest, ZeroLengthAndWrappingRangesAreRefused) {
  EXPECT_EQ(map(5, 4), MapStatus::kBadRange);
  EXPECT_EQ(map(kLast, 0), MapStatus::kBadRange);
  EXPECT_EQ(unmap(5, 4), (Unmapped{UnmapStatus::kBadRange, 0}));
  EXPECT_EQ(unmap(kLast, 0), (Unmapped{UnmapStatus::kBadRange, 0}));
  EXPECT_EQ(map_.map(mapping(0, 4096, kLast - 4095)), MapStatus::kOutputWraps);
  EXPECT_EQ(map_.map(mapping(0, kLast, 1)), MapStatus::kOutputWraps);
  EXPECT_EQ(map_.size(), 0U);
  EXPECT_EQ(map_.map(mapping(0, 4095, kLast - 4095)), MapStatus::kMapped);
}

// A mapping that reaches over where another leaf used to begin.
TEST_F(IntervalMapTest, AMappingMayTakeThePlaceOfManyThatWereThereBefore) {
  for (std::uint64_t i = 0; i < 4096; ++i) ASSERT_EQ(map(i * 8, i * 8 + 7), MapStatus::kMapped);
  for (std::uint64_t i = 1; i < 4095; ++i) ASSERT_EQ(unmap(i * 8, i * 8 + 7), removed(1));
  ASSERT_EQ(map(8, 4095 * 8 - 1), MapStatus::kMapped);
  for (std::uint64_t at = 8; at < 4095 * 8; ++at)
    ASSERT_EQ(map_.lookup(Iova(at))->range, range(8, 4095 * 8 - 1)) << at;
  EXPECT_TRUE(has(0, 7));
  EXPECT_TRUE(has(4095 * 8, 4095 * 8 + 7));
}

// --- limits

TEST(IntervalMapLimits, MappingsPerDomain) {
  FreeAtOnce retirer;
  IntervalMap map({.max_mappings = 100}, retirer);
  for (std::uint64_t i = 0; i < 100; ++i)
    ASSERT_EQ(map.map(mapping(i * 10, i * 10 + 4)), MapStatus::kMapped);
  EXPECT_EQ(map.map(mapping(5000, 5001)), MapStatus::kNoMemory);
  EXPECT_EQ(map.map(mapping(3, 5001)), MapStatus::kOverlap) << "the guest's mistake comes first";
  EXPECT_EQ(map.unmap(range(0, 9)).removed, 1U);
  EXPECT_EQ(map.map(mapping(5000, 5001)), MapStatus::kMapped);
}

struct Hoard final : NodeRetirer {
  void retire(RetiredNodes nodes) override { kept.push_back(std::move(nodes)); }
  std::vector<RetiredNodes> kept;
};

TEST(IntervalMapLimits, RetiredMemoryBehindAReaderThatDoesNotLeave) {
  Hoard hoard;
  IntervalMap map({.max_retired_bytes = 64 << 10}, hoard);
  std::uint64_t i = 0;
  while (i < 100'000 && map.map(mapping(i * 10, i * 10 + 4)) == MapStatus::kMapped) ++i;
  EXPECT_LT(i, 1000U);
  EXPECT_EQ(map.map(mapping(i * 10, i * 10 + 4)), MapStatus::kNoMemory);
  EXPECT_LE(map.retired_bytes(), std::size_t{80} << 10);
  EXPECT_EQ(map.unmap(range(0, 4)).removed, 1U) << "letting go is never refused";
  hoard.kept.clear();
  EXPECT_EQ(map.retired_bytes(), 0U);
  EXPECT_EQ(map.map(mapping(i * 10, i * 10 + 4)), MapStatus::kMapped);
}

TEST(IntervalMapLimits, RetiredNodesOutliveTheMap) {
  Hoard hoard;
  {
    IntervalMap map({}, hoard);
    for (std::uint64_t i = 0; i < 1000; ++i)
      ASSERT_EQ(map.map(mapping(i << 12, (i << 12) + 4095)), MapStatus::kMapped);
    map.clear();
    EXPECT_EQ(map.node_bytes() + map.index_bytes(), 0U);
    EXPECT_EQ(map.size(), 0U);
  }
  std::size_t bytes = 0;
  for (const auto& nodes : hoard.kept) bytes += nodes.bytes();
  EXPECT_GT(bytes, 24'000U);
}

TEST(IntervalMapLimits, AHugeMappingCostsNoMoreThanASmallOne) {
  FreeAtOnce retirer;
  IntervalMap map({}, retirer);
  ASSERT_EQ(map.map(mapping(0x1'0000'0000, 0x101'0000'0fff)), MapStatus::kMapped);  // 1 TiB + 4 KiB
  EXPECT_LE(map.node_bytes() + map.index_bytes(), 20'000U);
}

// A table that was made on the way to one that the limit then refused must not be lost.
TEST(IntervalMapLimits, IndexTablesMadeInVainAreNotLost) {
  FreeAtOnce retirer;
  // Room for three tables of 512 words; a 4 KiB page needs four.
  IntervalMap map({.index_bytes_per_mapping = 0, .index_bytes_at_start = 3 * 4200}, retirer);
  ASSERT_EQ(map.map(mapping(0, 4095)), MapStatus::kMapped);
  EXPECT_EQ(map.lookup(Iova(5))->range, range(0, 4095));
  EXPECT_GT(map.index_bytes(), 8192U);
  EXPECT_LE(map.index_bytes(), 3U * 4200);
  ASSERT_EQ(map.unmap(range(0, 4095)).removed, 1U);
  ASSERT_EQ(map.map(mapping(0, 0x3fff'ffff)), MapStatus::kMapped);
  EXPECT_EQ(map.lookup(Iova(5))->range, range(0, 0x3fff'ffff));
  map.clear();
  EXPECT_EQ(map.index_bytes(), 0U);
  EXPECT_FALSE(map.lookup(Iova(5)));
}

// However the guest chooses what it unmaps, what stays pays for no more than a few slots each.
TEST(IntervalMapLimits, SparseRemainsAreMerged) {
  FreeAtOnce retirer;
  IntervalMap map({.index_bytes_per_mapping = 0, .index_bytes_at_start = 0}, retirer);
  constexpr std::uint64_t kCount = 100'000;
  for (std::uint64_t i = 0; i < kCount; ++i)
    ASSERT_EQ(map.map(mapping(i * 10, i * 10 + 4)), MapStatus::kMapped);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    if (i % 64 == 0) continue;
    ASSERT_EQ(map.unmap(range(i * 10, i * 10 + 4)).removed, 1U);
  }
  EXPECT_LE(map.node_bytes() / map.size(), 100U);
}

// --- the host runs out of memory

TEST(IntervalMapOutOfMemory, AFailedChangeChangesNothing) {
  FreeAtOnce retirer;
  IntervalMap map({}, retirer);
  const auto check = [&](std::uint64_t count) {
    ASSERT_EQ(map.size(), count);
    for (std::uint64_t i = 0; i < count; ++i)
      ASSERT_EQ(map.lookup(Iova(i * 10 + 2))->range, range(i * 10, i * 10 + 4)) << i;
  };
  std::uint64_t refused = 0;
  constexpr std::uint64_t kCount = 6000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    for (unsigned allowed = 0;; ++allowed) {
      testing_support::fail_node_allocations_after(allowed);
      const MapStatus status = map.map(mapping(i * 10, i * 10 + 4));
      testing_support::allow_node_allocations();
      if (status == MapStatus::kMapped) break;
      ASSERT_EQ(status, MapStatus::kNoMemory);
      ++refused;
      if (i % 500 == 0) check(i);
    }
  }
  EXPECT_GE(refused, kCount);
  check(kCount);
  unsigned failures = 0;
  for (unsigned allowed = 0;; ++allowed) {
    testing_support::fail_node_allocations_after(allowed);
    const Unmapped result = map.unmap(range(15'000, 45'004));
    testing_support::allow_node_allocations();
    if (result.status == UnmapStatus::kUnmapped) {
      EXPECT_EQ(result.removed, 3001U);
      break;
    }
    ++failures;
    ASSERT_EQ(result, (Unmapped{UnmapStatus::kNoMemory, 0}));
    check(kCount);
  }
  EXPECT_GE(failures, 3U) << "two leaves and the path above them";
}

}  // namespace
}  // namespace weir::pagetables
