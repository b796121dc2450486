// SPDX-License-Identifier: Apache-2.0
//
// What one device can push out of the IOTLB that it shares with another.
#include <gtest/gtest.h>

#include "iotlb/iotlb.h"
#include "tests/iotlb/stress.h"

namespace weir::iotlb {
namespace {

constexpr std::uint64_t kManyPages = 1'000'000;
constexpr std::uint64_t kFewPages = 64;
constexpr Tag kGreedy{DomainId{1}};
constexpr Tag kModest{DomainId{2}};

[[nodiscard]] bool ask(Iotlb& tlb, IotlbKey& key, std::uint64_t page) {
  if (tlb.lookup(key, Iova(page << 12))) return true;
  const Tag tag = key.plain();
  (void)tlb.fill(tlb.begin_fill(tag.domain),
                 {.tag = tag, .page = Iova(page << 12), .output = page << 12});
  return false;
}

// The modest device's hit rate while the greedy one asks `greed` times for each of its requests.
template <typename Next>
double hit_rate_beside(std::uint64_t greed, Next next) {
  Iotlb tlb({.entries = 4096});
  IotlbKey greedy = tlb.key_for(kGreedy);
  IotlbKey modest = tlb.key_for(kModest);
  Random random(7);
  constexpr std::uint64_t kBase = 0xffff0;
  for (std::uint64_t page = 0; page < kFewPages; ++page) (void)ask(tlb, modest, kBase + page);
  std::uint64_t hits = 0;
  constexpr std::uint64_t kRequests = 200'000;
  for (std::uint64_t n = 0; n < kRequests; ++n) {
    hits += ask(tlb, modest, kBase + random.below(kFewPages)) ? 1 : 0;
    for (std::uint64_t g = 0; g < greed; ++g) (void)ask(tlb, greedy, next());
  }
  return static_cast<double>(hits) / kRequests;
}

// Alone, the modest device hits always. At most ten points less beside one that cycles through a
// million pages, in order or at random, as fast as it or much faster.
TEST(IotlbReplacement, OneDeviceCannotDisplaceAnother) {
  for (const std::uint64_t greed : {1, 4, 16}) {
    std::uint64_t at = 0;
    const double in_order = hit_rate_beside(greed, [&] { return at = (at + 1) % kManyPages; });
    EXPECT_GE(in_order, 0.9) << "in order, " << greed << " requests for one";
    Random random(3);
    const double at_random = hit_rate_beside(greed, [&] { return random.below(kManyPages); });
    EXPECT_GE(at_random, 0.9) << "at random, " << greed << " requests for one";
    // Each page twice, so that every one of them has been used.
    std::uint64_t twice = 0;
    const double used =
        hit_rate_beside(greed, [&] { return twice = (twice + 1) % (2 * kManyPages), twice / 2; });
    EXPECT_GE(used, 0.9) << "each twice, " << greed << " requests for one";
  }
}

// What was used long ago does not stay for ever: a new working set gets its places back.
TEST(IotlbReplacement, OldFavouritesGiveWay) {
  Iotlb set({.entries = 4});
  IotlbKey old = set.key_for(kModest);
  for (int round = 0; round < 2; ++round)
    for (std::uint64_t page = 0; page < 3; ++page) (void)ask(set, old, page);
  IotlbKey fresh = set.key_for(kGreedy);
  std::uint64_t hits = 0;
  for (int n = 0; n < 64; ++n)
    for (std::uint64_t page = 0; page < 3; ++page) hits += ask(set, fresh, 8 + page) ? 1 : 0;
  EXPECT_GT(hits, 120u) << "of 192, in the end all of them";
}

// Filling never removes more than one entry, and only of its own set.
TEST(IotlbReplacement, OverflowTakesOneEntry) {
  Iotlb tlb({.entries = 64});
  Random random(11);
  std::size_t present = 0;
  for (int n = 0; n < 20'000; ++n) {
    const std::uint64_t page = random.below(1 << 20);
    const FillResult result = tlb.fill(
        tlb.begin_fill(DomainId{1}), {.tag = {DomainId{1}}, .page = Iova(page << 12), .output = 0});
    present += result == FillResult::kFilled ? 1 : 0;
    ASSERT_EQ(tlb.size(), present);
  }
  EXPECT_EQ(present, 64u);
}

}  // namespace
}  // namespace weir::iotlb
