// SPDX-License-Identifier: Apache-2.0
//
// The library against the oracle: every format alone, every pair, by chance and in small worlds.

#include <gtest/gtest.h>

#include <array>
#include <cctype>
#include <iostream>

#include "tests/compare/compare.h"
#include "tests/model/small_worlds.h"

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

// One test for all of them: what a format can come to in either place is counted over its pairs.
TEST(Nested, EveryPairAgreesWithTheOracle) {
  constexpr std::size_t kKinds = std::size(model::kFormatKinds);
  std::array<Tally, kKinds> as_upper;
  std::array<Tally, kKinds> as_lower;
  for (std::size_t upper = 0; upper < kKinds; ++upper) {
    for (std::size_t lower = 0; lower < kKinds; ++lower) {
      const Plan plan{.upper = model::kFormatKinds[upper],
                      .lower = model::kFormatKinds[lower],
                      .requests = requests(10'000, 1'000'000)};
      const Outcome outcome = run(plan, library);
      ASSERT_FALSE(outcome.difference) << *outcome.difference;
      const std::string title = std::string(model::to_string(plan.upper)) + " over " +
                                std::string(model::to_string(*plan.lower));
      std::cout << outcome.tally.table(title);
      EXPECT_GE(outcome.tally.ok() * 100, outcome.tally.asked() * 30) << title;
      as_upper[upper].add(outcome.tally);
      as_lower[lower].add(outcome.tally);
    }
  }
  for (std::size_t n = 0; n < kKinds; ++n) {
    const std::string name(model::to_string(model::kFormatKinds[n]));
    std::cout << as_upper[n].table(name + " over all four")
              << as_lower[n].table(name + " under all four");
    if (!long_run()) continue;  // too few requests for the rarest cells
    expect_every_cell(as_upper[n], model::kFormatKinds[n], Role::kUpper, Stage::kStage1);
    expect_every_cell(as_lower[n], model::kFormatKinds[n], Role::kLower, Stage::kStage2);
  }
}

class SmallWorlds : public testing::Test {
 protected:
  static std::vector<model::Format> formats() {
    std::vector<model::Format> all = model::small_world_formats();
    for (model::Format& format : all) leave_the_tables_alone(format);
    return all;
  }

  // Compares a visit. The entries that small worlds change are the first three of each table.
  void visit(const model::World& world, const model::Ask& ask) {
    if (difference_) return;
    if (!machine_) machine_.emplace(world.image, Machine::Backing::kHostMemory);
    machine_->refresh(world.image, 4);
    difference_ = compare(world, *machine_, ask, library, tally_);
  }
  void next_format() { machine_.reset(); }

  std::optional<Machine> machine_;
  std::optional<std::string> difference_;
  Tally tally_;
};

TEST_F(SmallWorlds, OneEntryTakesEveryValue) {
  const unsigned stride = long_run() ? 1 : 13;
  for (const model::Format& format : formats()) {
    (void)model::visit_one_entry_worlds(
        format, [this](const auto& world, const auto& ask) { visit(world, ask); }, stride);
    ASSERT_FALSE(difference_) << *difference_;
    next_format();
  }
  std::cout << tally_.table("one entry");
}

TEST_F(SmallWorlds, TwoEntriesTakeEveryCombination) {
  for (const model::Format& format : formats()) {
    (void)model::visit_two_entry_worlds(
        format, [this](const auto& world, const auto& ask) { visit(world, ask); });
    ASSERT_FALSE(difference_) << *difference_;
    next_format();
  }
  std::cout << tally_.table("two entries");
}

}  // namespace
}  // namespace weir::compare
