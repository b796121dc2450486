// SPDX-License-Identifier: Apache-2.0
//
// Nested translation: S8, over every pair of level counts, with the codes 74h to 7Ch.
//
// Clauses of the manual: 9.7 and 9.8 (S8, S13), 7.1.3 (codes).
#include <gtest/gtest.h>

#include "tests/vtd/scalable_fixture.h"

namespace weir::vtd::test {
namespace {

class NestedTest : public ScalableTest {
 protected:
  using ScalableTest::ScalableTest;

  // The second-stage entry of a page of the first 4 MiB.
  [[nodiscard]] static std::uint64_t below(std::uint64_t gpa) {
    return kSs1 + gpa / 0x200000 * 0x10000 + gpa / 0x1000 % 512 * 8;
  }
};

// n levels over m, nothing cached: (n + 1) (m + 1) - 1 entries.
TEST_F(NestedTest, S8ReferencesOfEveryPair) {
  for (const unsigned upper : {4U, 5U})
    for (const unsigned lower : {4U, 5U}) {
      set_nested(0, kWpe | (upper == 5 ? kFspm5 : 0), kDid, lower == 5);
      (void)code(request(0x10));  // accessed bits are set now
      const auto leaf = translate(request(0x10));
      ASSERT_TRUE(leaf) << upper << lower;
      EXPECT_EQ(leaf->references, (upper + 1) * (lower + 1) - 1) << upper << lower;
      EXPECT_EQ(leaf->translate(0x10), Gpa(kFsPage + 0x10));
    }
}

TEST_F(NestedTest, S8ThreeLevelsBelow) {
  Options options = profile::full();
  ASSERT_TRUE(options.levels_3);
  set_pasid(0, kSs3 | 1 << 2 | kPgttNested | 1, kDid | kPwsnp, kFs4 | kWpe);
  (void)code(request(0));
  EXPECT_EQ(translate(request(0x10))->references, 19U);
}

// The page goes through the second stage like the tables, and both stages' permissions count.
TEST_F(NestedTest, S8BothStagesTranslateAndJudge) {
  set_nested(0);
  host_.store(kFs1, 0x1000 | 7);
  EXPECT_EQ(translate(request(0x10))->translate(0x10), Gpa(kSsPage + 0x10));
  host_.store(below(0x1000), kSsPage | 1);
  EXPECT_EQ(code(request(0)), 0U);
  expect_code(request(0, Access::kWrite), 0x85);
  host_.store(below(0x1000), kSsPage | 2);
  expect_code(request(0), 0x86);
  EXPECT_EQ(code(request(0, Access::kWrite)), 0U);
  host_.store(kFs1, 0x1000 | 5);
  expect_code(request(0, Access::kWrite), 0x85);
}

TEST_F(NestedTest, S8CodesOfTheSecondStageUnderATable) {
  for (const std::uint64_t fpd : {0U, 2U}) {
    const bool recorded = fpd == 0;
    const auto reset = [&] {
      set_first_stage();
      set_second_stage();
      set_nested(0);
      set_bits(entry_at(0), fpd);
    };
    reset();
    // 74h: a table beyond the second stage's width; 84h: the page.
    host_.store(kFs3, std::uint64_t{1} << 48 | 7);
    expect_code(request(0), 0x74, recorded);
    reset();
    host_.store(kFs1, std::uint64_t{1} << 48 | 7);
    expect_code(request(0), 0x84, recorded);
    // 75h, 76h: the first table, a later one, not readable.
    reset();
    host_.store(below(kFs4), kFs4 | 2);
    expect_code(request(0), 0x75, recorded);
    reset();
    host_.store(below(kFs2), kFs2 | 2);
    expect_code(request(0), 0x76, recorded);
    // 77h: A is due in a table that is not writable.
    reset();
    host_.store(below(kFs3), kFs3 | 1);
    expect_code(request(0), 0x77, recorded);
    set_bits(kFs3, 0x20);
    EXPECT_EQ(code(request(0)), 0U) << "nothing is due";
    // 78h, 7Ah, 7Bh.
    reset();
    host_.store(kSs3, kOutsideRam | 3);
    expect_code(request(0), 0x78, recorded);
    reset();
    set_bits(below(kFs4), std::uint64_t{1} << 62);
    expect_code(request(0), 0x7a, recorded);
    set_pasid(0, kOutsideRam | kAw48 | kPgttNested | 1 | fpd, kDid | kPwsnp, kFs4 | kWpe);
    expect_code(request(0), 0x7b, recorded);
    // What is the first stage's stays the first stage's.
    reset();
    expect_code(request(0x1000), 0x71, recorded);
    // 87h by the final address only.
    host_.store(below(kFsPage), 0xfee00000 | 3);
    expect_code(request(0), 0x87, recorded);
  }
  set_second_stage();
}

// 7Ch, 90h: nothing can be updated where walks do not snoop.
TEST_F(NestedTest, S8UpdatesWithoutSnoop) {
  set_pasid(0, kSs4 | kAw48 | kPgttNested | 1 | 1 << 9, kDid, kFs4 | kWpe);
  expect_code(request(0), 0x7c);
  set_pasid(0, kSs4 | kAw48 | kPgttNested | 1, kDid, kFs4 | kWpe);
  expect_code(request(0), 0x90);
}

// The second stage's A and D follow the first stage's tables and page.
TEST_F(NestedTest, S13SecondStageDirtyUnderNesting) {
  set_pasid(0, kSs4 | kAw48 | kPgttNested | 1 | 1 << 9, kDid | kPwsnp, kFs4 | kWpe);
  ASSERT_EQ(code(request(0, Access::kWrite)), 0U);
  EXPECT_EQ(host_.load(below(kFsPage)) & 0x300, 0x300U);
  EXPECT_EQ(host_.load(below(kFs1)) & 0x300, 0x300U) << "its accessed and dirty bits were written";
}

}  // namespace
}  // namespace weir::vtd::test
