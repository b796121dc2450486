// SPDX-License-Identifier: Apache-2.0
//
// Contexts under threads: one that comes back after its invalidation (L1, L2), in the cache or in a
// port's copy; counts (L9); values that are published without a lock (L3).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "iotlb/context_cache.h"
#include "iotlb/published.h"
#include "tests/iotlb/stress.h"

namespace weir::iotlb {
namespace {

constexpr std::size_t kFunctions = 8;
constexpr std::uint32_t kPlain = Context::kNoPasid;

// Every other function asks with a PASID.
[[nodiscard]] std::uint32_t pasid_of(std::size_t f) { return f % 2 == 0 ? kPlain : 5; }
[[nodiscard]] Requester function(std::size_t f) {
  return Requester::from_sid(static_cast<std::uint16_t>(0x20 + f));
}

TEST(ContextStress, NothingIsServedAfterItsInvalidation) {
  ContextCache cache;
  std::array<std::atomic<std::uint32_t>, kFunctions> table{};
  std::array<std::atomic<std::uint32_t>, kFunctions> complete{};
  std::atomic<std::uint64_t> stale{0};
  std::atomic<std::uint64_t> found{0};
  std::atomic<bool> stop{false};
  std::uint64_t miscounted = 0;
  {
    Threads threads;
    for (std::uint64_t seed = 0; seed < 3; ++seed)
      threads.run([&, seed] {
        Random random(seed);
        // What a port keeps: a context and the number it was obtained under.
        std::array<std::pair<std::uint64_t, Context>, kFunctions> copies{};
        while (!stop) {
          const std::size_t f = random.below(kFunctions);
          const std::uint32_t before = complete[f].load(std::memory_order_acquire);
          const std::uint64_t changes = cache.changes();
          Context context;
          if (copies[f].first == changes) {
            context = copies[f].second;
          } else if (const auto cached = cache.find(function(f), pasid_of(f))) {
            context = *cached;
            copies[f] = {changes, context};
            found.fetch_add(1, std::memory_order_relaxed);
          } else {
            context.domain.value = table[f].load(std::memory_order_acquire);
            linger(random);
            if (cache.fill(changes, function(f), pasid_of(f), context))
              copies[f] = {changes, context};
          }
          if (context.domain.value < before) stale.fetch_add(1);
        }
      });
    // Two guests' worth of invalidations, so that they meet; versions belong to one of them.
    threads.run([&] {
      Random random(50);
      while (!stop) {
        const Removed removed = cache.invalidate(
            {.scope = Scope::kContextDevice, .requester = function(random.below(kFunctions))});
        if (removed.entries > 1) ++miscounted;
        linger(random);
      }
    });
    Random random(60);
    for (int round = 1; goes_on(round, kRounds / 20, found); ++round) {
      const std::size_t f = random.below(kFunctions);
      table[f].store(static_cast<std::uint32_t>(round), std::memory_order_release);
      Invalidation what{.scope = Scope::kContextDevice, .requester = function(f)};
      if (random.below(4) == 0) what.requester_mask = 7;
      if (random.below(8) == 0) what.scope = Scope::kContextAll;
      // Of domains there are as many as versions: what was cached is of the newest or older.
      if (random.below(8) == 0) {
        for (int v = std::max(1, round - 64); v < round; ++v)
          (void)cache.invalidate(
              {.scope = Scope::kContextDomain, .domain = {static_cast<std::uint32_t>(v)}});
      }
      const Removed removed = cache.invalidate(what);
      EXPECT_LE(removed.entries, kFunctions) << "more than there can be (L9)";
      complete[f].store(static_cast<std::uint32_t>(round), std::memory_order_release);
      if (round % 64 == 0) std::this_thread::yield();
    }
    stop = true;
  }
  EXPECT_EQ(stale, 0u);
  EXPECT_EQ(miscounted, 0u);
  EXPECT_GT(found, 0u);
  std::uint64_t left = 0;
  for (std::size_t f = 0; f < kFunctions; ++f)
    left += cache.find(function(f), pasid_of(f)).has_value() ? 1 : 0;
  EXPECT_EQ(cache.invalidate({.scope = Scope::kContextAll}).entries, left);
}

TEST(ContextStress, PublishedValuesAreWhole) {
  struct Value {
    std::array<std::uint64_t, 7> words{};
    std::uint32_t tail = 0;
  };
  Published<Value> published;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> reads{0};
  const auto write = [&](std::uint64_t first, int rounds) {
    for (int i = 0; goes_on(i, rounds, reads); ++i) {
      if (i % 4096 == 0) std::this_thread::yield();
      Value value;
      value.words.fill(first + static_cast<std::uint64_t>(i) * 2);
      value.tail = static_cast<std::uint32_t>(value.words[0]);
      published.write(value);
    }
  };
  {
    Threads threads;
    for (int i = 0; i < 2; ++i)
      threads.run([&] {
        while (!stop) {
          const auto value = published.read();
          if (!value) continue;
          reads.fetch_add(1, std::memory_order_relaxed);
          bool whole = value->tail == static_cast<std::uint32_t>(value->words[0]);
          for (const std::uint64_t word : value->words) whole = whole && word == value->words[0];
          if (!whole) torn.fetch_add(1);
        }
      });
    {
      Threads writers;
      writers.run([&] { write(1, kRounds / 2); });
      write(2, kRounds / 2);
    }
    stop = true;
  }
  EXPECT_EQ(torn, 0u);
  EXPECT_GT(reads, 0u);
}

}  // namespace
}  // namespace weir::iotlb
