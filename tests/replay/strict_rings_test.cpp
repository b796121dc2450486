// SPDX-License-Identifier: Apache-2.0
//
// What a miss of a strict nested guest reads, exactly: at least one leaf of each stage unless the
// walk caches have it, never more than a whole nested walk, and no more than the goals say.
#include "replay/strict_rings.h"

#include <gtest/gtest.h>

namespace weir::replay {
namespace {

struct Cost {
  std::uint64_t misses = 0;
  double references = 0;
};

[[nodiscard]] Cost cost_of(StrictRings::Hint hint) {
  auto rings = StrictRings::create(hint);
  EXPECT_TRUE(rings) << (rings ? "" : rings.error());
  EXPECT_TRUE((*rings)->run(200));
  const Stats before = (*rings)->stats();
  constexpr std::uint64_t kRounds = 300;
  EXPECT_TRUE((*rings)->run(kRounds));
  const Stats after = (*rings)->stats();
  EXPECT_EQ(after.of(Outcome::kFaulted), 0U);
  const std::uint64_t misses = after.of(Outcome::kWalked) - before.of(Outcome::kWalked);
  EXPECT_EQ(misses, after.walks - before.walks);
  // Every page of a transfer and every packet is new; of the rings, only what others push out.
  EXPECT_GE(misses, kRounds * (32 + 32));
  EXPECT_LE(misses, kRounds * (32 + 32) * 11 / 10);
  return {misses, static_cast<double>(after.references - before.references) /
                      static_cast<double>(misses)};
}

TEST(StrictRings, LeafOnlyFlushesLeaveTheWalkCachesAlone) {
  const Cost hinted = cost_of(StrictRings::Hint::kLeafOnly);
  EXPECT_GE(hinted.references, 1.0);
  EXPECT_LE(hinted.references, 2.1);
}

TEST(StrictRings, WithoutTheHintUpperTablesAreReadAgain) {
  const Cost hinted = cost_of(StrictRings::Hint::kLeafOnly);
  const Cost plain = cost_of(StrictRings::Hint::kNone);
  EXPECT_GT(plain.references, hinted.references);
  EXPECT_LE(plain.references, 9.0);
}

}  // namespace
}  // namespace weir::replay
