// SPDX-License-Identifier: Apache-2.0
//
// The second-stage walk as a guest meets it: L1 (codes 03 to 07, 0C, 0E with FPD), L3 SNP, L4 large
// pages, L5 the interrupt range, widths and reach.
//
// Clauses of the manual: 9.8 (L3, L4), 7.1.3 (L1, L5; its conditions by name), 7.2.3 (FPD), 3.14
// (L5).
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

class WalkTest : public UnitTest {
 protected:
  WalkTest() { set_tables(); }
  explicit WalkTest(const Options& options) : UnitTest(options) { set_tables(); }

  void set_fpd(bool on) { host_.store(kContexts + kSid * 16, kLevel4 | 1 | (on ? 2U : 0U)); }

  void expect_fault(std::uint64_t iova, Access access, unsigned code, unsigned level,
                    std::uint64_t entry_at, unsigned references) {
    for (const bool fpd : {false, true}) {
      set_fpd(fpd);
      const auto fault = fault_of(request(iova, access));
      ASSERT_TRUE(fault) << std::hex << code;
      EXPECT_EQ(fault->code, code);
      EXPECT_EQ(fault->recorded, !fpd) << std::hex << code;
      EXPECT_EQ(fault->stage, Stage::kStage2);
      EXPECT_EQ(fault->level, level);
      EXPECT_EQ(fault->entry_at, entry_at);
      EXPECT_EQ(fault->references, references);
    }
    set_fpd(false);
  }
};

class SnoopWalkTest : public WalkTest {
 protected:
  SnoopWalkTest() : WalkTest(Options{.snoop_control = true}) {}
};
class SmallPageWalkTest : public WalkTest {
 protected:
  SmallPageWalkTest() : WalkTest(Options{.pages_2m = false, .pages_1g = false}) {}
};
class WideWalkTest : public WalkTest {
 protected:
  WideWalkTest() : WalkTest(Options{.address_bits = 57, .levels_5 = true}) {}
};
class NarrowWalkTest : public WalkTest {
 protected:
  NarrowWalkTest() : WalkTest(Options{.address_bits = 39, .levels_4 = false}) {
    set_context(kLevel3 | 1, 7 << 8 | 1);
  }
};

TEST_F(WalkTest, FourLevelsToAPage) {
  const auto leaf = translate(request(0xabc, Access::kReadWrite));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->translate(0xabc), Gpa(kPage + 0xabc));
  EXPECT_EQ(leaf->page_lg2, 12);
  EXPECT_EQ(leaf->references, 4U);
  EXPECT_EQ(leaf->permissions, Permissions::read_write());
}

// L1 LGN.2 and LGN.3: 05 for what writes, 06 for what reads, at the entry that lacks the
// permission.
TEST_F(WalkTest, L1Permissions) {
  host_.store(kLevel1, kPage | 1);
  EXPECT_EQ(code_of(request(0)), 0U);
  expect_fault(0, Access::kWrite, 0x05, 1, kLevel1, 4);
  expect_fault(0, Access::kReadWrite, 0x05, 1, kLevel1, 4);
  host_.store(kLevel1, kPage | 2);
  EXPECT_EQ(code_of(request(0, Access::kWrite)), 0U);
  expect_fault(0, Access::kRead, 0x06, 1, kLevel1, 4);
  expect_fault(0, Access::kReadWrite, 0x06, 1, kLevel1, 4);
  // ZLR is 0: a zero-length read of a write-only page faults like any read.
  auto zero_length = request(0);
  zero_length.size = 0;
  EXPECT_EQ(code_of(zero_length), 0x06U);
  host_.store(kLevel1, kPage | 3);
  host_.store(kLevel3, kLevel2 | 1);
  expect_fault(0, Access::kWrite, 0x05, 3, kLevel3, 2);
  host_.store(kLevel3, 0);
  expect_fault(0x1000, Access::kRead, 0x06, 3, kLevel3, 2);
  expect_fault(0x1000, Access::kWrite, 0x05, 3, kLevel3, 2);
}

// L1 LCT.4.3 and LSL.1: the first table unreadable is 03, a later one 07.
TEST_F(WalkTest, L1UnreadableTables) {
  set_context(kOutsideRam | 1, 7 << 8 | 2);
  EXPECT_EQ(code_of(request(0)), 0x03U);
  EXPECT_EQ(fault_of(request(0))->reason, FaultReason::kRootTableUnreadable);
  set_context(kOutsideRam | 3, 7 << 8 | 2);
  EXPECT_FALSE(fault_of(request(0))->recorded);
  // What could not be read is no reference.
  host_.store(kLevel2, kOutsideRam | 3);
  expect_fault(0, Access::kRead, 0x07, 1, kOutsideRam, 3);
  // The last page below 2^48, where no memory is.
  host_.store(kLevel2, 0xfffffffff000 | 3);
  expect_fault(0x1ff000, Access::kRead, 0x07, 1, 0xfffffffffff8, 3);
}

// A table that points at itself ends like any other.
TEST_F(WalkTest, LoopsAreBounded) {
  host_.store(kLevel4, kLevel4 | 3);
  const auto leaf = translate(request(0));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->page, Gpa(kLevel4));
  EXPECT_EQ(leaf->references, 4U);
}

// L1 LSL.2: reserved bits, and which ones; permission comes first at the same entry and above.
TEST_F(WalkTest, L1ReservedBits) {
  for (unsigned bit = 2; bit < 64; ++bit) {
    const std::uint64_t flipped = std::uint64_t{1} << bit;
    const bool beyond = bit >= 48 && bit < 52;
    host_.store(kLevel1, (kPage | 3) ^ flipped);
    EXPECT_EQ(code_of(request(0)) == 0x0c, beyond || bit == 11 || bit == 62) << "leaf " << bit;
    host_.store(kLevel1, kPage | 3);
    host_.store(kLevel4, (kLevel3 | 3) ^ flipped);
    EXPECT_EQ(code_of(request(0)) == 0x0c, beyond || bit == 11 || bit == 62 || bit == 7)
        << "level 4 " << bit;
    host_.store(kLevel4, kLevel3 | 3);
  }
  host_.store(kLevel1, kPage | 3 | 1ULL << 62);
  expect_fault(0, Access::kRead, 0x0c, 1, kLevel1, 4);
  host_.store(kLevel1, kPage | 1 | 1ULL << 62);
  expect_fault(0, Access::kWrite, 0x05, 1, kLevel1, 4);
  host_.store(kLevel3, kLevel2 | 1);
  expect_fault(0, Access::kWrite, 0x05, 3, kLevel3, 2);
}

// L1 LGN.1: beyond min(MGAW, AGAW), before any entry is read.
TEST_F(WalkTest, L1BeyondTheWidth) {
  EXPECT_EQ(code_of(request(0xffffffffffff)), 0x06U);
  expect_fault(0x1000000000000, Access::kRead, 0x04, 0, 0, 0);
  expect_fault(~std::uint64_t{0}, Access::kWrite, 0x04, 0, 0, 0);
  set_context(kLevel3 | 1, 7 << 8 | 1);
  EXPECT_EQ(code_of(request(0x7fffffffff)), 0x06U);
  EXPECT_EQ(code_of(request(0x8000000000)), 0x04U);
  EXPECT_EQ(translate(request(0))->references, 3U);
}

TEST_F(NarrowWalkTest, L1BeyondTheWidth) {
  EXPECT_EQ(code_of(request(0)), 0U);
  EXPECT_EQ(code_of(request(0x8000000000)), 0x04U);
  EXPECT_EQ(context_of(request(0))->input_bits, 39);
  set_context(kLevel4 | 1, 7 << 8 | 2);  // SAGAW has no 4 levels here
  EXPECT_EQ(code_of(request(0)), 0x03U);
}

TEST_F(WideWalkTest, FiveLevels) {
  host_.store(kPage, kLevel4 | 3);
  set_context(kPage | 1, 7 << 8 | 3);
  const auto leaf = translate(request(0));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->references, 5U);
  EXPECT_EQ(code_of(request(0x1ffffffffffffff)), 0x06U);
  EXPECT_EQ(code_of(request(0x200000000000000)), 0x04U);
}

// L3: SNP in a leaf is reserved exactly while ECAP.SC is 0; in a table entry always.
TEST_F(SnoopWalkTest, L3SnoopBit) {
  host_.store(kLevel1, kPage | 3 | 1 << 11);
  EXPECT_EQ(code_of(request(0)), 0U);
  host_.store(kLevel2, kLevel1 | 3 | 1 << 11);
  EXPECT_EQ(code_of(request(0)), 0x0cU);
}

// L4: 2 MiB and 1 GiB leaves, their low address bits reserved.
TEST_F(WalkTest, L4LargePages) {
  host_.store(kLevel2, 0x200000 | 0x83);
  auto leaf = translate(request(0x12345));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->page_lg2, 21);
  EXPECT_EQ(leaf->translate(0x12345), Gpa(0x212345));
  EXPECT_EQ(leaf->references, 3U);
  for (unsigned bit = 12; bit < 21; ++bit) {
    host_.store(kLevel2, 0x200000 | 0x83 | std::uint64_t{1} << bit);
    expect_fault(0, Access::kRead, 0x0c, 2, kLevel2, 3);
  }
  host_.store(kLevel3, 0x40000000 | 0x83);
  leaf = translate(request(0x2345678));
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->page_lg2, 30);
  EXPECT_EQ(leaf->translate(0x2345678), Gpa(0x42345678));
  for (unsigned bit = 12; bit < 30; ++bit) {
    host_.store(kLevel3, 0x40000000 | 0x83 | std::uint64_t{1} << bit);
    expect_fault(0, Access::kRead, 0x0c, 3, kLevel3, 2);
  }
  // No 512 GiB pages.
  host_.store(kLevel4, kLevel3 | 0x83);
  expect_fault(0, Access::kRead, 0x0c, 4, kLevel4, 1);
}

TEST_F(SmallPageWalkTest, L4SizesThatAreNotAdvertised) {
  host_.store(kLevel2, kLevel1 | 0x83);
  expect_fault(0, Access::kRead, 0x0c, 2, kLevel2, 3);
  host_.store(kLevel3, kLevel2 | 0x83);
  expect_fault(0, Access::kRead, 0x0c, 3, kLevel3, 2);
}

// L5, LGN.4: the resulting address counts. Pages beside the range work, and what a cache keeps of a
// large page that reaches into it is the one 4 KiB page.
TEST_F(WalkTest, L5OutputInTheInterruptRange) {
  host_.store(kLevel3 + 3 * 8, 0xc0000000 | 0x83);  // 1 GiB, identity, holds the range
  for (const std::uint64_t inside : {0xfee00000U, 0xfee12345U, 0xfeefffffU}) {
    expect_fault(inside, Access::kWrite, 0x0e, 3, 0, 2);
    expect_fault(inside, Access::kRead, 0x0e, 3, 0, 2);
  }
  for (const std::uint64_t outside : {0xc0000000U, 0xfedfffffU, 0xfef00000U, 0xffffffffU}) {
    const auto leaf = translate(request(outside));
    ASSERT_TRUE(leaf) << std::hex << outside;
    EXPECT_EQ(leaf->page_lg2, 12);
    EXPECT_EQ(leaf->page, Gpa(outside & ~std::uint64_t{0xfff}));
    EXPECT_EQ(leaf->translate(outside), Gpa(outside));
  }
  // A page of its own, from an address that looks harmless.
  host_.store(kLevel1, 0xfee01000 | 3);
  expect_fault(0x10, Access::kWrite, 0x0e, 1, 0, 4);
  // A large page that stays clear of it is kept whole.
  host_.store(kLevel2, 0xfe000000 | 0x83);
  EXPECT_EQ(translate(request(0))->page_lg2, 21);
  host_.store(kLevel2, 0xfee00000 | 0x83);
  expect_fault(0x10, Access::kWrite, 0x0e, 2, 0, 3);
  EXPECT_EQ(translate(request(0x100000))->page_lg2, 12);
}

}  // namespace
}  // namespace weir::vtd::test
