// SPDX-License-Identifier: Apache-2.0
//
// The host-map cache: it saves the references of flat and radix host maps, answers as they do, and
// forgets exactly what the embedder says has changed; a guest's flush does not reach it (L7).
#include "iommu/cached_host_map.h"

#include <gtest/gtest.h>

#include <functional>

#include "iotlb/walk_caches.h"
#include "pagetables/flat_host_map.h"
#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/two_stage.h"

namespace weir {
namespace {

namespace facts = pagetables::facts;
using pagetables::HostMapping;
using pagetables::WalkFailure;

// A host map that answers as it is told, and counts.
class ScriptedMap final : public pagetables::HostMap {
 public:
  Result<HostMapping, WalkFailure> lookup(Gpa at) const override {
    ++lookups;
    if (during_lookup) during_lookup();
    if (!window.contains(at))
      return Failure{WalkFailure{.reason = FaultReason::kHostMapAbsent, .stage = Stage::kHostMap}};
    return HostMapping{.hpa = to + (at - window.first),
                       .window = window,
                       .permissions = permissions,
                       .references = 3};
  }
  AddressRange<Gpa> window{Gpa(0x100000), Gpa(0x4fffff)};
  Hpa to{0x7100000};
  Permissions permissions = Permissions::read_write();
  std::function<void()> during_lookup;
  mutable unsigned lookups = 0;
};

class HostMapCache : public testing::Test {
 protected:
  // Lookups of the map itself that asking for `at` costs.
  unsigned asks(std::uint64_t at) {
    const unsigned before = map->lookups;
    (void)cached.lookup(Gpa(at));
    return map->lookups - before;
  }
  std::shared_ptr<ScriptedMap> map = std::make_shared<ScriptedMap>();
  CachedHostMap cached{map, 64};
};

TEST_F(HostMapCache, AnswersAsTheMapDoes) {
  for (const bool again : {false, true})
    for (const std::uint64_t at : {0x100000ULL, 0x100fffULL, 0x2abcdeULL, 0x4fffffULL}) {
      const auto mapping = cached.lookup(Gpa(at));
      ASSERT_TRUE(mapping.ok());
      EXPECT_EQ(mapping->hpa, Hpa(0x7000000 + at));
      EXPECT_EQ(mapping->permissions, map->permissions);
      EXPECT_TRUE(mapping->window.contains(Gpa(at)));
      EXPECT_GE(mapping->window.first, map->window.first);
      EXPECT_LE(mapping->window.last, map->window.last);
      EXPECT_TRUE(!again || mapping->references == 0);
    }
  // 100000h … 1fffffh, 200000h … 3fffffh and 400000h … 4fffffh: one lookup each.
  EXPECT_EQ(map->lookups, 3U);
}

TEST_F(HostMapCache, KeepsTheRightsOfTheMap) {
  map->permissions = Permissions::read_only();
  (void)cached.lookup(Gpa(0x100000));
  EXPECT_EQ(asks(0x100000), 0U);
  EXPECT_EQ(cached.lookup(Gpa(0x100000))->permissions, Permissions::read_only());
}

TEST_F(HostMapCache, FailuresAreNotRemembered) {
  const auto nothing = cached.lookup(Gpa(0x500000));
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().reason, FaultReason::kHostMapAbsent);
  EXPECT_EQ(nothing.error().stage, Stage::kHostMap);
  EXPECT_EQ(asks(0x500000), 1U);
}

// Parts of pages, and pages that lie crooked in the embedder's memory, fit into no entry.
TEST_F(HostMapCache, WhatIsNoPageIsAskedEveryTime) {
  map->window = {Gpa(0x100800), Gpa(0x101fff)};
  map->to = Hpa(0x7000800);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(asks(0x100900), 1U);
    EXPECT_EQ(cached.lookup(Gpa(0x100900))->hpa, Hpa(0x7000900));
  }
  EXPECT_EQ(asks(0x101900), 1U);
  EXPECT_EQ(asks(0x101000), 0U) << "the one whole page";
  EXPECT_EQ(cached.lookup(Gpa(0x101900))->hpa, Hpa(0x7001900));
  map->window = {Gpa(0x200000), Gpa(0x2fffff)};
  map->to = Hpa(0x7000200);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(asks(0x200010), 1U);
    EXPECT_EQ(cached.lookup(Gpa(0x200010))->hpa, Hpa(0x7000210));
  }
}

TEST_F(HostMapCache, ForgetsExactlyWhatItIsTold) {
  (void)cached.lookup(Gpa(0x100000));
  (void)cached.lookup(Gpa(0x200000));
  cached.forget({Gpa(0x3ff000), Gpa(0x3fffff)});
  EXPECT_EQ(asks(0x100000), 0U);
  EXPECT_EQ(asks(0x200000), 1U) << "its entry held the page too";
  cached.forget({Gpa(0x500000), Gpa(~std::uint64_t{0})});
  EXPECT_EQ(asks(0x200000), 0U);
  cached.forget(whole_space<Gpa>());
  EXPECT_EQ(asks(0x100000), 1U);
  EXPECT_EQ(asks(0x200000), 1U);
}

// L2: the map changes while it is being asked.
TEST_F(HostMapCache, AnAnswerThatWasOvertakenIsNotKept) {
  map->during_lookup = [this] { cached.forget({Gpa(0x100000), Gpa(0x100fff)}); };
  (void)cached.lookup(Gpa(0x100000));
  map->during_lookup = nullptr;
  map->to = Hpa(0x9100000);
  EXPECT_EQ(cached.lookup(Gpa(0x100000))->hpa, Hpa(0x9100000));
}

TEST_F(HostMapCache, TheWholeSpace) {
  map->window = whole_space<Gpa>();
  map->to = Hpa(0);
  for (const std::uint64_t at : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 62})
    for (int i = 0; i < 2; ++i) EXPECT_EQ(cached.lookup(Gpa(at))->hpa, Hpa(at));
  EXPECT_EQ(asks(0x5000), 0U);
  cached.forget(whole_space<Gpa>());
  EXPECT_EQ(asks(0x5000), 1U);
}

TEST_F(HostMapCache, SaysWhetherTheMapIsRadix) {
  EXPECT_FALSE(cached.is_radix());
  facts::TwoStage<facts::X86FirstStageFacts, facts::VtdSecondStageFacts> world(
      {4, {12, 1, 1}, 4, {12, 1, 1}});
  EXPECT_TRUE(CachedHostMap(world.host_map(), 64).is_radix());
}

// Under one guest stage of four levels, or as many as the format has.
template <typename Facts>
class HostMapReferences : public testing::Test {
 protected:
  using World = facts::TwoStage<Facts, facts::VtdSecondStageFacts>;
  static constexpr unsigned kLevels = std::min(Facts::kLevelCounts.back(), 4U);

  // Of the walk and of the landing.
  static unsigned references(World& world, const pagetables::PhysicalMemory& memory) {
    pagetables::DirectReader reader(memory);
    const auto leaf = pagetables::walk<typename Facts::Format>(
        world.upper_rules, reader, Gpa(world.root()), kLevels, world.input(), {});
    EXPECT_TRUE(leaf.ok());
    if (!leaf) return ~0U;
    const auto mapping = memory.host_map().lookup(leaf->translate(world.input()));
    EXPECT_TRUE(mapping.ok());
    return leaf->references + (mapping ? mapping->references : ~0U);
  }
};
TYPED_TEST_SUITE(HostMapReferences, facts::AllFormats, facts::FormatName);

TYPED_TEST(HostMapReferences, OfARadixMap) {
  constexpr unsigned n = TestFixture::kLevels;
  typename TestFixture::World world({n, {12, 1, 1}, 4, {12, 1, 1}});
  const auto cached = std::make_shared<CachedHostMap>(world.host_map(), 256);
  const pagetables::PhysicalMemory memory(world.ram.memory(), cached);
  EXPECT_EQ(this->references(world, memory), (n + 1) * 5 - 1);
  EXPECT_EQ(this->references(world, memory), n) << "every table page in the cache";
  iotlb::WalkCaches guest({});
  guest.invalidate({.scope = iotlb::Scope::kAll});
  EXPECT_EQ(this->references(world, memory), n) << "guest flushes go elsewhere";
  const Gpa root(world.root());
  cached->forget({root.page_base(12), root.page_base(12) + 0xfff});
  EXPECT_EQ(this->references(world, memory), n + 4) << "the root's page alone";
  cached->forget(whole_space<Gpa>());
  EXPECT_EQ(this->references(world, memory), (n + 1) * 5 - 1);
}

TYPED_TEST(HostMapReferences, OfAFlatMap) {
  constexpr unsigned n = TestFixture::kLevels;
  typename TestFixture::World world({n, {12, 1, 1}, 4, {12, 1, 1}});
  const auto flat = std::make_shared<pagetables::FlatHostMap>();
  for (const std::uint64_t ipa : world.ipas()) flat->add_regions(Gpa(ipa), 1);
  for (const std::uint64_t ipa : world.ipas()) {
    const auto leaf = world.walk_lower(ipa, {});
    ASSERT_TRUE(leaf.ok());
    flat->set(Gpa(ipa).page_base(12), Hpa(leaf->page.value()), Permissions::all());
  }
  const pagetables::PhysicalMemory bare(world.ram.memory(), flat);
  EXPECT_EQ(this->references(world, bare), 2 * n + 1);  // 9 for four levels
  const auto cached = std::make_shared<CachedHostMap>(flat, 256);
  const pagetables::PhysicalMemory memory(world.ram.memory(), cached);
  EXPECT_EQ(this->references(world, memory), 2 * n + 1);
  EXPECT_EQ(this->references(world, memory), n);
}

}  // namespace
}  // namespace weir
