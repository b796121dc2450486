// SPDX-License-Identifier: Apache-2.0
//
// Both organisations of the IOTLB through the same calls: what is found, what an invalidation of
// each scope removes (L5), and which fills it overtakes (L2). Long random runs: iotlb_model_test.
#include "iotlb/iotlb.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace weir::iotlb {
namespace {

constexpr std::uint64_t k2M = 0x200000;
constexpr std::uint64_t k1G = 0x40000000;
constexpr DomainId kDomain{1};
constexpr DomainId kOther{2};

Entry entry(Iova page, std::uint8_t lg2, std::uint64_t output, Tag tag = {kDomain}) {
  return {.tag = tag,
          .page = page,
          .output = output,
          .page_lg2 = lg2,
          .permissions = Permissions::read_write()};
}

Invalidation range(std::uint64_t first, std::uint64_t last, DomainId domain = kDomain) {
  return {.scope = Scope::kRange, .domain = domain, .range = {Iova(first), Iova(last)}};
}
Invalidation stage2_range(std::uint64_t first, std::uint64_t last) {
  Invalidation what = range(first, last);
  what.scope = Scope::kStage2Range;
  return what;
}

class IotlbTest : public testing::TestWithParam<bool> {
 protected:
  FillResult fill(const Entry& e) { return tlb.fill(tlb.begin_fill(e.tag.domain), e); }
  [[nodiscard]] bool has(std::uint64_t iova, Tag tag = {kDomain}) {
    return tlb.peek(tag, Iova(iova)).has_value();
  }

  Iotlb tlb{{.entries = 4096, .reference = GetParam()}};
};

INSTANTIATE_TEST_SUITE_P(Both, IotlbTest, testing::Bool(), [](const auto& which) {
  return which.param ? "Reference" : "SetAssociative";
});

TEST_P(IotlbTest, AnswersWithTheBytesPlaceInThePage) {
  EXPECT_FALSE(tlb.lookup({kDomain}, Iova(0x5000)));
  Entry e = entry(Iova(0x5000), 12, 0xabc000);
  e.permissions = Permissions::write_only();
  EXPECT_EQ(fill(e), FillResult::kFilled);
  const auto hit = tlb.lookup({kDomain}, Iova(0x5fff));
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->output, 0xabcfffu);
  EXPECT_EQ(hit->page_lg2, 12);
  EXPECT_EQ(hit->permissions, Permissions::write_only());
  EXPECT_FALSE(tlb.lookup({kDomain}, Iova(0x4fff)));
  EXPECT_FALSE(tlb.lookup({kDomain}, Iova(0x6000)));
  EXPECT_EQ(tlb.size(), 1u);
}

TEST_P(IotlbTest, EverySizeFromFourKibToHalfTheSpace) {
  for (std::uint8_t lg2 = 12; lg2 <= 63; ++lg2) {
    Iotlb one({.entries = 64, .reference = GetParam()});
    const std::uint64_t page = std::uint64_t{1} << 63 >> (63 - lg2);  // page number 1
    const std::uint64_t last = page + (page - 1);
    ASSERT_NE(one.fill(one.begin_fill(kDomain), entry(Iova(page), lg2, 0)), FillResult::kRefused);
    ASSERT_TRUE(one.lookup({kDomain}, Iova(last))) << int{lg2};
    EXPECT_EQ(one.lookup({kDomain}, Iova(last))->output, page - 1);
    EXPECT_FALSE(one.lookup({kDomain}, Iova(page - 1)));
    EXPECT_EQ(one.invalidate(range(0, page - 1)).entries, 0u);
    if (lg2 < 63) {
      EXPECT_EQ(one.invalidate(range(last + 1, ~0ull)).entries, 0u);
    }
    EXPECT_EQ(one.invalidate(range(last, last)).entries, 1u) << int{lg2};
    EXPECT_EQ(one.size(), 0u);
  }
}

TEST_P(IotlbTest, TagsDoNotMix) {
  const std::array<Tag, 6> tags{{{kDomain},
                                 {kOther},
                                 {kDomain, 0},
                                 {kDomain, kPasidLimit - 1},
                                 {DomainId{0}},
                                 {DomainId{0xffffffff}, kPasidLimit - 1}}};
  for (std::size_t i = 0; i < tags.size(); ++i)
    EXPECT_EQ(fill(entry(Iova(0x7000), 12, 0x1000 * (i + 1), tags[i])), FillResult::kFilled);
  for (std::size_t i = 0; i < tags.size(); ++i)
    EXPECT_EQ(tlb.lookup(tags[i], Iova(0x7000))->output, 0x1000 * (i + 1));
}

TEST_P(IotlbTest, AFillOfTheSamePageReplaces) {
  EXPECT_EQ(fill(entry(Iova(0x5000), 12, 0x1000)), FillResult::kFilled);
  Entry again = entry(Iova(0x5000), 12, 0x2000);
  again.permissions = Permissions::read_only();
  EXPECT_EQ(fill(again), FillResult::kReplaced);
  EXPECT_EQ(tlb.lookup({kDomain}, Iova(0x5000))->output, 0x2000u);
  EXPECT_EQ(tlb.lookup({kDomain}, Iova(0x5000))->permissions, Permissions::read_only());
  EXPECT_EQ(tlb.size(), 1u);
}

// L5: the unit of removal is the entry; whatever the flush touches goes, and nothing beside it.
TEST_P(IotlbTest, AFlushInsideALargePageTakesIt) {
  fill(entry(Iova(k1G), 30, 0));
  fill(entry(Iova(2 * k1G), 30, k1G));
  fill(entry(Iova(k2M), 21, 4 * k1G));
  fill(entry(Iova(2 * k2M), 21, 5 * k1G));
  fill(entry(Iova(k2M - 0x1000), 12, 6 * k1G));
  EXPECT_EQ(tlb.invalidate(range(k1G + 0x12345000, k1G + 0x12345fff)).entries, 1u);
  EXPECT_FALSE(has(k1G));
  EXPECT_TRUE(has(2 * k1G));
  EXPECT_EQ(tlb.invalidate(range(2 * k2M - 0x1000, 2 * k2M - 1)).entries, 1u);
  EXPECT_FALSE(has(k2M));
  EXPECT_TRUE(has(2 * k2M));
  EXPECT_TRUE(has(k2M - 0x1000));
}

TEST_P(IotlbTest, ALargeFlushTakesTheSmallPagesInIt) {
  std::uint64_t inside = 0;
  for (std::uint64_t page = k2M - 2 * 0x1000; page < 2 * k2M + 2 * 0x1000; page += 0x1000 * 37)
    inside +=
        fill(entry(Iova(page), 12, page)) != FillResult::kRefused && page >= k2M && page < 2 * k2M
            ? 1
            : 0;
  const std::size_t before = tlb.size();
  const Removed removed = tlb.invalidate(range(k2M, 2 * k2M - 1));
  EXPECT_EQ(removed.entries, inside);
  EXPECT_FALSE(removed.widened);
  EXPECT_EQ(tlb.size(), before - inside);
  EXPECT_TRUE(has(k2M - 2 * 0x1000));
}

TEST_P(IotlbTest, TheEndsOfARange) {
  for (std::uint64_t page = 0; page < 6; ++page) fill(entry(Iova(page << 12), 12, page << 12));
  EXPECT_EQ(tlb.invalidate(range(0x1fff, 0x3000)).entries, 3u) << "pages 1, 2 and 3";
  EXPECT_TRUE(has(0x0));
  EXPECT_TRUE(has(0x4000));
  fill(entry(Iova(0xfffffffffffff000), 12, 0));
  EXPECT_EQ(tlb.invalidate(range(0xffffffffffffffff, 0xffffffffffffffff)).entries, 1u);
  EXPECT_EQ(tlb.invalidate(range(0, 0)).entries, 1u);
}

TEST_P(IotlbTest, ARangeOfTheWholeSpaceIsTheDomain) {
  for (std::uint64_t page = 0; page < 100; ++page) {
    fill(entry(Iova(page << 12), 12, 0));
    fill(entry(Iova(page << 12), 12, 0, {kOther}));
  }
  const std::size_t mine = 100;
  const std::size_t before = tlb.size();
  const Removed removed = tlb.invalidate(range(0, ~0ull));
  EXPECT_EQ(removed.entries + tlb.size(), before);
  EXPECT_LE(removed.entries, mine);
  for (std::uint64_t page = 0; page < 100; ++page) EXPECT_FALSE(has(page << 12));
  EXPECT_GT(tlb.size(), 0u);
}

TEST_P(IotlbTest, EachScopeRemovesExactlyWhatItCovers) {
  struct Case {
    Invalidation what;
    std::uint64_t removed;
    std::set<int> left;  // of the five entries below
  };
  const std::array<Case, 19> cases{{
      {{.scope = Scope::kAll}, 5, {}},
      {{.scope = Scope::kDomain, .domain = kDomain}, 3, {3, 4}},
      {{.scope = Scope::kDomain, .domain = kOther}, 2, {0, 1, 2}},
      {{.scope = Scope::kDomain, .domain = DomainId{3}}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kPasid, .domain = kDomain, .pasid = Pasid{5}}, 1, {0, 2, 3, 4}},
      {{.scope = Scope::kPasid, .domain = kOther, .pasid = Pasid{6}}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kPasid, .domain = kDomain}, 0, {0, 1, 2, 3, 4}},
      {range(0x5000, 0x5fff), 3, {3, 4}},
      {{.scope = Scope::kRange,
        .domain = kDomain,
        .pasid = Pasid{5},
        .range = {Iova(0x5000), Iova(0x5fff)}},
       1,
       {0, 2, 3, 4}},
      // VT-d 6.5.2.3: what stage 1 had a part in goes with its domain, wherever it lies.
      {stage2_range(0x5000, 0x5fff), 3, {3, 4}},
      {stage2_range(0x6000, 0x6fff), 2, {0, 3, 4}},
      {{.scope = Scope::kHostRange, .host_range = {Gpa(0x20fff), Gpa(0x30000)}}, 2, {0, 3, 4}},
      {{.scope = Scope::kHostRange, .host_range = {Gpa(0x51000), Gpa(~0ull)}}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kContextAll}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kContextDomain, .domain = kDomain}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kContextPasid, .domain = kDomain, .pasid = Pasid{5}}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kInterruptAll}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kDeviceTlb, .domain = kDomain}, 0, {0, 1, 2, 3, 4}},
      {{.scope = Scope::kRequester}, 0, {0, 1, 2, 3, 4}},
  }};
  const std::array<Tag, 5> tags{{{kDomain}, {kDomain, 5}, {kDomain, 6}, {kOther}, {kOther, 5}}};
  for (const Case& c : cases) {
    Iotlb one({.entries = 256, .reference = GetParam()});
    for (std::size_t i = 0; i < tags.size(); ++i)
      (void)one.fill(one.begin_fill(tags[i].domain),
                     entry(Iova(0x5000), 12, 0x10000 * (i + 1), tags[i]));
    const Removed removed = one.invalidate(c.what);
    std::set<int> left;
    for (std::size_t i = 0; i < tags.size(); ++i)
      if (one.lookup(tags[i], Iova(0x5000))) left.insert(static_cast<int>(i));
    EXPECT_EQ(removed.entries, c.removed) << to_string(c.what.scope);
    EXPECT_EQ(left, c.left) << to_string(c.what.scope);
  }
}

// L2: a walk that began before an invalidation that could cover it leaves nothing behind.
TEST_P(IotlbTest, FillsAreOvertakenByWhatCouldCoverThem) {
  const std::array<Invalidation, 7> overtaking{
      {{.scope = Scope::kAll},
       {.scope = Scope::kDomain, .domain = kDomain},
       {.scope = Scope::kPasid, .domain = kDomain, .pasid = Pasid{1}},
       range(0x5000, 0x5fff),
       range(0, ~0ull),
       stage2_range(0x9000, 0x9fff),
       {.scope = Scope::kHostRange}}};
  for (const Invalidation& what : overtaking) {
    const FillTicket ticket = tlb.begin_fill(kDomain);
    (void)tlb.invalidate(what);
    EXPECT_EQ(tlb.fill(ticket, entry(Iova(0x5000), 12, 0)), FillResult::kRefused)
        << to_string(what.scope);
    EXPECT_FALSE(has(0x5000));
    EXPECT_EQ(fill(entry(Iova(0x5000), 12, 0)), FillResult::kFilled) << "a walk begun afterwards";
    (void)tlb.invalidate({.scope = Scope::kAll});
  }
  const std::array<Invalidation, 6> harmless{{{.scope = Scope::kDomain, .domain = kOther},
                                              range(0, ~0ull, kOther),
                                              {.scope = Scope::kContextAll},
                                              {.scope = Scope::kContextDomain, .domain = kDomain},
                                              {.scope = Scope::kContextDevice},
                                              {.scope = Scope::kRequester}}};
  for (const Invalidation& what : harmless) {
    const FillTicket ticket = tlb.begin_fill(kDomain);
    (void)tlb.invalidate(what);
    EXPECT_NE(tlb.fill(ticket, entry(Iova(0x5000), 12, 0)), FillResult::kRefused)
        << to_string(what.scope);
  }
}

// A refused fill does not disturb the entry that a younger walk left.
TEST_P(IotlbTest, ARefusedFillChangesNothing) {
  const FillTicket old = tlb.begin_fill(kDomain);
  (void)tlb.invalidate({.scope = Scope::kAll});
  fill(entry(Iova(0x5000), 12, 0x8000));
  EXPECT_EQ(tlb.fill(old, entry(Iova(0x5000), 12, 0x9000)), FillResult::kRefused);
  EXPECT_EQ(tlb.lookup({kDomain}, Iova(0x5000))->output, 0x8000u);
  EXPECT_EQ(tlb.size(), 1u);
}

TEST(Iotlb, WithoutEntriesNothingIsKept) {
  Iotlb none({.entries = 0});
  EXPECT_EQ(none.fill(none.begin_fill(kDomain), entry(Iova(0), 12, 0)), FillResult::kNotKept)
      << "nothing overtook it";
  EXPECT_FALSE(none.lookup({kDomain}, Iova(0)));
  for (const Scope scope : {Scope::kAll, Scope::kDomain, Scope::kRange, Scope::kHostRange})
    EXPECT_EQ(none.invalidate({.scope = scope}).entries, 0u);
  EXPECT_EQ(none.size(), 0u);
}

TEST_P(IotlbTest, WhatIsSmallerThanAPageIsNotKept) {
  for (const std::uint8_t lg2 : {std::uint8_t{0}, std::uint8_t{11}}) {
    EXPECT_EQ(tlb.fill(tlb.begin_fill(kDomain), entry(Iova(0x5000), lg2, 0x9000)),
              FillResult::kNotKept);
    EXPECT_FALSE(tlb.lookup({kDomain}, Iova(0x5000)));
  }
  EXPECT_EQ(tlb.size(), 0u);
}

TEST(Iotlb, SizesAreRoundedUp) {
  Iotlb small({.entries = 1});
  std::uint64_t evicted = 0;
  for (std::uint64_t page = 0; page < 5; ++page)
    evicted += small.fill(small.begin_fill(kDomain), entry(Iova(page << 12), 12, 0)) ==
                       FillResult::kEvicted
                   ? 1
                   : 0;
  EXPECT_EQ(small.size(), Iotlb::kWays) << "one set of four";
  EXPECT_EQ(evicted, 1u);
}

// One set: what was used since it was filled outlives what was not, and a peek is no use.
TEST(Iotlb, TheSetKeepsWhatWasUsed) {
  for (std::uint64_t used = 0; used < 4; ++used) {
    for (const bool peeked : {false, true}) {
      Iotlb set({.entries = 4});
      for (std::uint64_t page = 0; page < 4; ++page)
        (void)set.fill(set.begin_fill(kDomain), entry(Iova(page << 12), 12, 0));
      if (peeked)
        for (std::uint64_t page = 0; page < 4; ++page)
          if (page != used) (void)set.peek({kDomain}, Iova(page << 12));
      (void)set.lookup({kDomain}, Iova(used << 12));
      EXPECT_EQ(set.fill(set.begin_fill(kDomain), entry(Iova(0x10000), 12, 0)),
                FillResult::kEvicted);
      EXPECT_TRUE(set.peek({kDomain}, Iova(used << 12))) << used;
      EXPECT_TRUE(set.peek({kDomain}, Iova(0x10000))) << "the newest is never the victim";
      EXPECT_EQ(set.size(), 4u);
    }
  }
}

// Guests hand out the same addresses in every domain: they must not fight for the same sets.
TEST(Iotlb, EqualPagesOfManyDomainsSpread) {
  Iotlb tlb({.entries = 4096});
  for (std::uint32_t domain = 0; domain < 64; ++domain)
    for (std::uint64_t page = 0; page < 32; ++page)
      (void)tlb.fill(tlb.begin_fill(DomainId{domain}),
                     entry(Iova(0xffffe000 - (page << 12)), 12, 0, {DomainId{domain}}));
  EXPECT_GT(tlb.size(), 1800u) << "of 2048 in a cache of twice that";
}

// What an invalidation freed is filled first; nothing is evicted while there is room.
TEST(Iotlb, EmptyWaysComeFirst) {
  Iotlb set({.entries = 4});
  for (std::uint64_t page = 0; page < 4; ++page)
    (void)set.fill(set.begin_fill(kDomain), entry(Iova(page << 12), 12, 0));
  EXPECT_EQ(set.invalidate(range(0x2000, 0x2fff)).entries, 1u);
  EXPECT_EQ(set.fill(set.begin_fill(kDomain), entry(Iova(0x9000), 12, 0)), FillResult::kFilled);
  EXPECT_EQ(set.size(), 4u);
}

TEST(Invalidation, EveryScopeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (unsigned i = 0; i < kScopeCount; ++i) names.insert(to_string(static_cast<Scope>(i)));
  EXPECT_EQ(names.size(), kScopeCount);
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace weir::iotlb
