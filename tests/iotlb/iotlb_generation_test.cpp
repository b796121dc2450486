// SPDX-License-Identifier: Apache-2.0
//
// Wide flushes end generations instead of looking for entries (L6): what that must not change (L5),
// what happens when the numbers come round, when there are more tags than records, and when a range
// is too long to be visited page by page.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "iotlb/iotlb.h"

namespace weir::iotlb {
namespace {

constexpr DomainId kDomain{1};
constexpr DomainId kOther{2};

FillResult fill(Iotlb& tlb, Tag tag, std::uint64_t page, std::uint8_t lg2 = 12) {
  return tlb.fill(tlb.begin_fill(tag.domain), {.tag = tag,
                                               .page = Iova(page),
                                               .output = page,
                                               .page_lg2 = lg2,
                                               .permissions = Permissions::read_write()});
}
bool has(const Iotlb& tlb, Tag tag, std::uint64_t page) {
  return tlb.peek(tag, Iova(page)).has_value();
}

Invalidation flush_of(Scope scope, DomainId domain = kDomain) {
  return {.scope = scope, .domain = domain, .pasid = Pasid{3}};
}
constexpr std::array kWide{Scope::kAll, Scope::kDomain, Scope::kPasid};

// Four bits: sixteen flushes bring every number back, and no entry.
TEST(IotlbGenerations, NothingComesBackWhenTheNumbersComeRound) {
  for (const unsigned bits : {2U, 4U})
    for (const Scope first : kWide) {
      for (std::uint64_t after = 0; after <= 70; ++after) {
        Iotlb tlb({.entries = 64, .generation_bits = bits});
        const Tag tag{kDomain, 3};
        for (std::uint64_t page = 0; page < 16; ++page) fill(tlb, tag, page << 12);
        EXPECT_EQ(tlb.invalidate(flush_of(first)).entries, 16u);
        for (std::uint64_t n = 0; n < after; ++n)
          EXPECT_EQ(tlb.invalidate(flush_of(kWide[n % 3])).entries, 0u);
        for (std::uint64_t page = 0; page < 16; ++page)
          ASSERT_FALSE(has(tlb, tag, page << 12)) << bits << " bits, " << after << " flushes later";
        ASSERT_EQ(tlb.size(), 0u);
      }
    }
}

// Those that live are not swept away with the dead.
TEST(IotlbGenerations, WhatNoFlushCoversStaysHoweverManyThereAre) {
  Iotlb tlb({.entries = 64, .generation_bits = 4});
  for (std::uint64_t page = 0; page < 8; ++page) {
    fill(tlb, {kOther}, page << 12);
    fill(tlb, {kOther, 5}, (16 + page) << 12);
  }
  for (int n = 0; n < 100; ++n) {
    fill(tlb, {kDomain}, 0x40000);
    EXPECT_EQ(tlb.invalidate(flush_of(Scope::kDomain)).entries, 1u);
    EXPECT_EQ(tlb.invalidate(flush_of(Scope::kPasid, kOther)).entries, 0u) << "PASID 3";
    EXPECT_EQ(tlb.size(), 16u);
  }
  for (std::uint64_t page = 0; page < 8; ++page) {
    EXPECT_TRUE(has(tlb, {kOther}, page << 12));
    EXPECT_TRUE(has(tlb, {kOther, 5}, (16 + page) << 12));
  }
}

// An entry that died leaves room: nothing that lives is pushed out for it, and it is not counted
// as removed a second time.
TEST(IotlbGenerations, DeadEntriesAreFilledFirst) {
  Iotlb set({.entries = 4});
  fill(set, {kDomain}, 0x0);
  fill(set, {kOther}, 0x1000);
  fill(set, {kDomain, 3}, 0x2000);
  fill(set, {kDomain}, 0x3000);
  EXPECT_EQ(set.invalidate(flush_of(Scope::kDomain)).entries, 3u);
  for (std::uint64_t page = 4; page < 7; ++page)
    EXPECT_EQ(fill(set, {kOther}, page << 12), FillResult::kFilled);
  EXPECT_TRUE(has(set, {kOther}, 0x1000));
  EXPECT_EQ(set.size(), 4u);
  EXPECT_EQ(fill(set, {kOther}, 0x9000), FillResult::kEvicted);
  EXPECT_EQ(set.invalidate(flush_of(Scope::kDomain, kOther)).entries, 4u);
  // The same page again, over its dead self.
  fill(set, {kOther}, 0x9000);
  (void)set.invalidate(flush_of(Scope::kAll));
  EXPECT_EQ(fill(set, {kOther}, 0x9000), FillResult::kFilled);
  EXPECT_EQ(set.invalidate(flush_of(Scope::kAll)).entries, 1u);
}

// Counts of all, of a domain and of its PASIDs follow each other through every kind of removal.
TEST(IotlbGenerations, WhatIsRemovedIsCountedOnce) {
  Iotlb tlb({.entries = 256});
  const auto fill_all = [&] {
    for (std::uint64_t page = 0; page < 4; ++page)
      for (const Tag tag : {Tag{kDomain}, Tag{kDomain, 3}, Tag{kDomain, 4}, Tag{kOther, 3}})
        fill(tlb, tag, (page * 8 + tag.pasid % 8) << 12);
  };
  fill_all();
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kPasid)).entries, 4u);
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kPasid)).entries, 0u);
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kDomain)).entries, 8u);
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kAll)).entries, 4u);
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kAll)).entries, 0u);
  fill_all();
  EXPECT_EQ(
      tlb.invalidate({.scope = Scope::kRange, .domain = kDomain, .range = {Iova(0), Iova(0x7fff)}})
          .entries,
      3u);
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kPasid)).entries, 3u);
  EXPECT_EQ(tlb.invalidate(flush_of(Scope::kAll)).entries, 10u);
  EXPECT_EQ(tlb.size(), 0u);
}

// A key is made once and outlives flushes, fills and page sizes that come later.
TEST(IotlbKeys, StayGood) {
  Iotlb tlb({.entries = 256});
  IotlbKey key = tlb.key_for({kDomain, 3});
  EXPECT_FALSE(tlb.lookup(key, Iova(0x5000)));
  fill(tlb, {kDomain, 3}, 0x5000);
  EXPECT_TRUE(tlb.lookup(key, Iova(0x5000)));
  for (const Scope scope : kWide) {
    (void)tlb.invalidate(flush_of(scope));
    EXPECT_FALSE(tlb.lookup(key, Iova(0x5000))) << to_string(scope);
    fill(tlb, {kDomain, 3}, 0x5000);
    EXPECT_TRUE(tlb.lookup(key, Iova(0x5000)));
  }
  fill(tlb, {kDomain, 3}, 0x40000000, 30);
  fill(tlb, {kDomain, 3}, 0x200000, 21);
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(tlb.lookup(key, Iova(0x40012345))->output, 0x40012345u);
    EXPECT_EQ(tlb.lookup(key, Iova(0x5123))->output, 0x5123u);
    EXPECT_EQ(tlb.lookup(key, Iova(0x212345))->output, 0x212345u);
  }
  EXPECT_FALSE(tlb.lookup(key, Iova(0x400000)));
  IotlbKey none = tlb.key_for({kDomain});
  EXPECT_FALSE(tlb.lookup(none, Iova(0x5000))) << "another PASID's";
}

// More tags than there are records: some share one. Each still finds only its own, and a flush of
// one is never less than that.
TEST(IotlbGenerations, MoreTagsThanRecords) {
  constexpr std::uint32_t kTags = 4000;
  Iotlb tlb({.entries = 64});  // 16 buckets of 32
  for (std::uint32_t domain = 0; domain < kTags; ++domain) (void)tlb.key_for({DomainId{domain}});
  std::uint64_t widened = 0;
  for (std::uint32_t domain = 1; domain < kTags; domain += 7) {
    const Tag tag{DomainId{domain}};
    const Tag pasid{DomainId{domain}, domain};
    fill(tlb, tag, 0x5000);
    fill(tlb, pasid, 0x6000);
    EXPECT_TRUE(has(tlb, tag, 0x5000));
    EXPECT_FALSE(has(tlb, pasid, 0x5000));
    EXPECT_FALSE(has(tlb, {DomainId{domain - 1}}, 0x5000));
    const Removed some =
        tlb.invalidate({.scope = Scope::kPasid, .domain = {domain}, .pasid = Pasid{domain}});
    EXPECT_FALSE(has(tlb, pasid, 0x6000));
    fill(tlb, pasid, 0x6000);
    const Removed removed = tlb.invalidate(flush_of(Scope::kDomain, {domain}));
    EXPECT_FALSE(has(tlb, tag, 0x5000));
    EXPECT_FALSE(has(tlb, pasid, 0x6000));
    widened += removed.widened || some.widened ? 1 : 0;
    // Entries of a shared record are not counted one by one.
    if (!removed.widened && !some.widened) {
      EXPECT_EQ(removed.entries, 2u);
    }
  }
  EXPECT_GT(widened, 100u);
}

// In a cache of more sets than are visited for one range, a longer range drops its domain or PASID.
TEST(IotlbGenerations, LongRangesWiden) {
  Iotlb large({.entries = 4 * Iotlb::kMostVisits * 2});
  Iotlb small({.entries = 4 * Iotlb::kMostVisits});
  for (Iotlb* tlb : {&large, &small})
    for (const bool with_pasid : {false, true}) {
      const auto range = [&](std::uint64_t pages) {
        return Invalidation{.scope = Scope::kRange,
                            .domain = kDomain,
                            .pasid = with_pasid ? std::optional(Pasid{3}) : std::nullopt,
                            .range = {Iova(0), Iova((pages << 12) - 1)}};
      };
      (void)tlb->invalidate(flush_of(Scope::kAll));
      const std::uint64_t beyond = 0x10000000;
      for (const Tag tag : {Tag{kDomain, 3}, Tag{kDomain, 4}, Tag{kOther, 3}}) {
        fill(*tlb, tag, tag.pasid << 12);
        fill(*tlb, tag, beyond + (tag.pasid << 12));
      }
      Removed removed = tlb->invalidate(range(Iotlb::kMostVisits));
      EXPECT_FALSE(removed.widened);
      EXPECT_EQ(removed.entries, with_pasid ? 1u : 2u);
      removed = tlb->invalidate(range(Iotlb::kMostVisits + 1));
      EXPECT_EQ(removed.widened, tlb == &large);
      EXPECT_EQ(has(*tlb, {kDomain, 3}, beyond + 0x3000), tlb == &small);
      EXPECT_EQ(has(*tlb, {kDomain, 4}, beyond + 0x4000), tlb == &small || with_pasid);
      EXPECT_TRUE(has(*tlb, {kOther, 3}, 0x3000));
      EXPECT_TRUE(has(*tlb, {kOther, 3}, beyond + 0x3000));
    }
}

// A range is what the guest wrote: backwards it is nothing, at the end of the space it does not
// come round.
TEST(IotlbGenerations, StrangeRanges) {
  Iotlb tlb({.entries = 64});
  fill(tlb, {kDomain}, 0x0);
  fill(tlb, {kDomain}, 0xfffffffffffff000);
  const auto range = [](std::uint64_t first, std::uint64_t last) {
    return Invalidation{
        .scope = Scope::kRange, .domain = kDomain, .range = {Iova(first), Iova(last)}};
  };
  EXPECT_EQ(tlb.invalidate(range(0x2000, 0x1000)).entries, 0u);
  EXPECT_EQ(tlb.invalidate(range(~0ull, 0)).entries, 0u);
  EXPECT_EQ(tlb.invalidate(range(0xffffffffffffe000, ~0ull)).entries, 1u);
  EXPECT_EQ(tlb.size(), 1u);
}

}  // namespace
}  // namespace weir::iotlb
