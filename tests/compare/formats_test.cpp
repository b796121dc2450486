// SPDX-License-Identifier: Apache-2.0
//
// The library against the oracle by chance: every format alone, and every pair of them.

#include <gtest/gtest.h>

#include <cctype>
#include <iostream>
#include <utility>
#include <vector>

#include "tests/compare/compare.h"

namespace weir::compare {
namespace {

using model::FormatKind;

constexpr std::uint64_t kLeastPerCell = 1000;  // in a long run

std::string name_of(FormatKind kind) {
  std::string name(model::to_string(kind));
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}

bool is_first_stage(FormatKind kind) {
  return kind == FormatKind::kVtdFirstStage || kind == FormatKind::kAmdV2;
}

// All is met, and often in a long run.
void expect_every_cell(const Tally& tally, FormatKind kind, Role role, Stage stage) {
  const std::uint64_t least = long_run() ? kLeastPerCell : 1;
  for (const Cell& cell : reachable(kind, role))
    EXPECT_GE(tally.count(stage, cell), least)
        << model::to_string(kind) << ", " << to_string(stage) << ", " << to_string(cell.reason)
        << ", level " << cell.level;
}

class OneStage : public testing::TestWithParam<FormatKind> {};

TEST_P(OneStage, AgreesWithTheOracle) {
  const FormatKind kind = GetParam();
  const Outcome outcome =
      run({.upper = kind, .lower = {}, .requests = requests(100'000, 10'000'000)}, library);
  ASSERT_FALSE(outcome.difference) << *outcome.difference;
  std::cout << outcome.tally.table(std::string(model::to_string(kind)));
  EXPECT_GE(outcome.tally.ok() * 100, outcome.tally.asked() * 30);
  expect_every_cell(outcome.tally, kind, Role::kUpper,
                    is_first_stage(kind) ? Stage::kStage1 : Stage::kStage2);
}

INSTANTIATE_TEST_SUITE_P(Formats, OneStage, testing::ValuesIn(model::kFormatKinds),
                         [](const auto& kind) { return name_of(kind.param); });

using Pair = std::pair<FormatKind, FormatKind>;

std::vector<Pair> all_pairs() {
  std::vector<Pair> pairs;
  for (const FormatKind upper : model::kFormatKinds)
    for (const FormatKind lower : model::kFormatKinds) pairs.emplace_back(upper, lower);
  return pairs;
}

class Nested : public testing::TestWithParam<Pair> {};

// In the long run five times as many as the comparison is worth, so that the rarest cell of every
// pair (execution refused, one request in 3500) is met a thousand times.
TEST_P(Nested, AgreesWithTheOracle) {
  const auto [upper, lower] = GetParam();
  const Outcome outcome =
      run({.upper = upper, .lower = lower, .requests = requests(10'000, 5'000'000)}, library);
  ASSERT_FALSE(outcome.difference) << *outcome.difference;
  std::cout << outcome.tally.table(std::string(model::to_string(upper)) + " over " +
                                   std::string(model::to_string(lower)));
  EXPECT_GE(outcome.tally.ok() * 100, outcome.tally.asked() * 30);
  if (!long_run()) return;  // too few requests for the rarest cells
  expect_every_cell(outcome.tally, upper, Role::kUpper, Stage::kStage1);
  expect_every_cell(outcome.tally, lower, Role::kLower, Stage::kStage2);
}

INSTANTIATE_TEST_SUITE_P(Pairs, Nested, testing::ValuesIn(all_pairs()), [](const auto& pair) {
  return name_of(pair.param.first) + "Over" + name_of(pair.param.second);
});

}  // namespace
}  // namespace weir::compare
