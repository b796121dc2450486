// SPDX-License-Identifier: Apache-2.0
//
// The oracle against single walks of VT-d second-stage tables worked out by hand from the sheet.

#include "tests/model/vtd_second_stage_model.h"

#include <gtest/gtest.h>

#include "tests/model/sparse_image.h"
#include "tests/model/translate.h"

namespace weir::model {
namespace {

constexpr std::uint64_t kTable4 = 0x10000;
constexpr std::uint64_t kTable3 = 0x11000;
constexpr std::uint64_t kTable2 = 0x12000;
constexpr std::uint64_t kTable1 = 0x13000;
// Digits 1, 2, 3, 4 and offset 0x567.
constexpr std::uint64_t kInput = 1ULL << 39 | 2ULL << 30 | 3ULL << 21 | 4ULL << 12 | 0x567;
constexpr std::uint64_t kAt4 = kTable4 + 8;
constexpr std::uint64_t kAt3 = kTable3 + 16;
constexpr std::uint64_t kAt2 = kTable2 + 24;
constexpr std::uint64_t kAt1 = kTable1 + 32;

class VtdSecondStageModel : public testing::Test {
 protected:
  VtdSecondStageModel() { whole(); }

  void whole() {
    image_.put(kAt4, kTable3 | 3);
    image_.put(kAt3, kTable2 | 3);
    image_.put(kAt2, kTable1 | 3);
    image_.put(kAt1, 0x7654321000 | 3);
  }
  [[nodiscard]] Verdict read(std::uint64_t input = kInput) const {
    return translate(tables_, {.input = input, .read = true}, image_, Stage::kStage2);
  }
  [[nodiscard]] Verdict write(std::uint64_t input = kInput) const {
    return translate(tables_, {.input = input, .write = true}, image_, Stage::kStage2);
  }
  static void expect_stop(const Verdict& v, FaultReason reason, unsigned level, std::uint64_t at) {
    EXPECT_FALSE(v.ok);
    EXPECT_EQ(to_string(v.reason), to_string(reason));
    EXPECT_EQ(v.level, level);
    EXPECT_EQ(v.entry_at, at);
  }

  SparseImage image_;
  VtdSecondStage tables_{.root = kTable4, .host_width = 46};
};

TEST_F(VtdSecondStageModel, FourLevels) {
  EXPECT_TRUE(read().ok);
  EXPECT_EQ(read().output, 0x7654321567U);
  EXPECT_EQ(read().page_lg2, 12U);
  EXPECT_EQ(read().references, 4U);
  EXPECT_TRUE(read().updates.empty());
}

TEST_F(VtdSecondStageModel, ThreeAndFiveLevels) {
  tables_.root = kTable3;
  tables_.levels = 3;
  EXPECT_EQ(read(kInput & 0x7fffffffff).output, 0x7654321567U);
  expect_stop(read(), FaultReason::kBeyondInputWidth, 0, 0);
  tables_.root = 0x14000;
  tables_.levels = 5;
  image_.put(0x14000 + 8 * 511, kTable4 | 3);
  EXPECT_EQ(read(kInput | 511ULL << 48).output, 0x7654321567U);
  EXPECT_EQ(read(kInput | 511ULL << 48).references, 5U);
  expect_stop(read(1ULL << 57), FaultReason::kBeyondInputWidth, 0, 0);
}

TEST_F(VtdSecondStageModel, TheReachIsTheSmallerOfMgawAndAw) {
  tables_.guest_width = 39;
  expect_stop(read(), FaultReason::kBeyondInputWidth, 0, 0);
  EXPECT_NE(read(kInput & 0x7fffffffff).level, 0U);
}

TEST_F(VtdSecondStageModel, RightsAtEveryLevel) {
  const std::pair<unsigned, std::uint64_t> places[] = {{4, kAt4}, {3, kAt3}, {2, kAt2}, {1, kAt1}};
  for (const auto& [level, at] : places) {
    const std::uint64_t entry = *image_.load(at);
    image_.put(at, entry & ~2ULL);
    expect_stop(write(), FaultReason::kNoWritePermission, level, at);
    EXPECT_TRUE(read().ok && read().readable && !read().writable);
    image_.put(at, entry & ~1ULL);
    expect_stop(read(), FaultReason::kNoReadPermission, level, at);
    EXPECT_TRUE(write().ok && !write().readable && write().writable);
    // Settled 2, "R=W=0 entry".
    image_.put(at, 0);
    expect_stop(read(), FaultReason::kNoReadPermission, level, at);
    expect_stop(write(), FaultReason::kNoWritePermission, level, at);
    image_.put(at, entry);
  }
}

// Settled 2, "Permission vs reserved in SS walk".
TEST_F(VtdSecondStageModel, ARightBeforeAReservedBitAtOneEntryAndAbove) {
  image_.put(kAt2, kTable1 | 1 | 1ULL << 11);
  expect_stop(write(), FaultReason::kNoWritePermission, 2, kAt2);
  expect_stop(read(), FaultReason::kReservedBits, 2, kAt2);
  whole();
  image_.put(kAt3, kTable2 | 1);
  image_.put(kAt2, kTable1 | 3 | 1ULL << 11);
  expect_stop(write(), FaultReason::kNoWritePermission, 3, kAt3);
  whole();
  image_.put(kAt3, kTable2 | 3 | 1ULL << 11);
  image_.put(kAt2, kTable1 | 1);
  expect_stop(write(), FaultReason::kReservedBits, 3, kAt3);
}

TEST_F(VtdSecondStageModel, ReservedBitsOneByOne) {
  const std::pair<unsigned, std::uint64_t> places[] = {{4, kAt4}, {3, kAt3}, {2, kAt2}, {1, kAt1}};
  for (const auto& [level, at] : places) {
    for (unsigned n = 2; n < 64; ++n) {
      if (n >= 12 && n < 46) continue;                     // the address
      if (n == 7 && (level == 2 || level == 3)) continue;  // PS
      whole();
      image_.put(at, *image_.load(at) | 1ULL << n);
      const bool address_beyond = n >= 46 && n <= 51;
      const bool reserved = address_beyond || n == 11 || n == 62 || (n == 7 && level == 4);
      EXPECT_EQ(read().ok, !reserved) << "level " << level << " bit " << n;
      if (reserved) expect_stop(read(), FaultReason::kReservedBits, level, at);
    }
  }
}

TEST_F(VtdSecondStageModel, SnoopAndTransientOfLeavesOnly) {
  tables_.snoop_control = true;
  tables_.transient_leaf = true;
  for (const std::uint64_t one : {1ULL << 11, 1ULL << 62}) {
    image_.put(kAt1, *image_.load(kAt1) | one);
    EXPECT_TRUE(read().ok);
    whole();
    image_.put(kAt2, *image_.load(kAt2) | one);
    expect_stop(read(), FaultReason::kReservedBits, 2, kAt2);
    image_.put(kAt2, 0x7654200000 | 0x83 | one);
    EXPECT_TRUE(read().ok);
    whole();
  }
}

TEST_F(VtdSecondStageModel, LargePages) {
  image_.put(kAt2, 0x7654200000 | 0x83);
  EXPECT_EQ(read().output, 0x7654200000U | (kInput & 0x1fffff));
  EXPECT_EQ(read().page_lg2, 21U);
  EXPECT_EQ(read().references, 3U);
  image_.put(kAt2, 0x7654201000 | 0x83);
  expect_stop(read(), FaultReason::kReservedBits, 2, kAt2);
  image_.put(kAt3, 0x7640000000 | 0x83);
  EXPECT_EQ(read().output, 0x7640000000U | (kInput & 0x3fffffff));
  EXPECT_EQ(read().references, 2U);
  image_.put(kAt3, 0x7660000000 | 0x83);  // bit 29
  expect_stop(read(), FaultReason::kReservedBits, 3, kAt3);
  EXPECT_EQ(read().detail, Detail::kNone);
}

TEST_F(VtdSecondStageModel, SizesTheUnitDoesNotHave) {
  image_.put(kAt3, 0x7640000000 | 0x83);
  tables_.pages_1g = false;
  expect_stop(read(), FaultReason::kReservedBits, 3, kAt3);
  EXPECT_EQ(read().detail, Detail::kPageSize);
  image_.put(kAt3, 0x7640000000 | 0x81);
  expect_stop(write(), FaultReason::kNoWritePermission, 3, kAt3);
  whole();
  image_.put(kAt2, 0x7654200000 | 0x83);
  EXPECT_TRUE(read().ok);
  tables_.pages_2m = false;
  expect_stop(read(), FaultReason::kReservedBits, 2, kAt2);
}

TEST_F(VtdSecondStageModel, AbsentTables) {
  image_.put(kAt3, 0x900000 | 3);
  expect_stop(read(), FaultReason::kTableUnreadable, 2, 0x900000 + 24);
  EXPECT_EQ(read().references, 2U);
  tables_.root = 0x900000;
  expect_stop(read(), FaultReason::kRootTableUnreadable, 4, 0x900000 + 8);
}

TEST_F(VtdSecondStageModel, AllOnesIsAReservedBitNotAnAccessError) {
  image_.put(kAt4, ~0ULL);
  expect_stop(read(), FaultReason::kReservedBits, 4, kAt4);
}

TEST_F(VtdSecondStageModel, ATableThatPointsAtItselfEnds) {
  for (std::uint64_t n = 0; n < 512; ++n) image_.put(kTable4 + 8 * n, kTable4 | 3);
  EXPECT_EQ(read().output, kTable4 | 0x567);
  EXPECT_EQ(read().references, 4U);
}

TEST_F(VtdSecondStageModel, AccessedAndDirty) {
  tables_.accessed_dirty = true;
  ASSERT_EQ(read().updates.size(), 4U);
  EXPECT_EQ(read().updates.at(0).value, kTable3 | 0x103);
  EXPECT_EQ(read().updates.at(3).value, 0x7654321000U | 0x103);
  EXPECT_EQ(write().updates.at(2).value, kTable1 | 0x103);
  EXPECT_EQ(write().updates.at(3).value, 0x7654321000U | 0x303);
  image_.put(kAt1, 0x7654321000 | 0x103);
  EXPECT_EQ(read().updates.size(), 3U);
  EXPECT_EQ(write().updates.size(), 4U);
}

}  // namespace
}  // namespace weir::model
