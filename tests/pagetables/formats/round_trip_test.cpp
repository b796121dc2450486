// SPDX-License-Identifier: Apache-2.0
//
// Build, walk, unmap: what the table builder wrote in any format is what the walk finds, page by
// page, for ranges of mixed sizes, and nothing of it is left afterwards.
#include <gtest/gtest.h>

#include <random>

#include "pagetables/readers.h"
#include "pagetables/table_builder.h"
#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/scripted_path.h"
#include "tests/pagetables/formats/table_ram.h"

namespace weir::pagetables::facts {
namespace {

struct Mapped {
  std::uint64_t input = 0;
  std::uint64_t size = 0;
  std::uint64_t output = 0;
  Permissions permissions;
  unsigned max_page_lg2 = 12;
};

template <typename Facts>
class FormatRoundTrip : public testing::Test {
 protected:
  using Format = typename Facts::Format;

  struct World {
    explicit World(unsigned level_count, std::size_t pages = 512)
        : levels(level_count),
          ram(pages),
          builder(ram.physical(), Facts::rules(), *ram.allocate(), level_count,
                  [this] { return ram.allocate(); }) {}
    WalkResult<Gpa> walk(std::uint64_t input, Access access = Access::kRead) {
      DirectReader reader(ram.physical());
      return pagetables::walk<Format>(Facts::rules(), reader, builder.root(), levels, input,
                                      {.access = access});
    }
    Result<Done, BuildFailure> map(const Mapped& m) {
      return builder.map(m.input, m.size, Gpa(m.output), m.permissions, m.max_page_lg2);
    }
    unsigned levels;
    TableRam ram;
    TableBuilder<Format> builder;
  };

  // The page that holds `input` gives the right address and rights, lies inside the mapping, and is
  // no larger than was asked for.
  static void expect_mapped(World& world, const Mapped& m, std::uint64_t input) {
    SCOPED_TRACE(testing::Message() << std::hex << "input " << input);
    const auto leaf = world.walk(input);
    ASSERT_TRUE(leaf.ok()) << to_string(leaf.error().reason);
    EXPECT_EQ(leaf->translate(input), Gpa(m.output + (input - m.input)));
    EXPECT_EQ(leaf->permissions, m.permissions);
    EXPECT_EQ(world.walk(input, Access::kWrite).ok(), m.permissions.can_write());
    EXPECT_LE(leaf->page_lg2, m.max_page_lg2);
    const std::uint64_t inside = (std::uint64_t{1} << leaf->page_lg2) - 1;
    EXPECT_GE(input & ~inside, m.input);
    EXPECT_LE(input | inside, m.input + (m.size - 1));
    // Nor smaller than could be had: the next size would not fit or does not exist.
    for (const PageFact& page : Facts::pages(world.levels)) {
      if (page.lg2 <= leaf->page_lg2 || page.lg2 > m.max_page_lg2) continue;
      const std::uint64_t larger = (std::uint64_t{1} << page.lg2) - 1;
      const bool fits = (input & ~larger) >= m.input &&
                        (input | larger) <= m.input + (m.size - 1) &&
                        ((m.output - m.input) & larger) == 0;
      EXPECT_FALSE(fits) << "2^" << page.lg2;
    }
  }
};
TYPED_TEST_SUITE(FormatRoundTrip, AllFormats, FormatName);

// A range that begins and ends crookedly around two large pages, at every size limit.
TYPED_TEST(FormatRoundTrip, MixedPageSizes) {
  using Facts = TypeParam;
  for (const unsigned levels : Facts::kLevelCounts)
    for (const PageFact& page : Facts::pages(levels)) {
      const std::uint64_t size = std::uint64_t{1} << page.lg2;
      const Mapped m{.input = 2 * size - (page.lg2 > 12 ? 0x1000 : 0),
                     .size = 2 * size + (page.lg2 > 12 ? 0x3000 : 0),
                     .output = 4 * size - (page.lg2 > 12 ? 0x1000 : 0),
                     .permissions = Permissions::all(),
                     .max_page_lg2 = page.lg2};
      if (!Facts::accepts(m.input + m.size, levels) || page.lg2 > 49) continue;
      SCOPED_TRACE(testing::Message() << levels << " levels, pages up to 2^" << page.lg2);
      typename TestFixture::World world(levels);
      ASSERT_TRUE(world.map(m).ok());
      std::vector<std::uint64_t> probes{
          m.input,  m.input + 0xfff, 2 * size,          3 * size - 1,
          3 * size, 4 * size - 1,    4 * size - 0x1000, m.input + m.size - 1};
      for (const std::uint64_t probe : probes) TestFixture::expect_mapped(world, m, probe);
      EXPECT_EQ(world.walk(2 * size)->page_lg2, page.lg2);
      EXPECT_FALSE(world.walk(m.input - 1).ok());
      EXPECT_FALSE(world.walk(m.input + m.size).ok());
      ASSERT_TRUE(world.builder.unmap(m.input, m.size).ok());
      for (const std::uint64_t probe : probes) EXPECT_FALSE(world.walk(probe).ok());
    }
}

TYPED_TEST(FormatRoundTrip, EveryCopyOfALeafIsThereAndGoes) {
  using Facts = TypeParam;
  for (const unsigned levels : Facts::kLevelCounts)
    for (const PageFact& page : Facts::pages(levels)) {
      const std::uint64_t size = std::uint64_t{1} << page.lg2;
      if (!Facts::accepts(2 * size - 1, levels)) continue;
      typename TestFixture::World world(levels, 16);
      const Mapped m{size, size, 0, Permissions::read_only(), page.lg2};
      ASSERT_TRUE(world.map(m).ok());
      const std::uint64_t step = size / page.copies;
      const std::uint64_t first = world.builder.entry_at(size, page.level)->value();
      for (std::uint64_t copy = 0; copy < page.copies; ++copy) {
        EXPECT_EQ(world.ram.at(first + 8 * copy), world.ram.at(first));
        TestFixture::expect_mapped(world, m, size + copy * step);
      }
      EXPECT_EQ(world.ram.at(first + 8 * page.copies), 0U);
      // Any part of it takes all of it.
      ASSERT_TRUE(world.builder.unmap(2 * size - 0x1000, 0x1000).ok());
      for (std::uint64_t copy = 0; copy < page.copies; ++copy)
        EXPECT_EQ(world.ram.at(first + 8 * copy), 0U);
    }
}

// A driver's life: ranges come and go, all sizes and rights mixed; after each step every page is as
// a list of the living ranges says.
TYPED_TEST(FormatRoundTrip, RangesComeAndGo) {
  using Facts = TypeParam;
  std::mt19937_64 random(20);
  for (const unsigned levels : Facts::kLevelCounts) {
    SCOPED_TRACE(testing::Message() << levels << " levels");
    typename TestFixture::World world(levels, 4096);
    // Slots of 1/8 of the smallest reach's half, so that large pages and all levels are met.
    const unsigned slot_lg2 = levels == 1 ? 17 : levels == 2 ? 25 : 33;
    std::vector<std::optional<Mapped>> slots(8);
    for (unsigned step = 0; step < 300; ++step) {
      const std::size_t slot = random() % slots.size();
      auto& m = slots[slot];
      if (m) {
        ASSERT_TRUE(world.builder.unmap(m->input, m->size).ok());
        const std::uint64_t was = m->input;
        m.reset();
        EXPECT_FALSE(world.walk(was).ok());
      } else {
        const std::uint64_t base = std::uint64_t{slot} << slot_lg2;
        // Not too many pages at a time, whatever the limit.
        const unsigned size_lg2 = 12 + static_cast<unsigned>(random() % (slot_lg2 - 12));
        const unsigned least = size_lg2 > 24 ? 21 : 12;
        const std::uint64_t size = (random() & ((1ULL << size_lg2) - 1) & ~((1ULL << least) - 1)) +
                                   (std::uint64_t{1} << least);
        const std::uint64_t room = (std::uint64_t{1} << slot_lg2) - size;
        const std::uint64_t start = room == 0 ? 0 : random() % room & ~((1ULL << least) - 1);
        m = Mapped{base + start, size, (random() & 0xff'ffff'f000) >> least << least,
                   random() % 2 == 0 ? Permissions::all() : Permissions::read_only(),
                   least == 21 ? 30U : 12 + static_cast<unsigned>(random() % 19)};
        const auto mapped = world.map(*m);
        ASSERT_TRUE(mapped.ok()) << static_cast<int>(mapped.error());
      }
      for (const auto& living : slots) {
        if (!living) continue;
        const std::uint64_t last = living->input + (living->size - 1);
        for (const std::uint64_t probe :
             {living->input, last, living->input + random() % living->size})
          TestFixture::expect_mapped(world, *living, probe);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

// Inputs at the far end of the reach, where sums wrap and canonical addresses begin.
TYPED_TEST(FormatRoundTrip, TheLastPageOfTheReach) {
  using Facts = TypeParam;
  for (const unsigned levels : Facts::kLevelCounts) {
    std::vector<std::uint64_t> pages;
    for (unsigned bit = 13; bit < 64; ++bit)
      for (const std::uint64_t page :
           {(std::uint64_t{1} << bit) - 0x1000, -(std::uint64_t{1} << bit), -std::uint64_t{0x1000}})
        pages.push_back(page);
    for (const std::uint64_t page : pages) {
      SCOPED_TRACE(testing::Message() << levels << " levels, page " << std::hex << page);
      typename TestFixture::World world(levels, 16);
      const Mapped m{page, 0x1000, 0x7000, Permissions::all(), 12};
      const auto mapped = world.map(m);
      ASSERT_EQ(mapped.ok(), Facts::accepts(page, levels));
      if (!mapped) {
        EXPECT_EQ(mapped.error(), BuildFailure::kBeyondReach);
        continue;
      }
      TestFixture::expect_mapped(world, m, page + 0xfff);
      ASSERT_TRUE(world.builder.unmap(page, 0x1000).ok());
      EXPECT_FALSE(world.walk(page).ok());
    }
  }
}

}  // namespace
}  // namespace weir::pagetables::facts
