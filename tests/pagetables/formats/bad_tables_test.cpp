// SPDX-License-Identifier: Apache-2.0
//
// The guest writes the tables, so any bytes are an ordinary input: bounded work, and the reason,
// level and entry that the manual would name.
#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"

namespace weir::pagetables::facts {
namespace {

template <typename Facts>
class FormatBadTables : public testing::Test {};
TYPED_TEST_SUITE(FormatBadTables, AllFormats, FormatName);

TYPED_TEST(FormatBadTables, ZeroEntries) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& good) {
    const std::uint64_t input = distinct_input<Facts>(good.levels());
    for (unsigned level = good.page().level; level <= good.levels(); ++level) {
      ScriptedPath<Facts> path = good;
      path.set(level, 0);
      EXPECT_STOPPED(path.walk(input, {.access = Access::kRead}), Facts::kNothing[0], level,
                     path.entry_at(level, input));
      EXPECT_STOPPED(path.walk(input, {.access = Access::kWrite}), Facts::kNothing[1], level,
                     path.entry_at(level, input));
      EXPECT_EQ(path.reader.loads.size(), path.levels() - level + 1);
    }
  });
}

TYPED_TEST(FormatBadTables, EntriesOfOnes) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& good) {
    const std::uint64_t input = distinct_input<Facts>(good.levels());
    for (unsigned level = good.page().level; level <= good.levels(); ++level) {
      ScriptedPath<Facts> path = good;
      path.set(level, ~std::uint64_t{0});
      const auto leaf = path.walk(input, {.access = Access::kWrite});
      if (const auto reason = Facts::all_ones(level)) {
        EXPECT_STOPPED(leaf, *reason, level, path.entry_at(level, input));
      } else {
        ASSERT_TRUE(leaf.ok());
        EXPECT_EQ(leaf->page, Gpa(0x000fffff'fffff000));
      }
    }
  });
}

// The root's entries all point to the root.
TYPED_TEST(FormatBadTables, ATableThatPointsToItself) {
  using Facts = TypeParam;
  for (const unsigned levels : Facts::kLevelCounts) {
    if (levels == 1) continue;
    ScriptedPath<Facts> path(levels, {12, 1, 1});
    const std::uint64_t root = path.table_at(levels);
    path.set(levels, Facts::table(root, levels));
    const std::uint64_t input = distinct_input<Facts>(levels);
    const auto leaf = path.walk(input);
    // The page is read as every level in turn, and never more often than there are levels.
    std::vector<std::uint64_t> loads;
    for (unsigned level = levels; level >= 1; --level)
      loads.push_back(path.entry_at(level, input) - path.table_at(level) + root);
    if (Facts::kNamesLevels) {
      // Read again one level down, the entry names its own level.
      EXPECT_STOPPED(leaf, FaultReason::kLevelEncoding, levels - 1, loads[1]);
      loads.resize(2);
    } else {
      ASSERT_TRUE(leaf.ok());
      EXPECT_EQ(leaf->page, Gpa(root));
      EXPECT_EQ(leaf->level, 1);
    }
    EXPECT_EQ(path.reader.loads, loads);
  }
}

TYPED_TEST(FormatBadTables, TablesOutsideMemory) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& good) {
    const std::uint64_t input = distinct_input<Facts>(good.levels());
    for (unsigned level = good.page().level; level <= good.levels(); ++level) {
      ScriptedPath<Facts> path = good;
      path.reader.remove(path.table_at(level));
      const auto failure = path.walk(input);
      EXPECT_STOPPED(failure,
                     level == path.levels() ? FaultReason::kRootTableUnreadable
                                            : FaultReason::kTableUnreadable,
                     level, path.entry_at(level, input));
      EXPECT_EQ(failure.error().stage, Stage::kNone) << "the caller knows which stage it is";
    }
  });
}

// Every word of memory something else, drawn with a bias to what looks like an entry.
template <typename Facts>
struct NoiseReader {
  using Space = Gpa;
  std::uint64_t seed = 1;
  unsigned loads = 0;
  Result<std::uint64_t, WalkFailure> load(Gpa at) {
    ++loads;
    std::uint64_t x = (at.value() + seed) * 0x9e3779b97f4a7c15;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 32;
    // Most often a good entry with one bit changed.
    if (x % 4 == 0) return x;
    const std::uint64_t good =
        Facts::table(x & 0x000fffff'fffff000, 2 + static_cast<unsigned>(x >> 3 & 3));
    return x % 4 == 1 ? good ^ std::uint64_t{1} << (x >> 58) : good;
  }
  Result<bool, WalkFailure> update(Gpa at, std::uint64_t, std::uint64_t) {
    return at.value() % 3 != 0;
  }
  std::uint32_t take_references() { return 0; }
};

TYPED_TEST(FormatBadTables, ArbitraryBytesEndTheWalk) {
  using Facts = TypeParam;
  const auto rules = Facts::accessed_dirty_rules();
  for (const unsigned levels : Facts::kLevelCounts) {
    for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
      NoiseReader<Facts> reader{seed};
      const std::uint64_t input = seed * 0x0000'0000'1357'9bdf & 0xff'ffff'ffff;
      const auto leaf = walk<typename Facts::Format>(rules, reader, Gpa(0x1000), levels, input,
                                                     {.access = Access::kRead});
      ASSERT_LE(reader.loads, 16 * levels);
      if (!leaf) continue;
      bool known = false;
      for (const PageFact& page : Facts::pages(levels))
        known |= page.lg2 == leaf->page_lg2 && page.level == leaf->level;
      EXPECT_TRUE(known) << "a page of 2^" << leaf->page_lg2 << " in level " << leaf->level;
      EXPECT_EQ(leaf->page.page_offset(leaf->page_lg2), 0U);
      EXPECT_LT(leaf->page.value(), std::uint64_t{1} << 52);
    }
  }
}

}  // namespace
}  // namespace weir::pagetables::facts
