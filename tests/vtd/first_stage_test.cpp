// SPDX-License-Identifier: Apache-2.0
//
// First-stage tables under a PASID entry: S4, S5, S9, S12, the codes 70h to 73h and 80h to 91h.
//
// Clauses of the manual: 9.7 (S5, S9, S12), 9.6 (S4), 7.1.3 (S1).
#include <gtest/gtest.h>

#include "tests/vtd/scalable_fixture.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint64_t kA = 0x20, kD = 0x40, kEa = 0x400, kXd = std::uint64_t{1} << 63;

class FirstStageTest : public ScalableTest {
 protected:
  using ScalableTest::ScalableTest;
};
class FourLevelTest : public ScalableTest {
 protected:
  FourLevelTest() : ScalableTest(profile::scalable_first_stage()) { set_context_without_dte(); }
  void set_context_without_dte() { set_scalable_context(kDirectory | 9); }
};

TEST_F(FirstStageTest, S1CodesOfTables) {
  for (const std::uint64_t fpd : {0U, 2U}) {
    const bool recorded = fpd == 0;
    set_first_stage();
    set_first(0);
    set_bits(entry_at(0), fpd);
    ASSERT_EQ(code(request(0x10)), 0U);
    expect_code(request(0x1000), 0x71, recorded);
    // Bits above the host address width: 52 here, so none; the low bits of a 2 MiB page are.
    host_.store(kFs2, 0x200000 | 0x87 | 0x2000);
    expect_code(request(0), 0x72, recorded);
    host_.store(kFs2, kOutsideRam | 7);
    expect_code(request(0), 0x70, recorded);
    set_pasid(0, kPgttFirst | 1 | fpd, kDid | kPwsnp, kOutsideRam | kWpe);
    expect_code(request(0), 0x73, recorded);
    set_first(0);
    set_bits(entry_at(0), fpd);
    expect_code(request(std::uint64_t{1} << 47), 0x80, recorded);
    set_first_stage();
    host_.store(kFs1, kFsPage | 3);
    expect_code(request(0), 0x81, recorded);
    host_.store(kFs1, kFsPage | 5);
    expect_code(request(0, Access::kWrite), 0x85, recorded);
  }
}

// S4: the width of addresses is the tables' own; AW belongs to the second stage.
TEST_F(FirstStageTest, S4AddressWidthIsNotTheSecondStages) {
  set_first(0);  // AW 0
  host_.store(kFs4 + 511 * 8, kFs3 | 7);
  host_.store(kFs3 + 511 * 8, kFs2 | 7);
  host_.store(kFs2 + 511 * 8, kFs1 | 7);
  EXPECT_EQ(code(request(0xffffffffffe00000)), 0U);
  expect_code(request(0xffff7fffffffffff), 0x80);
}

// S5: A in every entry used, D in the leaf of a write, though A is set already.
TEST_F(FirstStageTest, S5AccessedAndDirty) {
  set_first(0);
  ASSERT_EQ(code(request(0)), 0U);
  for (const std::uint64_t table : {kFs4, kFs3, kFs2, kFs1})
    EXPECT_EQ(host_.load(table) & (kA | kD), kA);
  EXPECT_FALSE(translate(request(0))->cacheable().can_write()) << "D is owed";
  ASSERT_EQ(code(request(0, Access::kWrite)), 0U);
  EXPECT_EQ(host_.load(kFs1) & (kA | kD), kA | kD);
  EXPECT_EQ(host_.load(kFs2) & (kA | kD), kA);
  EXPECT_TRUE(translate(request(0))->cacheable().can_write());
}

TEST_F(FirstStageTest, ExtendedAccessed) {
  set_first(0, kWpe | kEafe);
  ASSERT_EQ(code(request(0)), 0U);
  EXPECT_EQ(host_.load(kFs4) & (kA | kEa), kA | kEa);
  EXPECT_EQ(host_.load(kFs1) & (kA | kEa), kA | kEa);
  set_first(1);
  host_.store(kFs1, kFsPage | 7);
  ASSERT_EQ(code(with_pasid(0, 1)), 0U);
  EXPECT_EQ(host_.load(kFs1) & (kA | kEa), kA);
}

// 90h: A due where walks do not snoop. 91h: A due where it cannot be written.
TEST_F(FirstStageTest, S1UpdatesThatCannotBe) {
  set_pasid(0, kPgttFirst | 1, kDid, kFs4 | kWpe);
  expect_code(request(0), 0x90);
  for (const std::uint64_t table : {kFs4, kFs3, kFs2, kFs1}) set_bits(table, kA);
  EXPECT_EQ(code(request(0)), 0U);
  expect_code(request(0, Access::kWrite), 0x90);
}

// S9: five levels, with their own width.
TEST_F(FirstStageTest, S9FiveLevels) {
  set_first(0, kWpe | kFspm5);
  const auto leaf = translate(request(0x10));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->references, 5U);
  EXPECT_EQ(leaf->translate(0x10), Gpa(kFsPage + 0x10));
  EXPECT_EQ(code(request(std::uint64_t{1} << 47)), 0x71U) << "canonical now";
  expect_code(request(std::uint64_t{1} << 56), 0x80);
}
TEST_F(FourLevelTest, S9FiveLevelsNeedFs5lp) {
  set_first(0, kWpe | kFspm5);
  expect_code(request(0), 0x5b);
}

TEST_F(FirstStageTest, LargePages) {
  set_first(0);
  host_.store(kFs2, 0x200000 | 0x87);
  EXPECT_EQ(translate(request(0x12345))->translate(0x12345), Gpa(0x212345));
  host_.store(kFs3, 0x40000000 | 0x87);
  EXPECT_EQ(translate(request(0x212345))->translate(0x212345), Gpa(0x40212345));
  host_.store(kFs4, 0x87);
  expect_code(request(0), 0x72);
}

// S12: who asks × WPE × what the page allows. Privileged requests may use supervisor pages, and
// write read-only ones while WPE is 0.
TEST_F(FirstStageTest, S12PrivilegeMatrix) {
  for (const bool privileged : {false, true})
    for (const bool wpe : {false, true})
      for (const bool user_page : {false, true})
        for (const bool writable : {false, true})
          for (const Access access : {Access::kRead, Access::kWrite}) {
            set_first(1, kSre | (wpe ? kWpe : 0));
            host_.store(kFs1, kFsPage | 1 | (writable ? 2 : 0) | (user_page ? 4 : 0));
            Request r = with_pasid(0, 1, access);
            r.privileged = privileged;
            unsigned expected = 0;
            if (!privileged && !user_page)
              expected = 0x81;
            else if (access == Access::kWrite && !writable && (!privileged || wpe))
              expected = 0x85;
            EXPECT_EQ(code(r), expected)
                << privileged << wpe << user_page << writable << writes(access);
          }
}

TEST_F(FirstStageTest, S12ExecuteNeedsNxe) {
  host_.store(kFs1, kFsPage | 7 | kXd);
  Request r = with_pasid(0, 1);
  r.execute = true;
  set_first(1, kWpe | kEre);
  EXPECT_EQ(code(r), 0U) << "NXE 0: XD means nothing";
  set_first(1, kWpe | kEre | kNxe);
  expect_code(r, 0x82);
  r.execute = false;
  EXPECT_EQ(code(r), 0U);
}

}  // namespace
}  // namespace weir::vtd::test
