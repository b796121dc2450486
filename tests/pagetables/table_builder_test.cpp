// SPDX-License-Identifier: Apache-2.0
#include "pagetables/table_builder.h"

#include <gtest/gtest.h>

#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "tests/pagetables/table_memory.h"

namespace weir::pagetables {
namespace {

constexpr auto kRules = VtdSecondStage::rules({});
constexpr auto kSmallOnly = VtdSecondStage::rules({.pages_2m = false, .pages_1g = false});
constexpr std::uint64_t k2M = 0x200000;
constexpr std::uint64_t k1G = 0x40000000;

class Builder : public testing::Test {
 protected:
  explicit Builder(const VtdSecondStage::Rules& rules = kRules, unsigned levels = 4)
      : rules_(rules), builder_(memory_.physical(), rules, *memory_.allocate(), levels, [this] {
          return memory_.allocate();
        }) {}

  [[nodiscard]] WalkResult<Gpa> look(std::uint64_t input) {
    DirectReader reader(memory_.physical());
    return walk<VtdSecondStage>(rules_, reader, builder_.root(), builder_.levels(), input, Ask{});
  }
  // 0: not mapped.
  [[nodiscard]] unsigned size_at(std::uint64_t input) {
    const auto leaf = look(input);
    return leaf ? leaf->page_lg2 : 0;
  }
  [[nodiscard]] Result<Done, BuildFailure> map(std::uint64_t input, std::uint64_t size,
                                               std::uint64_t output, unsigned max_lg2) {
    return builder_.map(input, size, Gpa(output), Permissions::read_write(), max_lg2);
  }

  TableMemory memory_{64};
  const VtdSecondStage::Rules rules_;
  TableBuilder<VtdSecondStage> builder_;
};

TEST_F(Builder, UsesTheLargestPagesThatFit) {
  // From 4 KiB before a 2 MiB border to 4 KiB after the next but one.
  ASSERT_TRUE(map(k2M - 0x1000, 2 * k2M + 0x2000, k1G + k2M - 0x1000, 30));
  EXPECT_EQ(size_at(k2M - 0x1001), 0u);
  EXPECT_EQ(size_at(k2M - 0x1000), 12u);
  EXPECT_EQ(size_at(k2M), 21u);
  EXPECT_EQ(size_at(3 * k2M - 1), 21u);
  EXPECT_EQ(size_at(3 * k2M), 12u);
  EXPECT_EQ(size_at(3 * k2M + 0x1000), 0u);
  for (const std::uint64_t at : {k2M - 0x1000, k2M + 0x12345, 3 * k2M + 0xfff})
    EXPECT_EQ(look(at)->translate(at), Gpa(k1G + at));
}

TEST_F(Builder, TheLimitAndTheOutputDecideTheSize) {
  ASSERT_TRUE(map(k1G, k1G, 2 * k1G, 30));
  EXPECT_EQ(size_at(k1G), 30u);
  ASSERT_TRUE(map(8 * k1G, 2 * k2M, 0, 21));
  EXPECT_EQ(size_at(8 * k1G), 21u);
  ASSERT_TRUE(map(10 * k1G, k2M, 0, 20));
  EXPECT_EQ(size_at(10 * k1G), 12u) << "the limit is in bytes of a page";
  ASSERT_TRUE(map(12 * k1G, k2M, 0x1000, 30));
  EXPECT_EQ(size_at(12 * k1G), 12u) << "the output is not aligned to more";
}

class SmallPages : public Builder {
 protected:
  SmallPages() : Builder(kSmallOnly) {}
};
TEST_F(SmallPages, WhatTheUnitDoesNotHaveIsNotUsed) {
  ASSERT_TRUE(map(0, k2M, 0, 30));
  EXPECT_EQ(size_at(0), 12u);
}

TEST_F(Builder, UnmapsExactlyAndWholeLeaves) {
  ASSERT_TRUE(map(0, 4 * k2M, k1G, 21));
  ASSERT_TRUE(map(4 * k2M, 0x3000, k1G, 12));
  ASSERT_TRUE(builder_.unmap(k2M, k2M));
  EXPECT_EQ(size_at(0), 21u);
  EXPECT_EQ(size_at(k2M), 0u);
  EXPECT_EQ(size_at(2 * k2M), 21u);
  // One page inside a larger leaf takes the leaf.
  ASSERT_TRUE(builder_.unmap(2 * k2M + 0x5000, 0x1000));
  EXPECT_EQ(size_at(2 * k2M), 0u);
  EXPECT_EQ(size_at(3 * k2M), 21u);
  // Over holes, and up to the middle of the last table.
  ASSERT_TRUE(builder_.unmap(0, 4 * k2M + 0x2000));
  EXPECT_EQ(size_at(0), 0u);
  EXPECT_EQ(size_at(4 * k2M + 0x1000), 0u);
  EXPECT_EQ(size_at(4 * k2M + 0x2000), 12u);
}

// Both ends are canonical.
TEST(BuilderOfSignExtended, NothingAcrossTheHole) {
  TableMemory memory;
  TableBuilder<X86FirstStage> builder(memory.physical(), X86FirstStage::rules({}),
                                      *memory.allocate(), 4, [&] { return memory.allocate(); });
  constexpr std::uint64_t kLow = 0x00007fff'fffff000;
  constexpr std::uint64_t kHigh = 0xffff8000'00000000;
  const std::uint64_t across = kHigh + 0x1000 - kLow;
  EXPECT_EQ(builder.map(kLow, across, Gpa(0), Permissions::all(), 12).error(),
            BuildFailure::kBeyondReach);
  EXPECT_EQ(builder.unmap(kLow, across).error(), BuildFailure::kBeyondReach);
  EXPECT_TRUE(builder.map(kLow, 0x1000, Gpa(0x5000), Permissions::all(), 12).ok());
  EXPECT_TRUE(builder.map(kHigh, 0x1000, Gpa(0x6000), Permissions::all(), 12).ok());
}

TEST_F(Builder, TheLastPageOfItsReach) {
  const std::uint64_t last = 0x0000fffffffff000;
  ASSERT_TRUE(map(last, 0x1000, 0x5000, 30));
  EXPECT_EQ(look(last + 0xfff)->translate(last + 0xfff), Gpa(0x5fff));
  EXPECT_EQ(map(last, 0x2000, 0, 12).error(), BuildFailure::kBeyondReach);
  EXPECT_EQ(map(last + 0x1000, 0x1000, 0, 12).error(), BuildFailure::kBeyondReach);
  EXPECT_EQ(map(~0xfffull, 0x2000, 0, 12).error(), BuildFailure::kBeyondReach) << "wraps";
  EXPECT_EQ(builder_.unmap(last, 0x2000).error(), BuildFailure::kBeyondReach);
  ASSERT_TRUE(builder_.unmap(0, 0x1000000000000));
  EXPECT_EQ(size_at(last), 0u);
}

TEST_F(Builder, RefusesOddAddressesAndDoesNothingForNoBytes) {
  EXPECT_EQ(map(0x800, 0x1000, 0, 12).error(), BuildFailure::kMisaligned);
  EXPECT_EQ(map(0, 0x1800, 0, 12).error(), BuildFailure::kMisaligned);
  EXPECT_EQ(map(0, 0x1000, 0x10, 12).error(), BuildFailure::kMisaligned);
  EXPECT_EQ(builder_.unmap(0x10, 0x1000).error(), BuildFailure::kMisaligned);
  EXPECT_TRUE(map(0, 0, 0, 12));
  EXPECT_TRUE(builder_.unmap(0, 0));
  EXPECT_EQ(size_at(0), 0u);
}

TEST_F(Builder, ALeafWhereATableIsNeededIsACollision) {
  ASSERT_TRUE(map(0, k2M, 0, 21));
  EXPECT_EQ(map(0x1000, 0x1000, 0x9000, 12).error(), BuildFailure::kCollision);
  EXPECT_EQ(size_at(0x1000), 21u) << "the leaf stays as it was";
  ASSERT_TRUE(map(0, k2M, k1G, 21));
  EXPECT_EQ(look(0)->page, Gpa(k1G)) << "a leaf of the same size is replaced";
}

// What an entry allows of the two does not hide the table or leaf behind it.
TEST_F(Builder, EntriesThatOnlyWriteOrOnlyRead) {
  ASSERT_TRUE(builder_.map(0, 0x1000, Gpa(0x7000), Permissions::write_only(), 12));
  const auto leaf_at = builder_.entry_at(0, 1);
  ASSERT_TRUE(leaf_at);
  EXPECT_EQ(memory_.at(leaf_at->value()), 0x7002u);
  const auto table_at = builder_.entry_at(0, 2);
  memory_.at(table_at->value()) &= ~1ull;
  ASSERT_TRUE(map(0x1000, 0x1000, 0x8000, 12));
  EXPECT_EQ(memory_.at(leaf_at->value() + 8), 0x8003u) << "the table was found, not replaced";
  ASSERT_TRUE(builder_.unmap(0, 0x1000));
  EXPECT_EQ(memory_.at(leaf_at->value()), 0u);
}

TEST_F(Builder, NoPageLeft) {
  while (memory_.allocate()) {
  }
  EXPECT_EQ(map(0, 0x1000, 0, 12).error(), BuildFailure::kNoPage);
}

TEST(BuilderMemory, TablesOutsideMemory) {
  TableMemory memory(4);
  TableBuilder<VtdSecondStage> outside(memory.physical(), kRules, Gpa(0x100000), 3,
                                       [&] { return memory.allocate(); });
  EXPECT_EQ(outside.map(0, 0x1000, Gpa(0), Permissions::read_write(), 12).error(),
            BuildFailure::kNoMemory);
  EXPECT_TRUE(outside.unmap(0, 0x1000)) << "nothing is mapped there";
}

}  // namespace
}  // namespace weir::pagetables
