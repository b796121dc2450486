// SPDX-License-Identifier: Apache-2.0
//
// Walk caches under walks and invalidations at once: what a completed invalidation covered is never
// found again (L1, L2), and an entry is found as it was filled, its pointer included (L3).
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "iotlb/walk_caches.h"

namespace weir::iotlb {
namespace {

constexpr std::uint64_t kPages = 24;  // more than there is room for
constexpr std::uint64_t kRounds = 40'000;
constexpr std::uint64_t kMix = 0x5a5a5a5a5000;

struct Tables {
  // What the guest's table says of a page, and what of it an invalidation has completed for.
  std::array<std::atomic<std::uint64_t>, kPages> says{};
  std::array<std::atomic<std::uint64_t>, kPages> completed{};
};

TEST(WalkCacheStress, WalksAndInvalidations) {
  constexpr Tag kTag{.domain = {3}};
  constexpr unsigned kLg2 = 21;
  TableCache cache(16);
  Tables tables;
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> wrong{0};
  const auto walk = [&](std::uint64_t seed) {
    // Relaxed: only says that it is over.
    while (!over.load(std::memory_order_relaxed)) {
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      const std::uint64_t page = (seed >> 40) % kPages;
      // Acquire: pairs with the invalidator's release, the invalidation is complete.
      const std::uint64_t least = tables.completed[page].load(std::memory_order_acquire);
      WalkHit hit;
      if (cache.lookup(kTag, page << kLg2, hit)) {
        const std::uint64_t says = hit.output >> 12;
        // Relaxed: a count, read when the threads have ended.
        if (says < least || hit.page_lg2 != kLg2 || hit.pointer.to != (hit.output ^ kMix))
          wrong.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      const FillTicket ticket = cache.begin_fill(kTag.domain);
      // Acquire: pairs with the invalidator's release, as a walk reads an entry.
      const std::uint64_t output = tables.says[page].load(std::memory_order_acquire) << 12;
      (void)cache.fill(ticket,
                       {.tag = kTag,
                        .page = Iova(page << kLg2),
                        .output = output,
                        .page_lg2 = kLg2,
                        .permissions = Permissions::read_write()},
                       {output ^ kMix, ticket});
    }
  };
  std::vector<std::thread> walkers;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) walkers.emplace_back(walk, seed);
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    const std::uint64_t page = round * 7 % kPages;
    // Release, both: pair with the walkers' acquire loads.
    tables.says[page].store(round, std::memory_order_release);
    const Iova first(page << kLg2);
    (void)cache.invalidate(
        round % 64 == 0
            ? Invalidation{.scope = Scope::kDomain, .domain = kTag.domain}
            : Invalidation{.scope = Scope::kRange, .domain = kTag.domain, .range = {first, first}});
    tables.completed[page].store(round, std::memory_order_release);
  }
  // Relaxed: as above.
  over.store(true, std::memory_order_relaxed);
  for (std::thread& walker : walkers) walker.join();
  EXPECT_EQ(wrong.load(std::memory_order_relaxed), 0U);
}

}  // namespace
}  // namespace weir::iotlb
