// SPDX-License-Identifier: Apache-2.0
//
// What only AMD v1 has: entries that name the level that follows, tables that skip levels, and the
// size of a page written into its address (48882 2.2.3, Tables 14 and 15).
#include <gtest/gtest.h>

#include "tests/pagetables/formats/amd_v1_facts.h"
#include "tests/pagetables/formats/scripted_path.h"

namespace weir::pagetables::facts {
namespace {

constexpr std::uint64_t kAllowed = 0x60000000'00000001;
constexpr std::uint64_t table(unsigned next_level, std::uint64_t at) {
  return kAllowed | at | std::uint64_t{next_level} << 9;
}

// Levels down, sizes across: every NextLevel that an entry of a level can name. The address is 0,
// so that NextLevel 7 means 8 KiB: a page of level 1 alone. L: leaf, T: table, x: level encoding.
constexpr std::array<std::string_view, 7> kNextLevel{"",          // 01234567
                                                     "LxxxxxxL",  // level 1
                                                     "LTxxxxxx", "LTTxxxxx", "LTTTxxxx",
                                                     "LTTTTxxx", "xTTTTTxx"};

TEST(AmdV1Levels, EveryNextLevelOfEveryLevel) {
  for (unsigned levels = 1; levels <= 6; ++levels)
    for (unsigned next = 0; next < 8; ++next) {
      SCOPED_TRACE(testing::Message() << "level " << levels << ", NextLevel " << next);
      ScriptedReader reader;
      reader.fill(0x10000, table(next, 0));
      reader.fill(0, kAllowed);
      const auto leaf = walk<AmdV1>(AmdV1::rules({}), reader, Gpa(0x10000), levels, 0x128, {});
      switch (kNextLevel[levels][next]) {
        case 'L':
          ASSERT_TRUE(leaf.ok());
          EXPECT_EQ(leaf->level, levels);
          EXPECT_EQ(reader.loads.size(), 1U);
          break;
        case 'T':
          ASSERT_TRUE(leaf.ok());
          EXPECT_EQ(leaf->level, next);
          EXPECT_EQ(reader.loads, (std::vector<std::uint64_t>{0x10000, 0}));
          break;
        default:
          EXPECT_STOPPED(leaf, FaultReason::kLevelEncoding, levels, 0x10000U);
      }
    }
}

TEST(AmdV1Levels, EverySizeThatAnAddressCanSpell) {
  for (unsigned level = 1; level <= 6; ++level)
    for (unsigned zero_at = 12; zero_at <= 52; ++zero_at) {
      // Ones from bit 12 up to below the zero.
      std::uint64_t code = 0;
      for (unsigned bit = 12; bit < zero_at; ++bit) code |= std::uint64_t{1} << bit;
      const unsigned lg2 = zero_at + 1;
      ScriptedReader reader;
      reader.fill(0x10000, table(7, code));
      const auto leaf = walk<AmdV1>(AmdV1::rules({}), reader, Gpa(0x10000), level, 0x128, {});
      bool exists = false;
      for (const PageFact& page : AmdV1Facts::pages(6))
        exists |= page.lg2 == lg2 && page.level == level && page.copies > 1;
      SCOPED_TRACE(testing::Message() << "level " << level << ", 2^" << lg2);
      if (!exists) {
        EXPECT_STOPPED(leaf, FaultReason::kLevelEncoding, level, 0x10000U);
        continue;
      }
      ASSERT_TRUE(leaf.ok());
      EXPECT_EQ(leaf->page_lg2, lg2);
      EXPECT_EQ(leaf->page, Gpa(0));
    }
}

TEST(AmdV1Levels, SkippedLevelsMustHaveZeroBits) {
  for (unsigned levels = 3; levels <= 6; ++levels)
    for (unsigned upper = levels; upper >= 3; --upper)
      for (unsigned next = 1; next + 1 < upper; ++next) {
        // From the root in steps of one to `upper`, whose entry names `next`, and down to a page.
        ScriptedPath<AmdV1Facts> path(levels, {12, 1, 1});
        path.set(upper, table(next, path.table_at(next)));
        SCOPED_TRACE(testing::Message() << levels << " levels, " << upper << " to " << next);
        ASSERT_TRUE(path.walk(0x128).ok());
        for (unsigned bit = 0; bit < 64; ++bit) {
          const std::uint64_t input = std::uint64_t{1} << bit;
          if (!AmdV1Facts::accepts(input, levels)) continue;
          const auto leaf = path.walk(input);
          const bool skipped =
              bit >= AmdV1Facts::kIndex[next + 1].low && bit <= AmdV1Facts::kIndex[upper - 1].high;
          if (skipped) {
            EXPECT_STOPPED(leaf, FaultReason::kSkippedBits, upper, path.entry_at(upper, input));
          } else {
            ASSERT_TRUE(leaf.ok()) << "bit " << bit;
            EXPECT_EQ(leaf->references, levels - (upper - next - 1));
            EXPECT_EQ(leaf->translate(input), Gpa(input & 0xfff));
          }
        }
      }
}

// A permission missing, or a reserved bit, is named before a bad level (settled walk order).
TEST(AmdV1Levels, OrderOfTheChecks) {
  const Ask write{.access = Access::kWrite};
  const auto reason = [&](std::uint64_t word) {
    return AmdV1::inspect(word, 2, write, AmdV1::rules({})).reason;
  };
  const std::uint64_t bad_level = std::uint64_t{5} << 9;
  const std::uint64_t reserved = std::uint64_t{1} << 52;
  EXPECT_EQ(reason(bad_level | reserved), FaultReason::kNotPresent);
  EXPECT_EQ(reason(bad_level | reserved | 1), FaultReason::kReservedBits);
  EXPECT_EQ(reason(bad_level | 1), FaultReason::kNoWritePermission);
  EXPECT_EQ(reason(bad_level | kAllowed), FaultReason::kLevelEncoding);
}

}  // namespace
}  // namespace weir::pagetables::facts
