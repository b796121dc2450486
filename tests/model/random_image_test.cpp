// SPDX-License-Identifier: Apache-2.0
//
// The generated worlds are worth comparing on: enough requests succeed, and every way to fail comes
// up at every stage and level where the format has it.

#include "tests/model/random_image.h"

#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <string>
#include <tuple>

namespace weir::model {
namespace {

constexpr unsigned kWorlds = 4000;
constexpr unsigned kAsks = 40;

using Cell = std::tuple<Stage, FaultReason, Detail, unsigned>;

struct Tally {
  unsigned asked = 0;
  unsigned ok = 0;
  unsigned updates = 0;
  std::map<Cell, unsigned> failed;
  std::map<std::pair<Purpose, unsigned>, unsigned> purposes;  // with the upper level

  [[nodiscard]] unsigned count(Stage stage, FaultReason reason, unsigned level,
                               std::optional<Detail> detail = std::nullopt) const {
    unsigned sum = 0;
    for (const auto& [cell, n] : failed) {
      const auto& [s, r, d, l] = cell;
      if (s == stage && r == reason && l == level && (!detail || *detail == d)) sum += n;
    }
    return sum;
  }

  void print(const std::string& title) const {
    std::cout << title << ": " << ok * 100 / asked << " % succeed, updates " << updates << '\n';
    for (const auto& [cell, n] : failed) {
      const auto& [stage, reason, detail, level] = cell;
      std::cout << "  " << to_string(stage) << " level " << level << ": " << to_string(reason)
                << (detail == Detail::kNone ? "" : ", ") << to_string(detail) << ": " << n << '\n';
    }
    for (const auto& [purpose, n] : purposes)
      std::cout << "  " << to_string(purpose.first) << " of upper level " << purpose.second << ": "
                << n << '\n';
  }
};

Tally tally(FormatKind upper, std::optional<FormatKind> lower) {
  Tally t;
  for (unsigned seed = 0; seed < kWorlds; ++seed) {
    const World world = random_world(seed, upper, lower);
    Random random(seed + 1'000'000);
    for (unsigned n = 0; n < kAsks; ++n) {
      const Verdict v = world.expect(random_ask(world, random));
      ++t.asked;
      if (v.ok) {
        ++t.ok;
        t.updates += !v.updates.empty();
        continue;
      }
      ++t.failed[{v.stage, v.reason, v.detail, v.level}];
      if (v.purpose != Purpose::kAccess) ++t.purposes[{v.purpose, v.upper_level}];
    }
  }
  return t;
}

unsigned most_levels(FormatKind kind) { return kind == FormatKind::kAmdV1 ? 6 : 5; }

// Every failure that `kind` can have at `stage`, at least `least` times.
void expect_all(const Tally& t, FormatKind kind, Stage stage, bool upper, unsigned least) {
  const bool x86 = kind == FormatKind::kVtdFirstStage || kind == FormatKind::kAmdV2;
  const bool v1 = kind == FormatKind::kAmdV1;
  const auto at_least = [&](FaultReason reason, unsigned level,
                            std::optional<Detail> detail = std::nullopt) {
    EXPECT_GE(t.count(stage, reason, level, detail), least)
        << to_string(stage) << ' ' << to_string(reason) << ' ' << (detail ? to_string(*detail) : "")
        << " level " << level;
  };
  at_least(FaultReason::kBeyondInputWidth, 0);
  for (unsigned level = 1; level <= most_levels(kind); ++level) {
    if (kind != FormatKind::kVtdSecondStage) at_least(FaultReason::kNotPresent, level);
    if (!x86) at_least(FaultReason::kNoReadPermission, level, Detail::kNone);
    at_least(FaultReason::kNoWritePermission, level, Detail::kNone);
    // A 4 KiB leaf of v2 has none: its addresses use all of 51:12.
    if (kind != FormatKind::kAmdV2 || level > 1)
      at_least(FaultReason::kReservedBits, level, Detail::kNone);
    at_least(FaultReason::kUpdateFailed, level);
    if (level < most_levels(kind)) at_least(FaultReason::kTableUnreadable, level);
    if (level >= (v1 ? 1U : x86 ? 4U : 3U)) at_least(FaultReason::kRootTableUnreadable, level);
    if (x86 && upper) {
      at_least(FaultReason::kNoReadPermission, level, Detail::kUserOfSupervisor);
      at_least(FaultReason::kNoWritePermission, level, Detail::kUserOfSupervisor);
      at_least(FaultReason::kNoReadPermission, level, Detail::kNoExecute);
    }
    if (v1) at_least(FaultReason::kReservedBits, level, Detail::kLevelEncoding);
    if (v1 && level > 2) at_least(FaultReason::kBeyondInputWidth, level, Detail::kSkippedBits);
  }
}

class RandomImage : public testing::TestWithParam<FormatKind> {};

TEST_P(RandomImage, AStageMeetsEveryFailureAtEveryLevel) {
  const FormatKind kind = GetParam();
  const Tally t = tally(kind, std::nullopt);
  t.print(std::string(to_string(kind)));
  EXPECT_GE(t.ok * 100, t.asked * 30);
  const bool first = kind == FormatKind::kVtdFirstStage || kind == FormatKind::kAmdV2;
  expect_all(t, kind, first ? Stage::kStage1 : Stage::kStage2, true, 16);
}

TEST_P(RandomImage, APairMeetsEveryFailureAtEveryLevelOfBothStages) {
  const FormatKind kind = GetParam();
  for (const FormatKind lower : kFormatKinds) {
    const std::string title =
        std::string(to_string(kind)) + " over " + std::string(to_string(lower));
    SCOPED_TRACE(title);
    const Tally t = tally(kind, lower);
    t.print(title);
    EXPECT_GE(t.ok * 100, t.asked * 30);
    expect_all(t, kind, Stage::kStage1, true, 16);
    expect_all(t, lower, Stage::kStage2, false, 16);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, RandomImage, testing::ValuesIn(kFormatKinds),
                         [](const auto& kind) {
                           std::string name(to_string(kind.param));
                           std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

TEST(RandomImage, FollowsFromTheSeedAlone) {
  const World a = random_world(7, FormatKind::kAmdV2, FormatKind::kAmdV1);
  const World b = random_world(7, FormatKind::kAmdV2, FormatKind::kAmdV1);
  Random first(3);
  Random second(3);
  for (int n = 0; n < 100; ++n) {
    const Ask ask = random_ask(a, first);
    EXPECT_EQ(ask.input, random_ask(b, second).input);
    EXPECT_EQ(a.expect(ask).output, b.expect(ask).output);
  }
}

}  // namespace
}  // namespace weir::model
