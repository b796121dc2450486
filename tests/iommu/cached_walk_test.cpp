// SPDX-License-Identifier: Apache-2.0
//
// What a nested walk of four levels over four still reads in each state of the walk caches, exactly
// (0, 1, 2, 4, 5, 9, 24), and what each invalidation takes away: what it covers, and nothing else
// (L5, L7).
#include "iommu/cached_walk.h"

#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/two_stage.h"

namespace weir {
namespace {

namespace facts = pagetables::facts;
using iotlb::Scope;
using iotlb::WalkCaches;

constexpr DomainId kDomain{5};
constexpr Pasid kPasid{77};
// Room enough that nothing is evicted.
constexpr iotlb::WalkCacheOptions kAllOn{
    .stage1_tables = 4096, .stage2_tables = 4096, .stage2_pages = 4096};

template <typename Formats>
class CachedWalk : public testing::Test {
 protected:
  using World = facts::TwoStage<typename Formats::Upper, typename Formats::Lower>;
  using Lower = CachedStage2<typename World::Lower, pagetables::DirectReader>;

  auto walk(WalkCaches& in, const WalkCaches::Tickets& tickets, DomainId domain, const Ask& ask) {
    pagetables::DirectReader reader(world.ram.physical());
    Lower lower(world.lower_rules, reader, world.lower_root(), 4, in, domain, tickets);
    const iotlb::Tag tag{.domain = domain, .pasid = kPasid.value};
    CachedTables<typename World::Upper, Ipa> tables(in, tag, tickets);
    return pagetables::nested_walk<typename World::Upper>(
        world.upper_rules, Ipa(world.root()), 4, lower, reader, world.input(), ask, tables);
  }
  // Walks and gives the references, having compared the answer.
  unsigned references(WalkCaches& in, DomainId domain) {
    const auto nested = walk(in, in.begin_fill(domain), domain, {});
    EXPECT_TRUE(nested.ok());
    if (!nested) return ~0U;
    EXPECT_EQ(nested->translate(world.input()), Gpa(world.output()));
    EXPECT_EQ(nested->page_lg2(), 12);
    return nested->references();
  }
  unsigned references(DomainId domain = kDomain) { return references(caches, domain); }

  pagetables::WalkResult<Gpa> walk_stage2(std::uint64_t ipa, const Ask& ask = {}) {
    pagetables::DirectReader reader(world.ram.physical());
    return Lower(world.lower_rules, reader, world.lower_root(), 4, caches, kDomain,
                 caches.begin_fill(kDomain))(ipa, ask);
  }
  // The page at intermediate address number `n`: 0…3 are tables, 4 is where the input leads.
  iotlb::Invalidation of_page(unsigned n, bool leaf_only) const {
    const Iova page(world.ipas()[n] & ~0xfffULL);
    return {.scope = Scope::kRange,
            .domain = kDomain,
            .range = {page, page + 0xfff},
            .leaf_only = leaf_only};
  }

  World world{{4, {12, 1, 1}, 4, {12, 1, 1}}};
  WalkCaches caches{kAllOn};
};
using Pairs = testing::Types<facts::Pair<facts::X86FirstStageFacts, facts::VtdSecondStageFacts>,
                             facts::Pair<facts::X86FirstStageFacts, facts::AmdV1Facts>,
                             facts::Pair<facts::VtdSecondStageFacts, facts::X86FirstStageFacts>,
                             facts::Pair<facts::AmdV1Facts, facts::AmdV1Facts>>;
TYPED_TEST_SUITE(CachedWalk, Pairs, facts::PairName);

TYPED_TEST(CachedWalk, NothingCached) {
  EXPECT_EQ(this->references(), 24U);
  EXPECT_EQ(this->caches.stage1_tables.size(), 3U);   // all but the root
  EXPECT_EQ(this->caches.stage2_tables.size(), 15U);  // three for each of five addresses
  EXPECT_EQ(this->caches.stage2_pages.size(), 5U);
}

TYPED_TEST(CachedWalk, CachesThatAreOff) {
  for (const iotlb::WalkCacheOptions& options :
       {iotlb::WalkCacheOptions{0, 0, 0}, iotlb::WalkCacheOptions{0, 4096, 4096},
        iotlb::WalkCacheOptions{4096, 0, 4096}, iotlb::WalkCacheOptions{4096, 4096, 0},
        iotlb::WalkCacheOptions{4096, 0, 0}}) {
    WalkCaches some(options);
    EXPECT_EQ(this->references(some, kDomain), 24U);
    const unsigned tables = options.stage1_tables != 0 ? 1 : 4;
    const unsigned stage2 = options.stage2_pages != 0 ? 0 : options.stage2_tables != 0 ? 1 : 4;
    EXPECT_EQ(this->references(some, kDomain), tables + (tables + 1) * stage2);
  }
}

TYPED_TEST(CachedWalk, LeafTableOfStage1AndThePageItLeadsTo) {
  (void)this->references();
  EXPECT_EQ(this->references(), 1U);
}

TYPED_TEST(CachedWalk, LeafTablesOfBothStages) {
  (void)this->references();
  EXPECT_EQ(this->caches.invalidate(this->of_page(4, true)), 1U);
  EXPECT_EQ(this->references(), 2U);
}

TYPED_TEST(CachedWalk, LeafTableOfStage1Alone) {
  (void)this->references();
  // The page, and the three stage-2 tables above it.
  EXPECT_EQ(this->caches.invalidate(this->of_page(4, false)), 4U);
  EXPECT_EQ(this->references(), 5U);
}

TYPED_TEST(CachedWalk, AllPagesOfStage2AndNoTableOfStage1) {
  (void)this->references();
  // A guest's flush of its own stage 1 keeps stage 2.
  EXPECT_EQ(this->caches.invalidate({.scope = Scope::kPasid, .domain = kDomain, .pasid = kPasid}),
            3U);
  EXPECT_EQ(this->references(), 4U);
}

TYPED_TEST(CachedWalk, LeafTablesOfStage2AndNoTableOfStage1) {
  (void)this->references();
  (void)this->caches.stage1_tables.invalidate({.scope = Scope::kAll});
  (void)this->caches.stage2_pages.invalidate({.scope = Scope::kAll});
  EXPECT_EQ(this->references(), 9U);
}

TYPED_TEST(CachedWalk, AHitOfTheNestedTlbReadsNothing) {
  const std::uint64_t ipa = this->world.ipas().back();
  EXPECT_EQ(this->walk_stage2(ipa)->references, 4U);
  const auto hit = this->walk_stage2(ipa);
  ASSERT_TRUE(hit.ok());
  EXPECT_EQ(hit->references, 0U);
  EXPECT_EQ(hit->translate(ipa), Gpa(this->world.output()));
}

TYPED_TEST(CachedWalk, LeafOnlyInvalidationsKeepTables) {
  (void)this->references();
  EXPECT_EQ(
      this->caches.invalidate({.scope = Scope::kDomain, .domain = kDomain, .leaf_only = true}), 5U);
  EXPECT_EQ(this->caches.stage1_tables.size(), 3U);
  EXPECT_EQ(this->caches.stage2_tables.size(), 15U);
  EXPECT_EQ(this->references(), 1U + 2U);  // a leaf of stage 1, two of stage 2
}

TYPED_TEST(CachedWalk, OthersDropExactlyWhatTheyCover) {
  for (unsigned n = 0; n < 5; ++n) {
    this->caches.invalidate({.scope = Scope::kAll});
    (void)this->references();
    EXPECT_EQ(this->caches.invalidate(this->of_page(n, false)), 4U);
    EXPECT_EQ(this->caches.stage1_tables.size(), 3U);
    EXPECT_EQ(this->caches.stage2_tables.size(), 12U);
    EXPECT_EQ(this->caches.stage2_pages.size(), 4U);
    for (unsigned other = 0; other < 5; ++other)
      EXPECT_EQ(this->walk_stage2(this->world.ipas()[other])->references, other == n ? 4U : 0U);
  }
  // A page that nothing was cached of.
  EXPECT_EQ(this->caches.invalidate({.scope = Scope::kRange,
                                     .domain = kDomain,
                                     .range = {Iova(0x700000000000), Iova(0x700000000fff)}}),
            0U);
}

// Stage-1 tables by the input they cover, level by level.
TYPED_TEST(CachedWalk, TablesOfStage1GoByInput) {
  const auto invalidate_at = [this](std::uint64_t input) {
    const Iova page(input & ~0xfffULL);
    return this->caches.invalidate({.scope = Scope::kRange,
                                    .domain = kDomain,
                                    .pasid = kPasid,
                                    .range = {page, page + 0xfff}});
  };
  const std::uint64_t input = this->world.input();
  (void)this->references();
  EXPECT_EQ(invalidate_at(input ^ 1ULL << 40), 0U) << "another entry of the root";
  EXPECT_EQ(this->references(), 1U);
  EXPECT_EQ(invalidate_at(input ^ 1ULL << 31), 1U) << "another entry of the third level's table";
  EXPECT_EQ(this->references(), 1U);
  EXPECT_EQ(invalidate_at(input ^ 1ULL << 22), 1U) << "another entry of the second level's table";
  EXPECT_EQ(this->references(), 1U) << "the leaf table is nearer";
  EXPECT_EQ(invalidate_at(input), 1U);
  EXPECT_EQ(this->references(), 4U);
}

// L7: where stage 2 puts a table of stage 1 is forgotten with the page it rests on, and a table is
// then read where it lies now.
TYPED_TEST(CachedWalk, ATableThatStage2MovedIsReadWhereItLies) {
  (void)this->references();
  EXPECT_EQ(this->references(), 1U) << "by now its place is kept with the table";
  const std::uint64_t ipa = this->world.ipas()[3];  // of stage 1's last table
  std::uint64_t& leaf = this->world.ram.at(this->world.lower_entry_at(ipa, 1));
  const std::uint64_t was = leaf;
  leaf = 0;
  EXPECT_EQ(this->references(), 1U) << "legal: nothing was invalidated";
  EXPECT_EQ(this->caches.invalidate(this->of_page(3, true)), 1U);
  const auto walked =
      this->walk(this->caches, this->caches.begin_fill(kDomain), kDomain, {});
  ASSERT_FALSE(walked.ok());
  EXPECT_EQ(walked.error().stage, Stage::kStage2);
  EXPECT_EQ(walked.error().entry_at, this->world.lower_entry_at(ipa, 1));
  leaf = was;
  EXPECT_EQ(this->references(), 2U) << "the table's page again, and its entry";
  EXPECT_EQ(this->references(), 1U);
}

// L2: a place that was found before an invalidation is no place after it, though the table is.
TYPED_TEST(CachedWalk, APlaceFoundByAnOvertakenWalkIsNotUsed) {
  (void)this->references();
  const auto before = this->caches.begin_fill(kDomain);
  EXPECT_EQ(this->caches.invalidate(this->of_page(3, true)), 1U);
  ASSERT_TRUE(this->walk(this->caches, before, kDomain, {}).ok());
  // Nothing of that walk is left: the table's page is walked for again.
  EXPECT_EQ(this->references(), 2U);
}

TYPED_TEST(CachedWalk, DomainsDoNotDisturbEachOther) {
  constexpr DomainId kOther{6};
  EXPECT_EQ(this->references(kDomain), 24U);
  EXPECT_EQ(this->references(kOther), 24U) << "nothing of one domain answers for another";
  (void)this->caches.invalidate({.scope = Scope::kDomain, .domain = kDomain});
  EXPECT_EQ(this->references(kOther), 1U);
  EXPECT_EQ(this->references(kDomain), 24U);
  (void)this->caches.invalidate(this->of_page(4, false));
  EXPECT_EQ(this->references(kOther), 1U);
}

// L2: what was invalidated since the walk began is not filled.
TYPED_TEST(CachedWalk, AnOvertakenWalkLeavesNothing) {
  const auto tickets = this->caches.begin_fill(kDomain);
  (void)this->caches.invalidate({.scope = Scope::kDomain, .domain = kDomain});
  ASSERT_TRUE(this->walk(this->caches, tickets, kDomain, {}).ok());
  EXPECT_EQ(this->caches.stage1_tables.size(), 0U);
  EXPECT_EQ(this->caches.stage2_tables.size(), 0U);
  EXPECT_EQ(this->caches.stage2_pages.size(), 0U);
}

// A page cached by a read says nothing about writes while it owes a dirty bit.
TYPED_TEST(CachedWalk, ADirtyBitIsNotLostBehindTheNestedTlb) {
  using Facts = typename TypeParam::Lower;
  this->world.lower_rules = Facts::accessed_dirty_rules();
  const std::uint64_t ipa = this->world.ipas().back();
  const std::uint64_t leaf = this->world.lower_entry_at(ipa, 1);
  ASSERT_TRUE(this->walk_stage2(ipa).ok());
  EXPECT_EQ(this->walk_stage2(ipa)->references, 0U);
  EXPECT_EQ(this->world.ram.at(leaf) & Facts::kDirty, 0U);
  const auto write = this->walk_stage2(ipa, {.access = Access::kWrite});
  ASSERT_TRUE(write.ok());
  EXPECT_EQ(write->references, 1U);
  EXPECT_EQ(this->world.ram.at(leaf) & Facts::kDirty, Facts::kDirty);
  EXPECT_EQ(this->walk_stage2(ipa, {.access = Access::kWrite})->references, 0U);
}

// A known way that does not allow the access must not be named as the place where it stopped.
TYPED_TEST(CachedWalk, AWayWithoutTheRightIsWalkedFromTheRoot) {
  using Facts = typename TypeParam::Upper;
  for (unsigned level = 4; level >= 1; --level) {
    std::uint64_t& word = this->world.upper_word(level);
    const std::uint64_t was = word;
    word = *Facts::deny(was, Access::kWrite);
    this->caches.invalidate({.scope = Scope::kAll});
    (void)this->references();
    const auto failure = this->walk(this->caches, this->caches.begin_fill(kDomain), kDomain,
                                    {.access = Access::kWrite});
    ASSERT_FALSE(failure.ok());
    const unsigned judged = Facts::kJudgedAtLeaf ? 1 : level;
    EXPECT_EQ(failure.error().stage, Stage::kStage1);
    EXPECT_EQ(failure.error().reason, FaultReason::kNoWritePermission);
    EXPECT_EQ(failure.error().level, judged);
    EXPECT_EQ(failure.error().entry_at, this->world.upper_entry_at(judged));
    word = was;
  }
}

}  // namespace
}  // namespace weir
