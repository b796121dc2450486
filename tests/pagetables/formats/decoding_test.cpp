// SPDX-License-Identifier: Apache-2.0
//
// Every address bit is decoded exactly once: on the way in by one index or by the offset, on the
// way out by the address of the table or page.
#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"

namespace weir::pagetables::facts {
namespace {

template <typename Facts>
class FormatDecoding : public testing::Test {};
TYPED_TEST_SUITE(FormatDecoding, AllFormats, FormatName);

TYPED_TEST(FormatDecoding, EveryInputBitOnce) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const std::uint64_t inside = (std::uint64_t{1} << path.page().lg2) - 1;
    for (unsigned bit = 0; bit < 64; ++bit) {
      SCOPED_TRACE(testing::Message() << "input bit " << bit);
      const std::uint64_t input = std::uint64_t{1} << bit;
      const auto leaf = path.walk(input);
      if (!Facts::accepts(input, path.levels())) {
        EXPECT_STOPPED(leaf, Facts::kRefusal, 0, 0U);
        EXPECT_TRUE(path.reader.loads.empty());
        continue;
      }
      ASSERT_TRUE(leaf.ok());
      EXPECT_EQ(path.reader.loads, path.expected_loads(input));
      EXPECT_EQ(leaf->translate(input), Gpa(input & inside));
      // Once: either one load lies elsewhere or the offset does. Entries that hold the same leaf
      // are told apart by bits of the offset.
      const auto none = path.expected_loads(0);
      unsigned moved = 0;
      for (std::size_t i = 0; i < none.size(); ++i) moved += none[i] != path.reader.loads[i];
      const bool selects_a_copy =
          bit < path.page().lg2 && bit >= Facts::kIndex[path.page().level].low;
      EXPECT_EQ(moved, bit >= path.page().lg2 || selects_a_copy ? 1U : 0U);
      EXPECT_EQ(leaf->references, path.reader.loads.size());
    }
  });
}

TYPED_TEST(FormatDecoding, EveryOutputBitOfALeafOnce) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const PageFact page = path.page();
    for (unsigned bit = page.lg2; bit < 52; ++bit) {
      const std::uint64_t output = std::uint64_t{1} << bit;
      const std::uint64_t word = Facts::leaf(output, page.lg2);
      path.set(page.level, word);
      const auto leaf = path.walk(0xabc);
      ASSERT_TRUE(leaf.ok()) << "output bit " << bit;
      EXPECT_EQ(leaf->page, Gpa(output));
      EXPECT_EQ(leaf->translate(0xabc), Gpa(output + 0xabc));
      EXPECT_EQ(leaf->page_lg2, page.lg2);
      EXPECT_EQ(leaf->level, page.level);
      EXPECT_EQ(leaf->entry, word);
      EXPECT_EQ(Facts::Format::make_leaf(output, page.lg2, Permissions::all()), word);
    }
  });
}

TYPED_TEST(FormatDecoding, EveryOutputBitOfATableOnce) {
  using Facts = TypeParam;
  for_every_page<Facts>([](ScriptedPath<Facts>& path) {
    const std::uint64_t input = distinct_input<Facts>(path.levels());
    for (unsigned level = path.levels(); level > path.page().level; --level) {
      for (unsigned bit = 12; bit < 52; ++bit) {
        const std::uint64_t table = std::uint64_t{1} << bit;
        ScriptedPath<Facts> other = path;
        const std::uint64_t word = Facts::table(table, level);
        other.set(level, word);
        // In place of the table's page, so that the walk reaches the end.
        other.reader.remove(other.table_at(level - 1));
        other.reader.fill(table, path.word(level - 1));
        auto loads = path.expected_loads(input);
        loads[path.levels() - level + 1] += table - path.table_at(level - 1);
        ASSERT_TRUE(other.walk(input).ok()) << "level " << level << ", bit " << bit;
        EXPECT_EQ(other.reader.loads, loads);
        EXPECT_EQ(Facts::Format::make_table(table, level), word);
      }
    }
  });
}

// The last input that the tables take and the first that they do not, on every side.
TYPED_TEST(FormatDecoding, InputsAtTheEdges) {
  using Facts = TypeParam;
  for (const unsigned levels : Facts::kLevelCounts) {
    ScriptedPath<Facts> path(levels, {12, 1, 1});
    std::vector<std::uint64_t> inputs{0, ~std::uint64_t{0}};
    for (unsigned bit = 12; bit < 64; ++bit) {
      const std::uint64_t edge = std::uint64_t{1} << bit;
      inputs.insert(inputs.end(), {edge - 1, edge, edge + 1, ~edge, -edge, -edge - 1});
    }
    unsigned taken = 0;
    for (const std::uint64_t input : inputs) {
      SCOPED_TRACE(testing::Message() << levels << " levels, input " << std::hex << input);
      const auto leaf = path.walk(input);
      if (Facts::accepts(input, levels)) {
        ASSERT_TRUE(leaf.ok());
        EXPECT_EQ(path.reader.loads, path.expected_loads(input));
        ++taken;
      } else {
        EXPECT_STOPPED(leaf, Facts::kRefusal, 0, 0U);
        EXPECT_TRUE(path.reader.loads.empty());
        EXPECT_EQ(leaf.error().references, 0U);
      }
    }
    EXPECT_GT(taken, 10U);
  }
}

TYPED_TEST(FormatDecoding, PagesThatDoNotExistHaveNoPlace) {
  using Facts = TypeParam;
  const auto rules = Facts::rules();
  const auto pages = Facts::pages(Facts::kLevelCounts.back());
  for (unsigned lg2 = 0; lg2 < 70; ++lg2) {
    const auto place = Facts::Format::leaf_place(lg2, rules);
    const PageFact* fact = nullptr;
    for (const PageFact& page : pages)
      if (page.lg2 == lg2) fact = &page;
    ASSERT_EQ(place.has_value(), fact != nullptr) << "2^" << lg2;
    if (fact == nullptr) continue;
    EXPECT_EQ(place->level, fact->level);
    EXPECT_EQ(std::uint64_t{1} << place->copies_lg2, fact->copies);
  }
}

}  // namespace
}  // namespace weir::pagetables::facts
