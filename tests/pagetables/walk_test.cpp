// SPDX-License-Identifier: Apache-2.0
//
// The radix walk over hand-written tables: which entry is read for which address bit, where it
// stops and what it has read by then.
#include "pagetables/walk.h"

#include <gtest/gtest.h>

#include <array>

#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"
#include "tests/pagetables/table_memory.h"

namespace weir::pagetables {
namespace {

constexpr auto kRules = VtdSecondStage::rules({});

WalkResult<Gpa> walk_from(const TableMemory& memory, std::uint64_t root, unsigned levels,
                          std::uint64_t input, Access access = Access::kRead,
                          const VtdSecondStage::Rules& rules = kRules) {
  DirectReader reader(memory.physical());
  return walk<VtdSecondStage>(rules, reader, Gpa(root), levels, input, Ask{.access = access});
}

// Table pages 1…5 are levels 5…1: 0x1000 is the root of five levels, 0x2000 of four, 0x3000 of
// three. Bytes of the entry that an address with only `bit` set selects, by hand: bit 12 is the
// second entry of the last level (8), bit 20 its entry 256 (0x800), bit 21 again 8 a level up, …
constexpr std::array<std::uint64_t, 45> kEntryOffset{
    8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,   // 12…20
    8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,   // 21…29
    8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,   // 30…38
    8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,   // 39…47
    8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800};  // 48…56

// One address bit at a time: every level but the bit's own uses entry 0.
TEST(Walk, EveryAddressBitOnceAtEveryDepthAndLeafSize) {
  struct Shape {
    unsigned levels;
    unsigned top_bit;
  };
  for (const Shape shape : {Shape{3, 38}, Shape{4, 47}, Shape{5, 56}}) {
    for (unsigned leaf_level = 1; leaf_level <= 3; ++leaf_level) {
      for (unsigned bit = 12; bit <= shape.top_bit; ++bit) {
        TableMemory memory(8);
        const unsigned bit_level = (bit - 12) / 9 + 1;  // which group of nine
        const bool inside_page = bit_level < leaf_level;
        for (unsigned level = shape.levels; level >= leaf_level; --level) {
          const std::uint64_t table = 0x1000 * (6 - level);
          const std::uint64_t offset = level == bit_level ? kEntryOffset.at(bit - 12) : 0;
          const std::uint64_t next = 0x1000 * (7 - level);
          const std::uint64_t leaf = 0x40000000 | 3 | (level > 1 ? 0x80 : 0);
          memory.at(table + offset) = level == leaf_level ? leaf : next | 3;
        }
        const std::uint64_t input = std::uint64_t{1} << bit | 0xabc;
        const auto got = walk_from(memory, 0x1000 * (6 - shape.levels), shape.levels, input);
        ASSERT_TRUE(got) << shape.levels << " levels, leaf " << leaf_level << ", bit " << bit;
        EXPECT_EQ(got->level, leaf_level);
        EXPECT_EQ(got->page, Gpa(0x40000000));
        EXPECT_EQ(got->page_lg2, leaf_level == 1 ? 12 : leaf_level == 2 ? 21 : 30);
        EXPECT_EQ(got->references, shape.levels - leaf_level + 1);
        const std::uint64_t inside = inside_page ? input : 0xabc;
        EXPECT_EQ(got->translate(input), Gpa(0x40000000 + inside));
      }
    }
  }
}

TEST(Walk, BeyondReachReadsNothing) {
  const TableMemory memory(8);
  struct Row {
    unsigned levels;
    std::uint64_t last;
  };
  for (const Row row : {Row{3, 0x7fffffffff}, Row{4, 0xffffffffffff}, Row{5, 0x1ffffffffffffff}}) {
    const auto inside = walk_from(memory, 0x1000, row.levels, row.last);
    ASSERT_FALSE(inside);
    EXPECT_EQ(inside.error().reason, FaultReason::kNoReadPermission);
    EXPECT_EQ(inside.error().references, 1u);
    EXPECT_EQ(inside.error().entry_at, 0x1ff8u);
    for (const std::uint64_t input : {row.last + 1, 0xffffffffffffffff, 0x8000000000000000}) {
      const auto beyond = walk_from(memory, 0x1000, row.levels, input);
      ASSERT_FALSE(beyond);
      EXPECT_EQ(beyond.error().reason, FaultReason::kBeyondInputWidth);
      EXPECT_EQ(beyond.error().level, 0);
      EXPECT_EQ(beyond.error().references, 0u);
    }
  }
}

TEST(Walk, StopsAtTheExactEntry) {
  // Input with a different index at each level: 1, 2, 3, 4 from level 4 down.
  constexpr std::uint64_t kInput = 0x0000008080604123;
  constexpr std::array<std::uint64_t, 4> kEntries{0x2008, 0x3010, 0x4018, 0x5020};
  for (std::size_t broken = 0; broken < 4; ++broken) {
    TableMemory memory(8);
    for (std::size_t i = 0; i < 4; ++i) memory.at(kEntries[i]) = (0x3000 + 0x1000 * i) | 3;
    struct Way {
      std::uint64_t entry;
      FaultReason reason;
    };
    for (const Way way : {Way{0, FaultReason::kNoReadPermission},
                          Way{0xffffffffffffffff, FaultReason::kReservedBits},
                          Way{0x4000000000003003, FaultReason::kReservedBits}}) {
      memory.at(kEntries[broken]) = way.entry;
      const auto got = walk_from(memory, 0x2000, 4, kInput);
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().reason, way.reason);
      EXPECT_EQ(got.error().level, 4 - broken);
      EXPECT_EQ(got.error().entry_at, kEntries[broken]);
      EXPECT_EQ(got.error().references, broken + 1);
      EXPECT_EQ(got.error().stage, Stage::kNone);
    }
  }
}

TEST(Walk, TablesOutsideMemory) {
  TableMemory memory(8);
  auto got = walk_from(memory, 0x100000, 4, 0x1000);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kRootTableUnreadable);
  EXPECT_EQ(got.error().level, 4);
  EXPECT_EQ(got.error().entry_at, 0x100000u);

  memory.at(0x2000) = 0xffffffffff003;  // the highest page that an entry can name
  got = walk_from(memory, 0x2000, 4, 0x40000000);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kTableUnreadable);
  EXPECT_EQ(got.error().level, 3);
  EXPECT_EQ(got.error().entry_at, 0xffffffffff008u);
}

TEST(Walk, ATableThatPointsToItselfEnds) {
  TableMemory memory(8);
  memory.at(0x2000) = 0x2003;
  const auto got = walk_from(memory, 0x2000, 5, 0xfff);
  ASSERT_TRUE(got) << "the last level calls it a leaf";
  EXPECT_EQ(got->page, Gpa(0x2000));
  EXPECT_EQ(got->references, 5u);
}

TEST(Walk, PermissionsAreThoseOfEveryLevel) {
  for (unsigned weak = 1; weak <= 4; ++weak) {
    for (const std::uint64_t bits : {1ull, 2ull}) {
      TableMemory memory(8);
      for (unsigned level = 4; level >= 1; --level)
        memory.at(0x1000 * (6 - level)) = 0x1000 * (7 - level) | (level == weak ? bits : 3);
      const auto read = walk_from(memory, 0x2000, 4, 0);
      const auto write = walk_from(memory, 0x2000, 4, 0, Access::kWrite);
      EXPECT_EQ(read.ok(), bits == 1);
      EXPECT_EQ(write.ok(), bits == 2);
      const auto& good = bits == 1 ? read : write;
      const auto& bad = bits == 1 ? write : read;
      EXPECT_EQ(good->permissions.bits(), bits | 0xc);
      EXPECT_EQ(bad.error().level, weak);
      EXPECT_EQ(bad.error().reason,
                bits == 1 ? FaultReason::kNoWritePermission : FaultReason::kNoReadPermission);
      EXPECT_FALSE(walk_from(memory, 0x2000, 4, 0, Access::kReadWrite));
    }
  }
  // Read at one level and write at another leave nothing, found at the lower of the two.
  TableMemory memory(8);
  memory.at(0x2000) = 0x3001;
  memory.at(0x3000) = 0x4002;
  const auto got = walk_from(memory, 0x2000, 4, 0);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().level, 3);
}

// A permission that is missing above beats a reserved bit below.
TEST(Walk, TheUpperEntrySpeaksFirst) {
  TableMemory memory(8);
  memory.at(0x2000) = 0x3001;
  memory.at(0x3000) = 0xffffffffffffffff;
  EXPECT_EQ(walk_from(memory, 0x2000, 4, 0, Access::kWrite).error().reason,
            FaultReason::kNoWritePermission);
  EXPECT_EQ(walk_from(memory, 0x2000, 4, 0).error().reason, FaultReason::kReservedBits);
}

TEST(Walk, TheLeafIsGivenAsRead) {
  TableMemory memory(8);
  memory.at(0x3000) = 0x4003;
  memory.at(0x4000) = 0xbff0000040000783;  // ignored bits set, 2 MiB
  const auto got = walk_from(memory, 0x3000, 3, 0x1fffff);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->entry, 0xbff0000040000783u);
  EXPECT_EQ(got->translate(0x1fffff), Gpa(0x401fffff));
}

}  // namespace
}  // namespace weir::pagetables
