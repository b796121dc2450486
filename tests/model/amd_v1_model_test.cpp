// SPDX-License-Identifier: Apache-2.0
//
// The oracle against AMD's golden vectors (sheet A19; V1…V33 as far as they are about v1 tables),
// and what the settled sheet says about flags. Entries are written as numbers on purpose.

#include "tests/model/amd_v1_model.h"

#include <gtest/gtest.h>

#include "tests/model/sparse_image.h"
#include "tests/model/translate.h"

namespace weir::model {
namespace {

constexpr std::uint64_t kRoot = 0x100000;
constexpr std::uint64_t kTable2 = 0x101000;
constexpr std::uint64_t kTable1 = 0x102000;
constexpr std::uint64_t kReadWrite = 0x6000000000000001;  // PR, IR, IW
constexpr std::uint64_t kReadOnly = 0x2000000000000001;

std::uint64_t pde(std::uint64_t table, unsigned next) {
  return kReadWrite | table | std::uint64_t{next} << 9;
}

class AmdV1Model : public testing::Test {
 protected:
  // Three levels that lead to kTable1 for IOVAs below 2 MiB.
  AmdV1Model() {
    image_.put(kRoot, pde(kTable2, 2));
    image_.put(kTable2, pde(kTable1, 1));
    image_.put(kTable1 + 5 * 8, kReadWrite | 0x4000000);
    image_.put(kTable1 + 6 * 8, kReadOnly | 0x4000000);
  }

  [[nodiscard]] Verdict ask(Ask ask) const {
    return translate(tables_, ask, image_, Stage::kStage2);
  }
  [[nodiscard]] Verdict write(std::uint64_t iova) const {
    return ask({.input = iova, .write = true});
  }
  [[nodiscard]] Verdict read(std::uint64_t iova) const {
    return ask({.input = iova, .read = true});
  }

  void expect_stop(const Verdict& v, FaultReason reason, Detail detail, unsigned level,
                   std::uint64_t at) const {
    EXPECT_FALSE(v.ok);
    EXPECT_EQ(to_string(v.reason), to_string(reason));
    EXPECT_EQ(to_string(v.detail), to_string(detail));
    EXPECT_EQ(v.level, level);
    EXPECT_EQ(v.entry_at, at);
    EXPECT_EQ(v.stage, Stage::kStage2);
  }
  static void expect_page(const Verdict& v, std::uint64_t output, unsigned lg2,
                          unsigned references) {
    EXPECT_TRUE(v.ok) << to_string(v.reason);
    EXPECT_EQ(v.output, output);
    EXPECT_EQ(v.page_lg2, lg2);
    EXPECT_EQ(v.references, references);
  }

  SparseImage image_;
  AmdV1 tables_{.root = kRoot, .mode = 3};
};

TEST_F(AmdV1Model, V1DeviceRightsComeBeforeTheTables) {
  expect_stop(ask({.input = 0x9000, .write = true, .device_write = false}),
              FaultReason::kNoWritePermission, Detail::kDeviceRights, 0, 0);
  expect_stop(ask({.input = 0x9000, .read = true, .device_read = false}),
              FaultReason::kNoReadPermission, Detail::kDeviceRights, 0, 0);
  EXPECT_TRUE(ask({.input = 0x5008, .read = true, .device_write = false}).ok);
}

TEST_F(AmdV1Model, V4Leaf) { expect_page(write(0x5008), 0x4000008, 12, 3); }

TEST_F(AmdV1Model, V5ReadOnlyLeaf) {
  expect_stop(write(0x6000), FaultReason::kNoWritePermission, Detail::kNone, 1, kTable1 + 6 * 8);
  EXPECT_TRUE(read(0x6000).ok);
  EXPECT_FALSE(read(0x6000).writable);
}

TEST_F(AmdV1Model, V6NoEntry) {
  expect_stop(write(0x9000), FaultReason::kNotPresent, Detail::kNone, 1, kTable1 + 9 * 8);
  EXPECT_EQ(write(0x9000).references, 3U);
}

TEST_F(AmdV1Model, V7RightsAreThoseOfEveryLevel) {
  image_.put(kTable2, kReadOnly | kTable1 | 1 << 9);
  expect_stop(write(0x5008), FaultReason::kNoWritePermission, Detail::kNone, 2, kTable2);
  EXPECT_FALSE(read(0x5008).writable);
}

TEST_F(AmdV1Model, V8V9DefaultLargeLeaves) {
  image_.put(kTable2 + 8, kReadWrite | 0x4200000);
  expect_page(write(0x205010), 0x4205010, 21, 2);
  image_.put(kRoot + 8, kReadWrite);
  expect_page(write(0x44205020), 0x4205020, 30, 1);
}

TEST_F(AmdV1Model, V10V11V12SizesByTrailingOnes) {
  for (std::uint64_t n = 16; n < 32; ++n)
    image_.put(kTable1 + 8 * n, kReadWrite | 0x4307000 | 7 << 9);
  expect_page(write(0x1a010), 0x430a010, 16, 3);
  image_.put(kTable2 + 8 * 4, kReadWrite | 0x45ff000 | 7 << 9);
  image_.put(kTable2 + 8 * 5, kReadWrite | 0x45ff000 | 7 << 9);
  expect_page(write(0xa12040), 0x4612040, 22, 2);
  image_.put(kTable1 + 8 * 2, kReadWrite | 0x4600000 | 7 << 9);
  image_.put(kTable1 + 8 * 3, kReadWrite | 0x4600000 | 7 << 9);
  expect_page(write(0x3010), 0x4601010, 13, 3);
}

TEST_F(AmdV1Model, V13V14SkippedLevelsWantZeros) {
  tables_ = {.root = kRoot, .mode = 4};
  image_.put(kRoot, pde(kTable1, 1));
  image_.put(kTable1 + 5 * 8, kReadWrite | 0x4500000);
  expect_page(write(0x5010), 0x4500010, 12, 2);
  expect_stop(write(0x205010), FaultReason::kBeyondInputWidth, Detail::kSkippedBits, 4, kRoot);
  expect_stop(write(0x4000005010), FaultReason::kBeyondInputWidth, Detail::kSkippedBits, 4, kRoot);
  EXPECT_EQ(write(0x205010).references, 1U);
}

TEST_F(AmdV1Model, V15BeyondTheModesReach) {
  tables_ = {.root = kTable2, .mode = 2};
  expect_stop(write(0x40005010), FaultReason::kBeyondInputWidth, Detail::kNone, 0, 0);
  EXPECT_TRUE(write(0x5010).ok);
}

TEST_F(AmdV1Model, V16LevelNotBelowItsOwn) {
  tables_ = {.root = kTable2, .mode = 2};
  for (const unsigned next : {2U, 3U, 5U, 6U}) {
    image_.put(kTable2, pde(kTable1, next));
    expect_stop(write(0x5010), FaultReason::kReservedBits, Detail::kLevelEncoding, 2, kTable2);
  }
}

TEST_F(AmdV1Model, X5ReservedBitsDependOnWhatTheEntryIs) {
  for (unsigned n = 52; n <= 60; ++n) {
    image_.put(kTable1 + 5 * 8, kReadWrite | 0x4000000 | std::uint64_t{1} << n);
    EXPECT_EQ(write(0x5008).ok, n > 58) << n;
    image_.put(kTable1 + 5 * 8, kReadWrite | 0x4000000);
    image_.put(kTable2, pde(kTable1, 1) | std::uint64_t{1} << n);
    expect_stop(write(0x5008), FaultReason::kReservedBits, Detail::kNone, 2, kTable2);
    image_.put(kTable2, pde(kTable1, 1));
  }
  for (const std::uint64_t ignored : {0x1eULL, 0x60ULL, 0x180ULL, 1ULL << 63}) {
    image_.put(kTable2, pde(kTable1, 1) | ignored);
    EXPECT_TRUE(write(0x5008).ok) << std::hex << ignored;
  }
  image_.put(kTable1 + 5 * 8, kReadWrite | 0x4000000 | std::uint64_t{3} << 57);
  EXPECT_FALSE(write(0x5008).ok);
  tables_.memory_class = true;
  EXPECT_TRUE(write(0x5008).ok);
}

// Settled 3, "Walk order": PR, reserved bits, IR and IW, levels.
TEST_F(AmdV1Model, OrderAtOneEntry) {
  const std::uint64_t at = kTable2;
  image_.put(at, kTable1 | 5 << 9 | std::uint64_t{1} << 52);
  expect_stop(write(0x5008), FaultReason::kNotPresent, Detail::kNone, 2, at);
  image_.put(at, 1 | kTable1 | 5 << 9 | std::uint64_t{1} << 52);
  expect_stop(write(0x5008), FaultReason::kReservedBits, Detail::kNone, 2, at);
  image_.put(at, 1 | kTable1 | 5 << 9);
  expect_stop(write(0x5008), FaultReason::kNoWritePermission, Detail::kNone, 2, at);
  image_.put(at, pde(kTable1, 5));
  expect_stop(write(0x5008), FaultReason::kReservedBits, Detail::kLevelEncoding, 2, at);
}

TEST_F(AmdV1Model, EverySizeFrom8KiBTo2To51) {
  for (unsigned level = 1; level <= 6; ++level) {
    tables_ = {.root = kRoot, .mode = level};
    for (unsigned lg2 = 13; lg2 <= 53; ++lg2) {
      // 2^lg2: bit lg2-1 is the lowest zero of 51:12.
      std::uint64_t entry = kReadWrite | 7 << 9;
      for (unsigned n = 12; n < lg2 - 1 && n < 52; ++n) entry |= std::uint64_t{1} << n;
      image_.put(kRoot, entry);
      const unsigned own = 12 + 9 * (level - 1);
      const bool fits = lg2 > own && lg2 < own + 9 && lg2 <= 51 && level < 6;
      const Verdict v = write(0x123);
      EXPECT_EQ(v.ok, fits) << level << ' ' << lg2;
      if (fits) expect_page(v, 0x123, lg2, 1);
      if (!fits) expect_stop(v, FaultReason::kReservedBits, Detail::kLevelEncoding, level, kRoot);
    }
    image_.put(kRoot, kReadWrite);
    EXPECT_EQ(write(0x123).ok, level < 6) << level;
  }
}

TEST_F(AmdV1Model, SixLevelsReachTheWholeSpace) {
  tables_ = {.root = kRoot, .mode = 6};
  image_.put(kRoot + 127 * 8, pde(kTable2, 5));
  image_.put(kTable2 + 511 * 8, kReadWrite | 0x7000000000000);
  expect_page(write(0xffffffffffffffff), 0x7ffffffffffff, 48, 2);
}

TEST_F(AmdV1Model, AbsentTables) {
  tables_.root = 0x900000;
  expect_stop(read(0x8005008), FaultReason::kRootTableUnreadable, Detail::kNone, 3, 0x900000);
  EXPECT_EQ(read(0x5008).references, 0U);
  tables_.root = kRoot;
  image_.put(kTable2, pde(0x900000, 1));
  expect_stop(read(0x5008), FaultReason::kTableUnreadable, Detail::kNone, 1, 0x900028);
}

TEST_F(AmdV1Model, AccessedOnEveryLevelDirtyOnTheLeaf) {
  tables_.set_accessed = true;
  EXPECT_EQ(read(0x5008).updates.size(), 3U);
  EXPECT_EQ(read(0x5008).updates.at(2).value, kReadWrite | 0x4000020);
  tables_.set_dirty = true;
  EXPECT_EQ(write(0x5008).updates.at(1).value, pde(kTable1, 1) | 0x20);
  EXPECT_EQ(write(0x5008).updates.at(2).value, kReadWrite | 0x4000060);
  EXPECT_EQ(write(0x5008).updates.at(2).at, kTable1 + 5 * 8);
  image_.make_read_only(kTable1);
  expect_stop(write(0x5008), FaultReason::kUpdateFailed, Detail::kNone, 1, kTable1 + 5 * 8);
  image_.put(kTable1 + 5 * 8, kReadWrite | 0x4000060);
  EXPECT_TRUE(write(0x5008).ok);
}

}  // namespace
}  // namespace weir::model
