// SPDX-License-Identifier: Apache-2.0
//
// Where a nested walk stops: a refusal of stage 2, met while a table of stage 1 is read or at the
// final address, comes out as stage 2's own (stage, level, entry, reason); a refusal of stage 1 as
// stage 1's.
#include <gtest/gtest.h>

#include "tests/pagetables/formats/all_formats.h"
#include "tests/pagetables/formats/two_stage.h"

namespace weir::pagetables::facts {
namespace {

#define EXPECT_NESTED_STOP(result, at_stage, why, at_level, at_entry) \
  do {                                                                \
    const auto& nested_ = (result);                                   \
    EXPECT_STOPPED(nested_, why, at_level, at_entry);                 \
    EXPECT_EQ(nested_.error().stage, (at_stage));                     \
  } while (false)

template <typename Formats>
class PairFailures : public testing::Test {
 protected:
  using World = TwoStage<typename Formats::Upper, typename Formats::Lower>;

  template <typename Body>
  static void for_every_shape(Body body) {
    for (const unsigned upper : Formats::Upper::kLevelCounts)
      for (const unsigned lower : Formats::Lower::kLevelCounts) {
        const typename World::Shape shape{upper, {12, 1, 1}, lower, {12, 1, 1}};
        SCOPED_TRACE(testing::Message() << upper << " levels over " << lower);
        World world(shape);
        body(world);
        if (HasFailure()) return;
      }
  }
};
TYPED_TEST_SUITE(PairFailures, AllPairs, PairName);

TYPED_TEST(PairFailures, OfStage2AtEveryReadOfStage1) {
  using Lower = typename TypeParam::Lower;
  TestFixture::for_every_shape([](auto& world) {
    const unsigned lower_levels = world.shape().lower_levels;
    for (std::size_t read = 0; read < world.ipas().size(); ++read)
      for (unsigned level = 1; level <= lower_levels; ++level) {
        SCOPED_TRACE(testing::Message() << "read " << read << ", stage-2 level " << level);
        const std::uint64_t at = world.lower_entry_at(world.ipas()[read], level);
        // The first read on whose way the entry lies; 4 KiB apart, they all have leaves of their
        // own.
        std::size_t first = 0;
        while (world.lower_entry_at(world.ipas()[first], level) != at) ++first;
        ASSERT_TRUE(level > 1 || first == read);
        const std::uint64_t word = world.ram.at(at);

        world.ram.at(at) = 0;
        const auto absent = world.walk_nested();
        EXPECT_NESTED_STOP(absent, Stage::kStage2, Lower::kNothing[0], level, at);
        // Complete stage-2 walks and the stage-1 entries behind them, then the broken one.
        EXPECT_EQ(absent.error().references,
                  first * (lower_levels + 1) + (lower_levels - level + 1));

        world.ram.at(at) = ~std::uint64_t{0};
        if (const auto ones = Lower::all_ones(level)) {
          EXPECT_NESTED_STOP(world.walk_nested(), Stage::kStage2, *ones, level, at);
        }

        // Tables are read whatever the request wants; only the final address is written.
        world.ram.at(at) = *Lower::deny(word, Access::kWrite);
        const auto reading = world.walk_nested();
        ASSERT_TRUE(reading.ok());
        const auto write = world.walk_nested({.access = Access::kWrite});
        const bool on_the_way = world.lower_entry_at(world.ipas().back(), level) == at;
        EXPECT_EQ(reading->permissions().can_write(), !on_the_way);
        EXPECT_TRUE(reading->upper.permissions.can_write());
        if (on_the_way) {
          const unsigned judged = Lower::kJudgedAtLeaf ? 1 : level;
          EXPECT_NESTED_STOP(write, Stage::kStage2, FaultReason::kNoWritePermission, judged,
                             world.lower_entry_at(world.ipas().back(), judged));
        } else {
          EXPECT_TRUE(write.ok());
        }
        // Reads are asked of stage 2 for a write as well, while it finds the tables.
        if (const auto no_read = Lower::deny(word, Access::kRead);
            no_read && first + 1 < world.ipas().size()) {
          world.ram.at(at) = *no_read;
          EXPECT_NESTED_STOP(world.walk_nested({.access = Access::kWrite}), Stage::kStage2,
                             FaultReason::kNoReadPermission, level, at);
        }
        // A stage-2 table that is nowhere.
        if (level > 1) {
          const std::uint64_t nowhere = 0x0007'0000'0000'0000;
          world.ram.at(at) = Lower::table(nowhere, level);
          const std::uint64_t entry =
              nowhere + world.lower_entry_at_offset(world.ipas()[first], level - 1);
          EXPECT_NESTED_STOP(world.walk_nested(), Stage::kStage2, FaultReason::kTableUnreadable,
                             level - 1, entry);
        }
        world.ram.at(at) = word;
        if (testing::Test::HasFailure()) return;
      }
    EXPECT_TRUE(world.walk_nested().ok());
  });
}

TYPED_TEST(PairFailures, OfStage1AtEveryLevel) {
  using Upper = typename TypeParam::Upper;
  TestFixture::for_every_shape([](auto& world) {
    const unsigned levels = world.shape().upper_levels;
    const unsigned m = world.shape().lower_levels;
    for (unsigned level = 1; level <= levels; ++level) {
      std::uint64_t& word = world.upper_word(level);
      const std::uint64_t was = word;
      const std::uint64_t at = world.upper_entry_at(level);
      word = 0;
      const auto failure = world.walk_nested();
      EXPECT_NESTED_STOP(failure, Stage::kStage1, Upper::kNothing[0], level, at);
      EXPECT_EQ(failure.error().references, (levels - level + 1) * (m + 1));
      word = *Upper::deny(was, Access::kWrite);
      const unsigned judged = Upper::kJudgedAtLeaf ? 1 : level;
      EXPECT_NESTED_STOP(world.walk_nested({.access = Access::kWrite}), Stage::kStage1,
                         FaultReason::kNoWritePermission, judged, world.upper_entry_at(judged));
      ASSERT_TRUE(world.walk_nested().ok());
      EXPECT_FALSE(world.walk_nested()->permissions().can_write());
      word = was;
    }
  });
}

// Stage-1 addresses that stage 2 does not reach at all: stage 2's refusal, before any entry.
TYPED_TEST(PairFailures, OfAddressesBeyondStage2) {
  using Upper = typename TypeParam::Upper;
  using Lower = typename TypeParam::Lower;
  TestFixture::for_every_shape([](auto& world) {
    const unsigned bits = reach<Lower>(world.shape().lower_levels);
    if (bits >= 52) return;
    const std::uint64_t beyond = std::uint64_t{1} << bits;
    for (unsigned level = 1; level <= world.shape().upper_levels; ++level) {
      std::uint64_t& word = world.upper_word(level);
      const std::uint64_t was = word;
      word = level == 1 ? Upper::leaf(beyond, 12) : Upper::table(beyond, level);
      EXPECT_NESTED_STOP(world.walk_nested(), Stage::kStage2, Lower::kRefusal, 0, 0U);
      word = was;
    }
  });
}

// Stage 1's accessed and dirty bits are writes to pages that stage 2 must let be written.
TYPED_TEST(PairFailures, OfUpdatesThatStage2Forbids) {
  using Upper = typename TypeParam::Upper;
  using Lower = typename TypeParam::Lower;
  if (Upper::kAccessed == 0) return;
  TestFixture::for_every_shape([](auto& world) {
    world.upper_rules = Upper::accessed_dirty_rules();
    for (unsigned level = world.shape().upper_levels; level >= 1; --level) {
      const std::uint64_t at = world.lower_entry_at(world.upper_entry_at(level), 1);
      std::uint64_t& word = world.ram.at(at);
      const std::uint64_t was = word;
      word = *Lower::deny(was, Access::kWrite);
      EXPECT_NESTED_STOP(world.walk_nested(), Stage::kStage2, FaultReason::kNoWritePermission, 1,
                         at);
      word = was;
      EXPECT_EQ(world.upper_word(level) & Upper::kAccessed, 0U);
      world.upper_word(level) |= Upper::kAccessed;
    }
    EXPECT_TRUE(world.walk_nested().ok());
    // Tables of stage 1 that stage 2 owns but memory does not let be written are another matter:
    // see FormatAccessedDirty.MemoryThatCannotBeWritten.
  });
}

// Both stages mark what they used: stage 1 in its entries, stage 2 also the pages that stage 1's
// marks were written to.
TYPED_TEST(PairFailures, UpdatesOfBothStages) {
  using Upper = typename TypeParam::Upper;
  using Lower = typename TypeParam::Lower;
  if (Upper::kAccessed == 0 || Lower::kAccessed == 0) return;
  TestFixture::for_every_shape([](auto& world) {
    world.upper_rules = Upper::accessed_dirty_rules();
    world.lower_rules = Lower::accessed_dirty_rules();
    ASSERT_TRUE(world.walk_nested().ok());
    const std::size_t tables = world.ipas().size() - 1;
    for (std::size_t i = 0; i <= tables; ++i) {
      const std::uint64_t leaf = world.ram.at(world.lower_entry_at(world.ipas()[i], 1));
      EXPECT_EQ(leaf & Lower::kAccessed, Lower::kAccessed) << "page " << i;
      EXPECT_EQ(leaf & Lower::kDirty, i < tables ? Lower::kDirty : 0) << "page " << i;
    }
    // Nothing is owed any more: the next walk costs what a walk costs.
    const unsigned m = world.shape().lower_levels;
    const auto again = world.walk_nested();
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->references(), (world.shape().upper_levels + 1) * (m + 1) - 1);
    EXPECT_FALSE(again->cacheable().can_write());
    const auto write = world.walk_nested({.access = Access::kWrite});
    ASSERT_TRUE(write.ok());
    EXPECT_TRUE(write->cacheable().can_write());
    const std::uint64_t leaf = world.ram.at(world.lower_entry_at(world.ipas().back(), 1));
    EXPECT_EQ(leaf & Lower::kDirty, Lower::kDirty);
  });
}

}  // namespace
}  // namespace weir::pagetables::facts
