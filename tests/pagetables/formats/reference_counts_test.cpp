// SPDX-License-Identifier: Apache-2.0
//
// How many table entries a walk reads, exactly, with nothing cached: n levels over m levels is
// (n+1)(m+1) - 1, because each of the n tables and the final address cost a stage-2 walk. A large
// leaf in level b saves b - 1 levels of its stage.
#include <gtest/gtest.h>

#include "pagetables/flat_host_map.h"
#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/two_stage.h"

namespace weir::pagetables::facts {
namespace {

template <typename Formats>
class PairReferences : public testing::Test {
 protected:
  using World = TwoStage<typename Formats::Upper, typename Formats::Lower>;

  // Calls `body(world, n, m)` with the effective levels, for every shape that exists.
  template <typename Body>
  static void for_every_shape(Body body) {
    unsigned shapes = 0;
    for (const unsigned upper : Formats::Upper::kLevelCounts)
      for (const unsigned lower : Formats::Lower::kLevelCounts)
        for (const PageFact& upper_page : Formats::Upper::pages(upper))
          for (const PageFact& lower_page : Formats::Lower::pages(lower)) {
            // Leaves in several entries cost what the smallest of their level costs.
            if (upper_page.copies > 1 || lower_page.copies > 1) continue;
            const typename World::Shape shape{upper, upper_page, lower, lower_page};
            if (!World::possible(shape)) continue;
            SCOPED_TRACE(testing::Message()
                         << upper << " levels, page in " << upper_page.level << ", over " << lower
                         << " levels, page in " << lower_page.level);
            World world(shape);
            body(world, upper - (upper_page.level - 1), lower - (lower_page.level - 1));
            if (HasFailure()) return;
            ++shapes;
          }
    EXPECT_GE(shapes, Formats::Upper::kLevelCounts.size());
  }
};
TYPED_TEST_SUITE(PairReferences, AllPairs, PairName);

TYPED_TEST(PairReferences, NestedWithoutCaches) {
  TestFixture::for_every_shape([](auto& world, unsigned n, unsigned m) {
    const auto nested = world.walk_nested();
    ASSERT_TRUE(nested.ok()) << to_string(nested.error().reason);
    EXPECT_EQ(nested->translate(world.input()), Gpa(world.output()));
    EXPECT_EQ(nested->references(), (n + 1) * (m + 1) - 1);
    EXPECT_EQ(nested->page_lg2(),
              std::min(world.shape().upper_page.lg2, world.shape().lower_page.lg2));
    const auto alone = world.walk_lower(world.ipas().back(), {});
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ(alone->references, m) << "stage 2 alone";
  });
}

// One guest stage over the embedder's own tables: the same sum, made of the walk and the landing.
TYPED_TEST(PairReferences, OneStageOverARadixHostMap) {
  using Upper = typename TypeParam::Upper;
  TestFixture::for_every_shape([](auto& world, unsigned n, unsigned m) {
    const PhysicalMemory memory(world.ram.memory(), world.host_map());
    DirectReader reader(memory);
    const auto leaf = walk<typename Upper::Format>(world.upper_rules, reader, Gpa(world.root()),
                                                   world.shape().upper_levels, world.input(), {});
    ASSERT_TRUE(leaf.ok()) << to_string(leaf.error().reason);
    EXPECT_EQ(leaf->references, n * (m + 1));
    const Gpa landing_at = leaf->translate(world.input());
    EXPECT_EQ(landing_at, Gpa(world.ipas().back()));
    // Pass-through, a virtio-iommu range map, bypass: no guest table, so this is all they cost.
    const auto mapping = memory.host_map().lookup(landing_at);
    ASSERT_TRUE(mapping.ok());
    EXPECT_EQ(mapping->references, m);
    EXPECT_EQ(mapping->hpa, Hpa(world.output()));
  });
}

template <typename Facts>
class FormatReferences : public testing::Test {};
TYPED_TEST_SUITE(FormatReferences, AllFormats, FormatName);

TYPED_TEST(FormatReferences, OneStageOverMemorySlots) {
  for_every_page<TypeParam>([](ScriptedPath<TypeParam>& path) {
    const auto leaf = path.walk(0);
    ASSERT_TRUE(leaf.ok());
    EXPECT_EQ(leaf->references, path.levels() - (path.page().level - 1));
  });
}

// Every table read is one entry of the flat array more, and so is the landing.
TYPED_TEST(FormatReferences, OneStageOverAFlatHostMap) {
  using Facts = TypeParam;
  for (const unsigned levels : Facts::kLevelCounts) {
    TableRam ram(16);
    TableBuilder<typename Facts::Format> builder(ram.physical(), Facts::rules(), *ram.allocate(),
                                                 levels, [&] { return ram.allocate(); });
    ASSERT_TRUE(builder.map(0x3000, 0x1000, Gpa(0x5000), Permissions::all(), 12).ok());
    auto flat = std::make_shared<FlatHostMap>();
    flat->add_regions(Gpa(0), 1);
    for (std::uint64_t page = 0; page < ram.bytes().size(); page += kPageSize)
      flat->set(Gpa(page), Hpa(page), Permissions::all());
    const PhysicalMemory memory(ram.memory(), flat);
    DirectReader reader(memory);
    const auto leaf =
        walk<typename Facts::Format>(Facts::rules(), reader, builder.root(), levels, 0x3128, {});
    ASSERT_TRUE(leaf.ok());
    const auto landing = memory.resolve(leaf->translate(0x3128));
    ASSERT_TRUE(landing.ok());
    EXPECT_EQ(leaf->references + landing->references, 2 * levels + 1);
  }
}

// The table that the formula stands for, written out (levels of x86 over VT-d, 6 of AMD).
template <typename Lower>
std::uint32_t nested_references(unsigned upper_levels, unsigned lower_levels,
                                PageFact upper_page = {12, 1, 1},
                                PageFact lower_page = {12, 1, 1}) {
  TwoStage<X86FirstStageFacts, Lower> world({upper_levels, upper_page, lower_levels, lower_page});
  const auto nested = world.walk_nested();
  return nested ? nested->references() : 0;
}

TEST(ReferenceTable, Rows) {
  using Ss = VtdSecondStageFacts;
  EXPECT_EQ(nested_references<Ss>(4, 3), 19U);
  EXPECT_EQ(nested_references<Ss>(4, 4), 24U);
  EXPECT_EQ(nested_references<Ss>(4, 5), 29U);
  EXPECT_EQ(nested_references<Ss>(5, 4), 29U);
  EXPECT_EQ(nested_references<Ss>(5, 5), 35U);
  EXPECT_EQ(nested_references<AmdV1Facts>(4, 6), 34U);
  EXPECT_EQ(nested_references<Ss>(4, 4, {12, 1, 1}, {21, 2, 1}), 19U);
  EXPECT_EQ(nested_references<Ss>(4, 4, {21, 2, 1}, {21, 2, 1}), 15U);
  EXPECT_EQ(nested_references<Ss>(4, 4, {12, 1, 1}, {30, 3, 1}), 14U);
  TwoStage<AmdV1Facts, AmdV1Facts> three({3, {12, 1, 1}, 3, {12, 1, 1}});
  EXPECT_EQ(three.walk_nested()->references(), 15U);
  TwoStage<AmdV1Facts, Ss> three_four({3, {12, 1, 1}, 4, {12, 1, 1}});
  EXPECT_EQ(three_four.walk_nested()->references(), 19U);
}

}  // namespace
}  // namespace weir::pagetables::facts
