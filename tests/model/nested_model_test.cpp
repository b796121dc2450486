// SPDX-License-Identifier: Apache-2.0
//
// The oracle over two stages: how many references a walk needs (sheet "performance", section 2),
// what the two leaves make together, and which stage and entry is named when something is wrong.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/model/entry_maker.h"
#include "tests/model/sparse_image.h"
#include "tests/model/translate.h"

namespace weir::model {
namespace {

// Stage 1 maps kInput to kMiddle, stage 2 that to kOutput; stage 1's tables are from kUpper up and
// stage 2's from kLower up, where stage 2 maps the upper tables' pages to themselves plus kShift.
constexpr std::uint64_t kInput = 0x0000'7654'3210'9abc & 0x3f'ffff'ffff;
constexpr std::uint64_t kMiddle = 0x12'4000'0000 | (kInput & 0x3fff'ffff);
constexpr std::uint64_t kOutput = 0x34'8000'0000 | (kInput & 0x3fff'ffff);
constexpr std::uint64_t kUpper = 0x4000'0000;
constexpr std::uint64_t kShift = 0x4000'0000;
constexpr std::uint64_t kLower = 0x10'0000;

class NestedModel : public testing::Test {
 protected:
  // Maps `input` to `output` with a leaf of the level's own size. Tables come from `next` up as the
  // format's pointers know them, and `shift` further up in the image.
  void map(const Format& format, std::uint64_t& next, std::uint64_t shift, std::uint64_t input,
           std::uint64_t output, unsigned leaf_level) {
    std::uint64_t table = root_of(format);
    for (unsigned level = levels_of(format); level > leaf_level; --level) {
      const std::uint64_t at = entry_address(table, input, level) + shift;
      const std::uint64_t entry = image_.load(at).value_or(0);
      if (entry == 0) {
        image_.put(at, table_entry(format, next, level - 1));
        table = next;
        next += 4096;
      } else {
        table = entry & bits(51, 12);
      }
    }
    const unsigned lg2 = level_lg2(leaf_level);
    image_.put(entry_address(table, input, leaf_level) + shift,
               leaf_entry(format, leaf_level, output & ~bits(lg2 - 1, 0), lg2));
  }

  void build(Format upper, Format lower, unsigned upper_leaf, unsigned lower_leaf) {
    image_ = {};
    std::visit([](auto& f) { f.root = kUpper; }, upper);
    std::visit([](auto& f) { f.root = kLower; }, lower);
    upper_ = upper;
    lower_ = lower;
    std::uint64_t next_upper = kUpper + 4096;
    std::uint64_t next_lower = kLower + 4096;
    map(upper, next_upper, kShift, kInput, kMiddle, upper_leaf);
    for (std::uint64_t page = kUpper; page < next_upper; page += 4096)
      map(lower, next_lower, 0, page, page + kShift, lower_leaf);
    map(lower, next_lower, 0, kMiddle, kOutput, lower_leaf);
  }

  [[nodiscard]] Verdict ask(Ask ask) const {
    ask.input = kInput;
    return translate_nested(upper_, lower_, ask, image_);
  }
  [[nodiscard]] Verdict read() const { return ask({.read = true}); }
  [[nodiscard]] Verdict write() const { return ask({.write = true}); }

  // The upper stage's entry as its pointers know it.
  [[nodiscard]] std::uint64_t upper_entry(unsigned level) const {
    std::uint64_t table = kUpper;
    for (unsigned l = levels_of(upper_); l > level; --l)
      table = *image_.load(entry_address(table, kInput, l) + kShift) & bits(51, 12);
    return entry_address(table, kInput, level);
  }
  [[nodiscard]] std::uint64_t lower_entry(std::uint64_t input, unsigned level) const {
    std::uint64_t table = kLower;
    for (unsigned l = levels_of(lower_); l > level; --l)
      table = *image_.load(entry_address(table, input, l)) & bits(51, 12);
    return entry_address(table, input, level);
  }
  void change(std::uint64_t at, std::uint64_t set, std::uint64_t clear) {
    image_.put(at, (*image_.load(at) | set) & ~clear);
  }

  SparseImage image_;
  Format upper_;
  Format lower_;
};

Format ss(unsigned levels) { return VtdSecondStage{.levels = levels}; }
Format fs(unsigned levels) { return X86FirstStage{.levels = levels}; }
Format v2(unsigned levels) {
  return X86FirstStage{.vendor = X86FirstStage::Vendor::kAmd, .levels = levels};
}
Format v1(unsigned mode) { return AmdV1{.mode = mode}; }

TEST_F(NestedModel, ReferencesOfTheTable) {
  struct Row {
    Format upper;
    Format lower;
    unsigned upper_leaf;
    unsigned lower_leaf;
    unsigned references;
  };
  const Row rows[] = {
      {ss(3), ss(3), 1, 1, 15}, {fs(4), ss(3), 1, 1, 19}, {ss(3), ss(4), 1, 1, 19},
      {fs(4), ss(4), 1, 1, 24}, {fs(4), ss(5), 1, 1, 29}, {fs(5), ss(4), 1, 1, 29},
      {fs(5), ss(5), 1, 1, 35}, {v2(4), v1(6), 1, 1, 34}, {fs(4), ss(4), 1, 2, 19},
      {fs(4), ss(4), 2, 2, 15}, {fs(4), ss(4), 1, 3, 14}, {v2(4), v1(4), 1, 1, 24},
  };
  for (const Row& row : rows) {
    build(row.upper, row.lower, row.upper_leaf, row.lower_leaf);
    const Verdict v = read();
    EXPECT_TRUE(v.ok) << to_string(v.stage) << ' ' << to_string(v.reason) << ' ' << v.level;
    EXPECT_EQ(v.references, row.references);
    EXPECT_EQ(v.output, kOutput);
  }
}

TEST_F(NestedModel, EveryPairOfFormatsLevelsAndLeaves) {
  std::vector<Format> all;
  for (unsigned n = 3; n <= 5; ++n) all.push_back(ss(n));
  for (unsigned n = 4; n <= 5; ++n) all.insert(all.end(), {fs(n), v2(n)});
  for (unsigned n = 3; n <= 6; ++n) all.push_back(v1(n));
  for (const Format& upper : all) {
    for (const Format& lower : all) {
      for (unsigned a = 1; a <= 3; ++a) {
        for (unsigned b = 1; b <= 3; ++b) {
          build(upper, lower, a, b);
          const unsigned n = levels_of(upper) - (a - 1);
          const unsigned m = levels_of(lower) - (b - 1);
          const Verdict v = read();
          ASSERT_TRUE(v.ok);
          EXPECT_EQ(v.references, (n + 1) * (m + 1) - 1);
          EXPECT_EQ(v.output, kOutput);
          EXPECT_EQ(v.page_lg2, level_lg2(std::min(a, b)));
          EXPECT_TRUE(v.readable && v.writable && v.executable && v.user);
        }
      }
    }
  }
}

TEST_F(NestedModel, RightsAreThoseOfBothStages) {
  build(fs(4), ss(4), 1, 1);
  change(lower_entry(kMiddle, 2), 0, 2);
  EXPECT_TRUE(read().ok && !read().writable);
  EXPECT_EQ(write().stage, Stage::kStage2);
  EXPECT_EQ(write().reason, FaultReason::kNoWritePermission);
  EXPECT_EQ(write().level, 2U);
  EXPECT_EQ(write().entry_at, lower_entry(kMiddle, 2));
  EXPECT_EQ(write().purpose, Purpose::kAccess);
  EXPECT_EQ(write().references, 24U - 1);

  build(fs(4), ss(4), 1, 1);
  change(upper_entry(3) + kShift, 0, 2);
  EXPECT_TRUE(read().ok && !read().writable);
  EXPECT_EQ(write().stage, Stage::kStage1);
  EXPECT_EQ(write().level, 3U);
  EXPECT_EQ(write().entry_at, upper_entry(3));
  EXPECT_EQ(write().references, 10U);  // two entries, each with four below
}

// VT-d 4, codes 74h…77h; AMD-Vi: the same stops with stage-2 events.
TEST_F(NestedModel, ATableOfTheUpperStageNeedsTheLowerOnesRead) {
  for (unsigned level = 1; level <= 4; ++level) {
    build(fs(4), ss(4), 1, 1);
    const std::uint64_t at = lower_entry(upper_entry(level), 1);
    change(at, 0, 1);
    const Verdict v = write();
    EXPECT_EQ(v.stage, Stage::kStage2);
    EXPECT_EQ(v.reason, FaultReason::kNoReadPermission);
    EXPECT_EQ(v.level, 1U);
    EXPECT_EQ(v.entry_at, at);
    EXPECT_EQ(v.purpose, Purpose::kTableRead);
    EXPECT_EQ(v.upper_level, level);
    EXPECT_EQ(v.references, 5 * (4 - level) + 4);
  }
}

TEST_F(NestedModel, AccessedBitsOfTheUpperStageNeedTheLowerOnesWrite) {
  for (unsigned level = 1; level <= 4; ++level) {
    build(fs(4), ss(4), 1, 1);
    const std::uint64_t at = lower_entry(upper_entry(level), 1);
    change(at, 0, 2);
    const Verdict v = read();
    EXPECT_EQ(v.stage, Stage::kStage2);
    EXPECT_EQ(v.reason, FaultReason::kNoWritePermission);
    EXPECT_EQ(v.entry_at, at);
    EXPECT_EQ(v.purpose, Purpose::kTableUpdate);
    EXPECT_EQ(v.upper_level, level);
    EXPECT_EQ(v.references, 24U);
    // Nothing to set, nothing to write.
    change(upper_entry(level) + kShift, 0x60, 0);
    EXPECT_TRUE(read().ok);
  }
}

TEST_F(NestedModel, UpdatesOfBothStagesEachEntryOnce) {
  build(fs(4), VtdSecondStage{.levels = 4, .accessed_dirty = true}, 1, 1);
  const Verdict v = read();
  ASSERT_TRUE(v.ok);
  // 4 above; below the tables of one page of tables (4 leaves) and of the output, sharing the root.
  std::size_t stage1 = 0;
  for (const Update& u : v.updates) {
    EXPECT_EQ(std::ranges::count(v.updates, u.at, &Update::at), 1);
    EXPECT_NE(image_.load(u.at), u.value);
    if (u.stage != Stage::kStage1) continue;
    ++stage1;
    EXPECT_EQ(u.at, u.entry_at + kShift);
    EXPECT_EQ(u.value, *image_.load(u.at) | 0x20);
    // Its page was written: D in the lower stage's leaf.
    const auto leaf = std::ranges::find(v.updates, lower_entry(u.entry_at, 1), &Update::at);
    ASSERT_NE(leaf, v.updates.end());
    EXPECT_EQ(leaf->value & 0x300, 0x300U);
  }
  EXPECT_EQ(stage1, 4U);
  const auto output = std::ranges::find(v.updates, lower_entry(kMiddle, 1), &Update::at);
  ASSERT_NE(output, v.updates.end());
  EXPECT_EQ(output->value & 0x300, 0x100U);
}

TEST_F(NestedModel, DeviceRightsComeFirstAndAreNotAskedForTables) {
  build(v2(4), v1(4), 1, 1);
  upper_ = X86FirstStage{.vendor = X86FirstStage::Vendor::kAmd, .root = 0x900000};
  const Verdict v = ask({.write = true, .device_write = false});
  EXPECT_EQ(v.stage, Stage::kStage2);
  EXPECT_EQ(v.detail, Detail::kDeviceRights);
  EXPECT_EQ(v.references, 0U);
  build(v2(4), v1(4), 1, 1);
  EXPECT_TRUE(ask({.read = true, .device_write = false}).ok);
  EXPECT_TRUE(ask({.write = true, .device_read = false}).ok);
}

TEST_F(NestedModel, BeyondTheLowerStagesReach) {
  build(fs(4), ss(3), 1, 1);
  change(upper_entry(1) + kShift, std::uint64_t{1} << 39, 0);
  EXPECT_EQ(read().stage, Stage::kStage2);
  EXPECT_EQ(read().reason, FaultReason::kBeyondInputWidth);
  EXPECT_EQ(read().level, 0U);
  EXPECT_EQ(read().purpose, Purpose::kAccess);
  change(upper_entry(2) + kShift, std::uint64_t{1} << 39, 0);
  EXPECT_EQ(read().reason, FaultReason::kBeyondInputWidth);
  EXPECT_EQ(read().purpose, Purpose::kTableRead);
  EXPECT_EQ(read().upper_level, 1U);
}

TEST_F(NestedModel, MemoryThatIsNotThereBelowAMappedTable) {
  build(fs(4), ss(4), 1, 1);
  const std::uint64_t leaf = lower_entry(upper_entry(2), 1);
  image_.put(leaf, 0x7770'0000'0003);
  EXPECT_EQ(read().stage, Stage::kStage1);
  EXPECT_EQ(read().reason, FaultReason::kTableUnreadable);
  EXPECT_EQ(read().level, 2U);
  EXPECT_EQ(read().entry_at, upper_entry(2));
}

}  // namespace
}  // namespace weir::model
