// SPDX-License-Identifier: Apache-2.0
//
// The oracle against single walks of first-stage and v2 tables worked out by hand from the sheets.

#include "tests/model/x86_first_stage_model.h"

#include <gtest/gtest.h>

#include "tests/model/sparse_image.h"
#include "tests/model/translate.h"

namespace weir::model {
namespace {

using enum Detail;

constexpr std::uint64_t kTable4 = 0x10000;
constexpr std::uint64_t kTable3 = 0x11000;
constexpr std::uint64_t kTable2 = 0x12000;
constexpr std::uint64_t kTable1 = 0x13000;
constexpr std::uint64_t kInput = 1ULL << 39 | 2ULL << 30 | 3ULL << 21 | 4ULL << 12 | 0x567;
constexpr std::uint64_t kAt4 = kTable4 + 8;
constexpr std::uint64_t kAt3 = kTable3 + 16;
constexpr std::uint64_t kAt2 = kTable2 + 24;
constexpr std::uint64_t kAt1 = kTable1 + 32;
constexpr std::pair<unsigned, std::uint64_t> kPlaces[] = {
    {4, kAt4}, {3, kAt3}, {2, kAt2}, {1, kAt1}};

class X86FirstStageModel : public testing::Test {
 protected:
  X86FirstStageModel() { whole(); }

  // A and D set everywhere, so that only what a test changes shows.
  void whole() {
    image_.put(kAt4, kTable3 | 0x67);
    image_.put(kAt3, kTable2 | 0x67);
    image_.put(kAt2, kTable1 | 0x67);
    image_.put(kAt1, 0x7654321000 | 0x67);
  }
  [[nodiscard]] Verdict ask(Ask ask) const {
    if (ask.input == 0) ask.input = kInput;
    return translate(tables_, ask, image_, Stage::kStage1);
  }
  static void expect_stop(const Verdict& v, FaultReason reason, Detail detail, unsigned level,
                          std::uint64_t at) {
    EXPECT_FALSE(v.ok);
    EXPECT_EQ(to_string(v.reason), to_string(reason));
    EXPECT_EQ(to_string(v.detail), to_string(detail));
    EXPECT_EQ(v.level, level);
    EXPECT_EQ(v.entry_at, at);
    EXPECT_EQ(v.stage, Stage::kStage1);
  }

  static constexpr Ask kRead{.read = true};
  static constexpr Ask kWrite{.write = true};
  static constexpr Ask kExecute{.execute = true};

  SparseImage image_;
  X86FirstStage tables_{.root = kTable4, .host_width = 46};
};

TEST_F(X86FirstStageModel, FourAndFiveLevels) {
  EXPECT_EQ(ask(kRead).output, 0x7654321567U);
  EXPECT_EQ(ask(kRead).references, 4U);
  EXPECT_TRUE(ask(kRead).updates.empty());
  tables_.root = 0x14000;
  tables_.levels = 5;
  image_.put(0x14000 + 8 * 5, kTable4 | 0x67);
  EXPECT_EQ(ask({.input = kInput | 5ULL << 48, .read = true}).output, 0x7654321567U);
  EXPECT_EQ(ask({.input = kInput | 5ULL << 48, .read = true}).references, 5U);
}

// Settled 2, "Canonical check".
TEST_F(X86FirstStageModel, Canonical) {
  const auto at = [this](std::uint64_t input) { return ask({.input = input, .read = true}); };
  image_.put(kTable4 + 8 * 511, kTable3 | 0x67);
  image_.put(kTable4 + 8 * 256, kTable3 | 0x67);
  const std::uint64_t low = kInput & 0x7fffffffff;
  EXPECT_TRUE(at(low | 511ULL << 39 | 0xffffULL << 48).ok);
  EXPECT_TRUE(at(low | 256ULL << 39 | 0xffffULL << 48).ok);
  for (const std::uint64_t input :
       {1ULL << 48, 1ULL << 63, 1ULL << 47, 0xfffeULL << 48, 0xffffULL << 48})
    expect_stop(at(input | low), FaultReason::kBeyondInputWidth, kNonCanonical, 0, 0);
  tables_.levels = 5;
  tables_.root = 0x14000;
  image_.put(0x14000 + 8, kTable4 | 0x67);
  EXPECT_TRUE(at(kInput | 1ULL << 48).ok);
  expect_stop(at(1ULL << 56), FaultReason::kBeyondInputWidth, kNonCanonical, 0, 0);
}

// A8: PASID 0 under GIOV has the full width.
TEST_F(X86FirstStageModel, NotSignExtended) {
  tables_.sign_extended = false;
  image_.put(kTable4 + 8 * 256, kTable3 | 0x67);
  EXPECT_TRUE(ask({.input = 256ULL << 39 | (kInput & 0x7fffffffff), .read = true}).ok);
  expect_stop(ask({.input = kInput | 0xffffULL << 48, .read = true}),
              FaultReason::kBeyondInputWidth, kNone, 0, 0);
}

TEST_F(X86FirstStageModel, RightsAtEveryLevel) {
  for (const auto& [level, at] : kPlaces) {
    const std::uint64_t entry = *image_.load(at);
    image_.put(at, entry & ~1ULL);
    expect_stop(ask(kRead), FaultReason::kNotPresent, kNone, level, at);
    image_.put(at, entry & ~2ULL);
    expect_stop(ask(kWrite), FaultReason::kNoWritePermission, kNone, level, at);
    EXPECT_TRUE(ask(kRead).ok && !ask(kRead).writable);
    image_.put(at, entry & ~4ULL);
    expect_stop(ask(kRead), FaultReason::kNoReadPermission, kUserOfSupervisor, level, at);
    expect_stop(ask(kWrite), FaultReason::kNoWritePermission, kUserOfSupervisor, level, at);
    EXPECT_TRUE(ask({.write = true, .privileged = true}).ok);
    EXPECT_FALSE(ask({.read = true, .privileged = true}).user);
    image_.put(at, entry | 1ULL << 63);
    expect_stop(ask(kExecute), FaultReason::kNoReadPermission, kNoExecute, level, at);
    EXPECT_TRUE(ask(kRead).ok && !ask(kRead).executable);
    image_.put(at, entry);
  }
}

TEST_F(X86FirstStageModel, PrivilegeRules) {
  image_.put(kAt2, kTable1 | 0x65);
  expect_stop(ask({.write = true, .privileged = true}), FaultReason::kNoWritePermission, kNone, 2,
              kAt2);
  tables_.write_protect = false;
  EXPECT_TRUE(ask({.write = true, .privileged = true}).ok);
  expect_stop(ask(kWrite), FaultReason::kNoWritePermission, kNone, 2, kAt2);
  whole();
  EXPECT_TRUE(ask({.execute = true, .privileged = true}).ok);
  tables_.smep = true;
  expect_stop(ask({.execute = true, .privileged = true}), FaultReason::kNoReadPermission,
              kSupervisorExecutesUser, 1, kAt1);
  EXPECT_TRUE(ask(kExecute).ok);
  image_.put(kAt3, kTable2 | 0x63);
  EXPECT_TRUE(ask({.execute = true, .privileged = true}).ok);
  tables_.supervisor = false;
  expect_stop(ask({.input = 1ULL << 48, .read = true, .privileged = true}),
              FaultReason::kRequestTypeBlocked, kSupervisorRefused, 0, 0);
  tables_.execute_requests = false;
  expect_stop(ask({.execute = true, .privileged = true}), FaultReason::kRequestTypeBlocked,
              kExecuteRefused, 0, 0);
}

TEST_F(X86FirstStageModel, ExecuteDisableIsIgnoredWithoutNxe) {
  tables_.no_execute = false;
  image_.put(kAt1, *image_.load(kAt1) | 1ULL << 63);
  EXPECT_TRUE(ask(kExecute).ok);
}

TEST_F(X86FirstStageModel, ReservedBitsOneByOne) {
  for (const auto& [level, at] : kPlaces) {
    for (unsigned n = 3; n < 64; ++n) {
      if (n >= 12 && n < 46) continue;
      if (n == 7 && (level == 2 || level == 3)) continue;
      whole();
      image_.put(at, *image_.load(at) | 1ULL << n);
      const bool reserved = (n >= 46 && n <= 51) || (n == 7 && level == 4);
      EXPECT_EQ(ask(kRead).ok, !reserved) << "level " << level << " bit " << n;
      if (reserved) expect_stop(ask(kRead), FaultReason::kReservedBits, kNone, level, at);
    }
  }
}

TEST_F(X86FirstStageModel, LargePages) {
  image_.put(kAt2, 0x7654200000 | 0xe7);
  EXPECT_EQ(ask(kRead).output, 0x7654200000U | (kInput & 0x1fffff));
  EXPECT_EQ(ask(kRead).page_lg2, 21U);
  image_.put(kAt2, 0x7654201000 | 0xe7);  // PAT
  EXPECT_EQ(ask(kRead).output, 0x7654200000U | (kInput & 0x1fffff));
  for (unsigned n = 13; n <= 20; ++n) {
    image_.put(kAt2, 0x7654200000 | 0xe7 | 1ULL << n);
    expect_stop(ask(kRead), FaultReason::kReservedBits, kNone, 2, kAt2);
  }
  image_.put(kAt3, 0x7640000000 | 0xe7);
  EXPECT_EQ(ask(kRead).page_lg2, 30U);
  for (unsigned n = 13; n <= 29; ++n) {
    image_.put(kAt3, 0x7640000000 | 0xe7 | 1ULL << n);
    expect_stop(ask(kRead), FaultReason::kReservedBits, kNone, 3, kAt3);
  }
  tables_.pages_1g = false;
  image_.put(kAt3, 0x7640000000 | 0xe7);
  expect_stop(ask(kRead), FaultReason::kReservedBits, kPageSize, 3, kAt3);
}

TEST_F(X86FirstStageModel, OrderAtOneEntryDependsOnTheVendor) {
  tables_.host_width = 46;
  image_.put(kAt2, kTable1 | 0x65 | 1ULL << 50);
  expect_stop(ask(kWrite), FaultReason::kNoWritePermission, kNone, 2, kAt2);
  expect_stop(ask(kRead), FaultReason::kReservedBits, kNone, 2, kAt2);
  tables_.vendor = X86FirstStage::Vendor::kAmd;
  expect_stop(ask(kWrite), FaultReason::kReservedBits, kNone, 2, kAt2);
  image_.put(kAt2, kTable1 | 0x64 | 1ULL << 50);
  expect_stop(ask(kWrite), FaultReason::kNotPresent, kNone, 2, kAt2);
}

TEST_F(X86FirstStageModel, AccessedOnEveryLevelDirtyOnTheLeafForAWrite) {
  image_.put(kAt4, kTable3 | 0x07);
  image_.put(kAt3, kTable2 | 0x07);
  image_.put(kAt2, kTable1 | 0x07);
  image_.put(kAt1, 0x7654321000 | 0x07);
  ASSERT_EQ(ask(kRead).updates.size(), 4U);
  EXPECT_EQ(ask(kRead).updates.at(0).value, kTable3 | 0x27);
  EXPECT_EQ(ask(kRead).updates.at(3).value, 0x7654321027U);
  EXPECT_EQ(ask(kWrite).updates.at(2).value, kTable1 | 0x27);
  EXPECT_EQ(ask(kWrite).updates.at(3).value, 0x7654321067U);
  // VT-d 3, "FS A/D bits": a page with A set and D clear gets its D.
  whole();
  image_.put(kAt1, 0x7654321000 | 0x27);
  EXPECT_TRUE(ask(kRead).updates.empty());
  ASSERT_EQ(ask(kWrite).updates.size(), 1U);
  EXPECT_EQ(ask(kWrite).updates.at(0).value, 0x7654321067U);
  image_.make_read_only(kTable1);
  expect_stop(ask(kWrite), FaultReason::kUpdateFailed, kNone, 1, kAt1);
  EXPECT_TRUE(ask(kRead).ok);
}

TEST_F(X86FirstStageModel, ExtendedAccessedOnEveryLevel) {
  tables_.extended_accessed = true;
  ASSERT_EQ(ask(kRead).updates.size(), 4U);
  EXPECT_EQ(ask(kRead).updates.at(1).value, kTable2 | 0x467);
}

TEST_F(X86FirstStageModel, AbsentTables) {
  image_.put(kAt4, 0x900067);
  expect_stop(ask(kRead), FaultReason::kTableUnreadable, kNone, 3, 0x900010);
  tables_.root = 0x900000;
  expect_stop(ask(kRead), FaultReason::kRootTableUnreadable, kNone, 4, 0x900008);
}

}  // namespace
}  // namespace weir::model
