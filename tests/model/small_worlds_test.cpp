// SPDX-License-Identifier: Apache-2.0
//
// The small worlds reach what they are for, and the oracle keeps some general truths in all of
// them.

#include "tests/model/small_worlds.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <utility>

namespace weir::model {
namespace {

// What must hold whatever the entries say.
void expect_sane(const World& world, const Ask& ask, const Verdict& v) {
  const unsigned levels = levels_of(world.upper);
  ASSERT_LE(v.references, levels);
  if (!v.ok) {
    ASSERT_LE(v.level, levels);
    ASSERT_TRUE(v.updates.empty());
    ASSERT_EQ(v.level == 0, v.entry_at == 0);
    return;
  }
  ASSERT_GE(v.references, 1U);
  ASSERT_TRUE(v.page_lg2 >= 12 && v.page_lg2 <= 51);
  const std::uint64_t within = (std::uint64_t{1} << v.page_lg2) - 1;
  ASSERT_EQ(v.output & within, ask.input & within);
  ASSERT_TRUE(v.readable || !ask.read);
  ASSERT_TRUE(v.writable || !ask.write || ask.privileged);
  for (const Update& u : v.updates) {
    const std::uint64_t before = *world.image.load(u.at);
    ASSERT_NE(before, u.value);
    ASSERT_EQ(before & u.value, before);  // bits are only ever set
  }
}

TEST(SmallWorlds, OneEntryAtEveryLevel) {
  // 30 million visits when there is time; else a stride that meets every low bit both ways.
  const unsigned stride = std::getenv("WEIR_LONG") != nullptr ? 1 : 13;
  for (const Format& format : small_world_formats()) {
    std::set<std::pair<FaultReason, unsigned>> reasons;
    std::uint64_t visits = 0;
    std::uint64_t ok = 0;
    const std::uint64_t said = visit_one_entry_worlds(
        format,
        [&](const World& world, const Ask& ask) {
          const Verdict v = world.expect(ask);
          expect_sane(world, ask, v);
          ++visits;
          ok += v.ok;
          if (!v.ok) reasons.emplace(v.reason, v.level);
        },
        stride);
    EXPECT_EQ(said, visits);
    EXPECT_GE(visits, levels_of(format) * (4096 / stride) * 8 * 9);
    EXPECT_GT(ok, 0U);
    for (unsigned level = 1; level <= levels_of(format); ++level) {
      EXPECT_TRUE(reasons.contains({FaultReason::kNoWritePermission, level})) << level;
      EXPECT_TRUE(reasons.contains({FaultReason::kReservedBits, level}) ||
                  std::get_if<X86FirstStage>(&format) != nullptr)
          << level;
    }
  }
}

TEST(SmallWorlds, TwoEntriesAtEveryPairOfLevels) {
  for (const Format& format : small_world_formats()) {
    std::uint64_t visits = 0;
    std::uint64_t ok = 0;
    const std::uint64_t said =
        visit_two_entry_worlds(format, [&](const World& world, const Ask& ask) {
          const Verdict v = world.expect(ask);
          expect_sane(world, ask, v);
          ++visits;
          ok += v.ok;
        });
    EXPECT_EQ(said, visits);
    EXPECT_EQ(ok == 0, levels_of(format) == 1);
  }
}

}  // namespace
}  // namespace weir::model
