// SPDX-License-Identifier: Apache-2.0
#include "iotlb/context_cache.h"

#include <gtest/gtest.h>

#include <set>

namespace weir::iotlb {
namespace {

constexpr std::uint32_t kPlain = Context::kNoPasid;

class ContextCacheTest : public testing::Test {
 protected:
  bool fill(std::uint16_t sid, std::uint32_t domain, std::uint32_t pasid = kPlain) {
    return cache.fill(cache.changes(), Requester::from_sid(sid), pasid,
                      {.domain = DomainId{domain}});
  }
  // The cached domain, or -1.
  [[nodiscard]] int at(std::uint16_t sid, std::uint32_t pasid = kPlain) const {
    const auto found = cache.find(Requester::from_sid(sid), pasid);
    return found ? static_cast<int>(found->domain.value) : -1;
  }
  Removed drop_device(std::uint16_t sid, std::uint16_t mask = 0) {
    return cache.invalidate({.scope = Scope::kContextDevice,
                             .requester = Requester::from_sid(sid),
                             .requester_mask = mask});
  }

  ContextCache cache;
};

TEST_F(ContextCacheTest, KeepsRequestersSegmentsAndPasidsApart) {
  EXPECT_EQ(at(8), -1);
  EXPECT_TRUE(fill(8, 1));
  EXPECT_TRUE(fill(9, 2));
  EXPECT_TRUE(fill(8, 3, 0));
  EXPECT_TRUE(fill(8, 4, kPasidLimit - 1));
  EXPECT_TRUE(cache.fill(cache.changes(), Requester::from_sid(8, 1), kPlain, {.domain = {5}}));
  EXPECT_EQ(at(8), 1);
  EXPECT_EQ(at(9), 2);
  EXPECT_EQ(at(8, 0), 3);
  EXPECT_EQ(at(8, kPasidLimit - 1), 4);
  EXPECT_EQ(cache.find(Requester::from_sid(8, 1), kPlain)->domain.value, 5u);
  EXPECT_TRUE(fill(8, 6)) << "a second reading replaces the first";
  EXPECT_EQ(at(8), 6);
}

TEST_F(ContextCacheTest, GlobalDropsEverything) {
  fill(8, 1);
  fill(9, 2);
  fill(9, 2, 7);
  const std::uint64_t before = cache.changes();
  const Removed removed = cache.invalidate({.scope = Scope::kContextAll});
  EXPECT_EQ(removed.entries, 3u);
  EXPECT_FALSE(removed.widened);
  EXPECT_NE(cache.changes(), before);
  EXPECT_EQ(at(8), -1);
  EXPECT_EQ(at(9), -1);
  EXPECT_EQ(at(9, 7), -1);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextAll}).entries, 0u);
}

// L5: others' contexts stay; so does what the same function has under another domain.
TEST_F(ContextCacheTest, ADomainDropsItsOwn) {
  fill(8, 1);
  fill(9, 2);
  fill(9, 2, 7);
  fill(9, 1, 8);
  const std::uint64_t before = cache.changes();
  const Removed removed = cache.invalidate({.scope = Scope::kContextDomain, .domain = DomainId{2}});
  EXPECT_EQ(removed.entries, 2u);
  EXPECT_FALSE(removed.widened);
  EXPECT_NE(cache.changes(), before);
  EXPECT_EQ(at(8), 1);
  EXPECT_EQ(at(9), -1);
  EXPECT_EQ(at(9, 7), -1);
  EXPECT_EQ(at(9, 8), 1);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextDomain, .domain = DomainId{2}}).entries, 0u);
}

// VT-d PASID-cache invalidation: those of the PASID, and those without one, which may rest on any
// entry of the PASID table.
TEST_F(ContextCacheTest, APasidDropsItsOwnAndThoseWithout) {
  fill(8, 1);
  fill(8, 1, 7);
  fill(8, 1, 8);
  fill(9, 1, 7);
  fill(9, 2, 9);
  fill(10, 2);
  const Invalidation what{.scope = Scope::kContextPasid, .domain = DomainId{1}, .pasid = Pasid{7}};
  EXPECT_EQ(cache.invalidate(what).entries, 3u);
  EXPECT_EQ(at(8), -1);
  EXPECT_EQ(at(8, 7), -1);
  EXPECT_EQ(at(8, 8), 1);
  EXPECT_EQ(at(9, 7), -1);
  EXPECT_EQ(at(9, 9), 2);
  EXPECT_EQ(at(10), 2);
}

// A context that is read again under another domain is the new domain's alone.
TEST_F(ContextCacheTest, AContextThatMovedIsNotDroppedWithItsOldDomain) {
  fill(8, 1);
  fill(8, 2);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextDomain, .domain = DomainId{1}}).entries, 0u);
  EXPECT_EQ(at(8), 2);
  (void)cache.invalidate({.scope = Scope::kContextAll});
  fill(8, 3);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextDomain, .domain = DomainId{2}}).entries, 0u);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextDomain, .domain = DomainId{3}}).entries, 1u);
}

TEST_F(ContextCacheTest, TranslationScopesDropNothing) {
  fill(8, 1);
  const std::uint64_t before = cache.changes();
  for (const Scope scope : {Scope::kAll, Scope::kDomain, Scope::kPasid, Scope::kRange,
                            Scope::kStage2Range, Scope::kInterruptAll, Scope::kInterruptDevice,
                            Scope::kDeviceTlb, Scope::kHostRange, Scope::kRequester})
    EXPECT_EQ(cache.invalidate({.scope = scope, .domain = DomainId{1}}).entries, 0u);
  EXPECT_EQ(cache.changes(), before) << "ports would ask again for nothing";
  EXPECT_EQ(at(8), 1);
}

// VT-d function masks: FM 01 ignores bit 2, 10 bits 2:1, 11 bits 2:0 of the source-id.
TEST_F(ContextCacheTest, DeviceMasks) {
  struct Row {
    std::uint16_t sid;
    std::uint16_t mask;
    std::set<std::uint16_t> gone;
  };
  const Row rows[] = {
      {0x1012, 0, {0x1012}},
      {0x1012, 4, {0x1012, 0x1016}},
      {0x1016, 4, {0x1012, 0x1016}},
      {0x1012, 6, {0x1010, 0x1012, 0x1014, 0x1016}},
      {0x1013, 6, {0x1011, 0x1013, 0x1015, 0x1017}},
      {0x1015, 7, {0x1010, 0x1011, 0x1012, 0x1013, 0x1014, 0x1015, 0x1016, 0x1017}}};
  for (const Row& row : rows) {
    for (std::uint16_t sid = 0x1008; sid < 0x1020; ++sid) fill(sid, sid);
    EXPECT_EQ(drop_device(row.sid, row.mask).entries, row.gone.size());
    for (std::uint16_t sid = 0x1008; sid < 0x1020; ++sid)
      EXPECT_EQ(at(sid), row.gone.contains(sid) ? -1 : sid) << std::hex << sid;
    (void)cache.invalidate({.scope = Scope::kContextAll});
  }
}

TEST_F(ContextCacheTest, ADeviceOfAnotherSegmentStays) {
  fill(8, 1);
  const Removed removed =
      cache.invalidate({.scope = Scope::kContextDevice, .requester = Requester::from_sid(8, 3)});
  EXPECT_EQ(removed.entries, 0u);
  EXPECT_EQ(at(8), 1);
}

// A function's contexts of every PASID rest on its context entry.
TEST_F(ContextCacheTest, ADeviceTakesItsPasidsAlong) {
  fill(8, 1);
  fill(8, 2, 0);
  fill(8, 3, 77);
  fill(9, 4, 77);
  EXPECT_EQ(drop_device(8).entries, 3u);
  EXPECT_EQ(at(8), -1);
  EXPECT_EQ(at(8, 0), -1) << "served after its own invalidation (L1)";
  EXPECT_EQ(at(8, 77), -1);
  EXPECT_EQ(at(9, 77), 4);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextAll}).entries, 1u);
}

// L2: what was read before anything was dropped is not kept.
TEST_F(ContextCacheTest, OvertakenFillsAreRefused) {
  const std::uint64_t before = cache.changes();
  drop_device(8);
  EXPECT_FALSE(cache.fill(before, Requester::from_sid(8), kPlain, {}));
  EXPECT_EQ(at(8), -1);
  const std::uint64_t then = cache.changes();
  (void)cache.invalidate({.scope = Scope::kContextAll});
  EXPECT_FALSE(cache.fill(then, Requester::from_sid(8), kPlain, {}));
  EXPECT_EQ(at(8), -1);
  EXPECT_TRUE(fill(8, 5));
  EXPECT_FALSE(cache.fill(then, Requester::from_sid(8), kPlain, {.domain = {6}}));
  EXPECT_EQ(at(8), 5) << "and does not disturb what was read since";
  EXPECT_EQ(drop_device(8).entries, 1u);
}

// L9: what an invalidation says it removed is what was there, over any history.
TEST_F(ContextCacheTest, CountsAddUp) {
  fill(8, 1);
  (void)cache.invalidate({.scope = Scope::kContextAll});
  EXPECT_EQ(drop_device(8).entries, 0u) << "gone already";
  fill(8, 1);
  fill(8, 2);
  fill(9, 1);
  EXPECT_EQ(drop_device(8).entries, 1u);
  EXPECT_EQ(drop_device(8).entries, 0u);
  fill(10, 1);
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextDomain, .domain = DomainId{1}}).entries, 2u);
}

}  // namespace
}  // namespace weir::iotlb
