// SPDX-License-Identifier: Apache-2.0
//
// The plain way down (pagetables/detail/plain_way.h) finds what the whole way finds, or leaves it
// alone: every bit of every entry on the way is turned, one at a time, for every kind of access,
// and the answers are compared with those of a reader that offers nothing but load().
#include <gtest/gtest.h>

#include <vector>

#include "iommu/cached_walk.h"
#include "pagetables/nested.h"
#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/two_stage.h"

namespace weir {
namespace {

namespace facts = pagetables::facts;
using pagetables::DirectReader;
using pagetables::Leaf;

// Guest memory by load() alone, so that a walk has only the whole way.
class PlodderReader {
 public:
  using Space = Gpa;
  explicit PlodderReader(const pagetables::PhysicalMemory& memory) : memory_(memory) {}

  [[nodiscard]] auto load(Gpa at) { return memory_.load(at); }
  [[nodiscard]] auto update(Gpa at, std::uint64_t seen, std::uint64_t desired) {
    return memory_.update(at, seen, desired);
  }
  [[nodiscard]] std::uint32_t take_references() { return memory_.take_references(); }

 private:
  DirectReader memory_;
};
static_assert(!pagetables::ReadsAtOnce<PlodderReader>);

void expect_same(const Leaf<Gpa>& one, const Leaf<Gpa>& other) {
  EXPECT_EQ(one.page, other.page);
  EXPECT_EQ(one.page_lg2, other.page_lg2);
  EXPECT_EQ(one.level, other.level);
  EXPECT_EQ(one.permissions.bits(), other.permissions.bits());
  EXPECT_EQ(one.dirty_owed, other.dirty_owed);
  EXPECT_EQ(one.entry, other.entry);
  EXPECT_EQ(one.references, other.references);
}

constexpr Ask kAsks[] = {
    {.access = Access::kRead},
    {.access = Access::kWrite},
    {.access = Access::kReadWrite},
    {.access = Access::kRead, .execute = true},
    {.access = Access::kWrite, .privileged = true},
    {.access = Access::kWrite, .privileged = true, .write_protect = true},
};

template <typename Formats>
class PlainWalk : public testing::Test {
 protected:
  using World = facts::TwoStage<typename Formats::Upper, typename Formats::Lower>;
  using Upper = typename World::Upper;
  using Lower = typename World::Lower;

  // Every word that the nested walk of an untouched world reads.
  static std::vector<Gpa> words_of(World& world) {
    std::vector<Gpa> words;
    const auto& shape = world.shape();
    for (const std::uint64_t ipa : world.ipas())
      for (unsigned level = 1; level <= shape.lower_levels; ++level)
        words.push_back(Gpa(world.lower_entry_at(ipa, level)));
    for (unsigned level = 1; level <= shape.upper_levels; ++level)
      words.push_back(world.walk_lower(world.upper_entry_at(level), {})
                          ->translate(world.upper_entry_at(level)));
    return words;
  }
  static bool plain(World& world, const Ask& ask, Leaf<Gpa>& leaf) {
    iotlb::WalkCaches off({.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0});
    DirectReader reader(world.ram.physical());
    const CachedStage2<Lower, DirectReader> lower(world.lower_rules, reader, world.lower_root(),
                                                  world.shape().lower_levels, off, DomainId{1}, {});
    return pagetables::nested_walk_plain<Upper>(world.upper_rules, Ipa(world.root()),
                                                world.shape().upper_levels, lower, world.input(),
                                                ask, leaf);
  }
  static pagetables::WalkResult<Gpa> whole(World& world, const Ask& ask) {
    PlodderReader reader(world.ram.physical());
    const auto lower = [&](std::uint64_t address, const Ask& what) {
      return pagetables::walk<Lower>(world.lower_rules, reader, world.lower_root(),
                                     world.shape().lower_levels, address, what);
    };
    const auto leaf = pagetables::nested_walk<Upper>(world.upper_rules, Ipa(world.root()),
                                                     world.shape().upper_levels, lower, reader,
                                                     world.input(), ask);
    if (!leaf) return Failure{leaf.error()};
    return leaf->whole(world.input());
  }
  // A walk of stage 2 alone: by both ways.
  static void compare_one_stage(World& world, std::uint64_t& word, std::uint64_t value,
                                const Ask& ask) {
    const std::uint64_t ipa = world.ipas().back();
    const auto walk = [&](auto reader) {
      word = value;
      return pagetables::walk<Lower>(world.lower_rules, reader, world.lower_root(),
                                     world.shape().lower_levels, ipa, ask);
    };
    const auto one = walk(DirectReader(world.ram.physical()));
    const auto other = walk(PlodderReader(world.ram.physical()));
    ASSERT_EQ(one.ok(), other.ok());
    if (one) return expect_same(*one, *other);
    EXPECT_EQ(one.error().reason, other.error().reason);
    EXPECT_EQ(one.error().level, other.error().level);
    EXPECT_EQ(one.error().entry_at, other.error().entry_at);
    EXPECT_EQ(one.error().references, other.error().references);
  }
  static void compare(const typename World::Shape& shape) {
    if (!World::possible(shape)) return;
    World world(shape);
    // Sets every accessed and dirty bit.
    ASSERT_TRUE(whole(world, {.access = Access::kReadWrite}).ok());
    unsigned found = 0;
    for (const Gpa at : words_of(world)) {
      std::uint64_t& word = world.ram.at(at.value());
      const std::uint64_t before = word;
      for (unsigned bit = 0; bit < 64; ++bit) {
        for (const Ask& ask : kAsks) {
          const std::uint64_t turned = before ^ std::uint64_t{1} << bit;
          word = turned;
          Leaf<Gpa> leaf;
          const bool done = plain(world, ask, leaf);
          ASSERT_EQ(word, turned);  // it never writes
          const auto all = whole(world, ask);
          if (done) {
            ++found;
            ASSERT_TRUE(all.ok()) << "bit " << bit << " of the word at " << at.value();
            expect_same(leaf, *all);
          }
          compare_one_stage(world, word, turned, ask);
          word = before;
          if (testing::Test::HasFailure()) FAIL() << "bit " << bit << " at " << at.value();
        }
      }
    }
    EXPECT_GT(found, 1000U);
    for (const Ask& ask : kAsks) {
      Leaf<Gpa> leaf;
      EXPECT_EQ(plain(world, ask, leaf), whole(world, ask).ok());
    }
  }
};
using Pairs = testing::Types<facts::Pair<facts::X86FirstStageFacts, facts::VtdSecondStageFacts>,
                             facts::Pair<facts::X86FirstStageFacts, facts::AmdV1Facts>,
                             facts::Pair<facts::VtdSecondStageFacts, facts::X86FirstStageFacts>>;
TYPED_TEST_SUITE(PlainWalk, Pairs, facts::PairName);

TYPED_TEST(PlainWalk, FourOverFour) { this->compare({4, {12, 1, 1}, 4, {12, 1, 1}}); }
TYPED_TEST(PlainWalk, FiveOverFive) { this->compare({5, {12, 1, 1}, 5, {12, 1, 1}}); }
TYPED_TEST(PlainWalk, FourOverThree) { this->compare({4, {12, 1, 1}, 3, {12, 1, 1}}); }

}  // namespace
}  // namespace weir
