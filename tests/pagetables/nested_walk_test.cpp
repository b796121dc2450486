// SPDX-License-Identifier: Apache-2.0
//
// The nested seam: an upper walk whose table reads are translated by a lower one. The upper stage's
// output is translated once more by whoever asked, as hardware does.
#include <gtest/gtest.h>

#include "pagetables/readers.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "tests/pagetables/table_memory.h"

namespace weir::pagetables {
namespace {

constexpr auto kRules = VtdSecondStage::rules({});
using Builder = TableBuilder<VtdSecondStage>;

// Upper tables lie at Ipa addresses that the lower stage moves up by kMove.
constexpr std::uint64_t kMove = 0x40000;
constexpr std::uint64_t kUpperRoot = 0x41000;
constexpr std::uint64_t kInput = 0x0000008080604123;

class Nested : public testing::Test {
 protected:
  // `levels` of both stages; upper pages from kUpperRoot on, each level's index its own.
  void build(unsigned levels, unsigned lower_max_lg2 = 12) {
    levels_ = levels;
    lower_root_ = *memory_.allocate();
    Builder lower(memory_.physical(), kRules, lower_root_, levels,
                  [&] { return memory_.allocate(); });
    ASSERT_TRUE(lower.map(0, 0x200000, Gpa(0), Permissions::read_write(), lower_max_lg2));
    // The upper tables' pages alone lie elsewhere.
    if (lower_max_lg2 == 12) {
      ASSERT_TRUE(
          lower.map(kUpperRoot, 0x6000, Gpa(kMove + kUpperRoot), Permissions::read_write(), 12));
    }
    const std::uint64_t move = lower_max_lg2 == 12 ? kMove : 0;
    std::uint64_t table = kUpperRoot;
    for (unsigned level = levels; level >= 1; --level) {
      const std::uint64_t index = kInput >> (12 + 9 * (level - 1)) & 0x1ff;
      entries_[level] = table + index * 8;
      const std::uint64_t next = level == 1 ? 0x9000 : table + 0x1000;
      memory_.at(move + entries_[level]) = next | 3;
      table += 0x1000;
    }
  }

  WalkResult<Gpa> lower(std::uint64_t address, const Ask& ask = {}) {
    DirectReader reader(memory_.physical());
    auto leaf = walk<VtdSecondStage>(kRules, reader, lower_root_, levels_, address, ask);
    if (leaf) return leaf;
    WalkFailure failure = leaf.error();
    failure.stage = Stage::kStage2;
    return Failure{failure};
  }

  // The upper walk through the seam, without the translation of its output.
  auto upper() {
    DirectReader direct(memory_.physical());
    auto translate = [this](std::uint64_t at, const Ask& ask) { return lower(at, ask); };
    TranslatedReader<Ipa, decltype(translate), DirectReader> reader(translate, direct);
    return walk<VtdSecondStage>(kRules, reader, Ipa(kUpperRoot), levels_, kInput, Ask{});
  }

  TableMemory memory_{256};
  unsigned levels_ = 4;
  Gpa lower_root_;
  std::array<std::uint64_t, 6> entries_{};
};

TEST_F(Nested, FourOverFourReadsTwentyFour) {
  build(4);
  const auto got = upper();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->page, Ipa(0x9000));
  EXPECT_EQ(got->references, 20u);  // 4 entries, each with 4 of the lower stage before it
  const auto last = lower(got->translate(kInput).value());
  ASSERT_TRUE(last);
  EXPECT_EQ(got->references + last->references, 24u);
  EXPECT_EQ(last->translate(got->translate(kInput).value()), Gpa(0x9123));
}

TEST_F(Nested, FiveOverFiveReadsThirtyFive) {
  build(5);
  const auto got = upper();
  ASSERT_TRUE(got);
  const auto last = lower(got->translate(kInput).value());
  ASSERT_TRUE(last);
  EXPECT_EQ(got->references + last->references, 35u);
}

TEST_F(Nested, LargePagesBelowReadLess) {
  build(4, 21);  // one 2 MiB leaf: three references each
  const auto got = upper();
  ASSERT_TRUE(got);
  const auto last = lower(got->translate(kInput).value());
  ASSERT_TRUE(last);
  EXPECT_EQ(got->references + last->references, 4u * 4u + 3u);
}

// Whatever the lower stage refuses is told in its own words, from whichever upper level.
TEST_F(Nested, TheLowerFailureIsKeptWhole) {
  build(4);
  // The lower last-level table is the fourth page given out: root, then levels 3, 2, 1.
  const std::uint64_t lower_last = lower_root_.value() + 3 * kPageSize;
  for (unsigned level = 4; level >= 1; --level) {
    const std::uint64_t page = entries_[level] / kPageSize;
    const std::uint64_t entry_at = lower_last + page * 8;
    const std::uint64_t kept = memory_.at(entry_at);
    memory_.at(entry_at) = 0x4000000000000003;
    const auto got = upper();
    memory_.at(entry_at) = kept;
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().stage, Stage::kStage2);
    EXPECT_EQ(got.error().level, 1) << "of the lower stage";
    EXPECT_EQ(got.error().entry_at, entry_at);
    EXPECT_EQ(got.error().reason, FaultReason::kReservedBits);
    // Whole upper steps of five, then the lower walk's four; the upper entry was never read.
    EXPECT_EQ(got.error().references, (4 - level) * 5 + 4);
  }
}

TEST_F(Nested, BeyondTheLowerReachNothingIsRead) {
  build(4);
  memory_.at(kMove + entries_[4]) = 0x1000000000003;  // 2^48: more than four levels reach
  const auto got = upper();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().stage, Stage::kStage2);
  EXPECT_EQ(got.error().reason, FaultReason::kBeyondInputWidth);
  EXPECT_EQ(got.error().references, 5u) << "the root's entry and the four below it";
}

TEST_F(Nested, AnUpperFailureNamesTheUpperEntry) {
  build(4);
  memory_.at(kMove + entries_[2]) = 0;
  const auto got = upper();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().stage, Stage::kNone);
  EXPECT_EQ(got.error().level, 2);
  EXPECT_EQ(got.error().entry_at, entries_[2]) << "in the space of the upper stage's pointers";
  EXPECT_EQ(got.error().references, 15u);
}

// The lower stage maps the table's page to where no memory is: that is the upper table's failure.
TEST_F(Nested, AnUpperTableWithoutMemory) {
  build(4);
  const std::uint64_t lower_last = lower_root_.value() + 3 * kPageSize;
  memory_.at(lower_last + 0x42 * 8) = 0x7ffffffff003;  // the second upper table's page
  const auto got = upper();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().stage, Stage::kNone);
  EXPECT_EQ(got.error().reason, FaultReason::kTableUnreadable);
  EXPECT_EQ(got.error().level, 3);
  EXPECT_EQ(got.error().entry_at, entries_[3]);
}

}  // namespace
}  // namespace weir::pagetables
