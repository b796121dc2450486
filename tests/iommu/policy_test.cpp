// SPDX-License-Identifier: Apache-2.0
//
// The policy, row by row: the table of docs/policy.md is read, and every combination of inputs is
// held against it. And what a running device asks for when its inputs change.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <sstream>

#include "iommu/policy.h"

namespace weir {
namespace {

using Answer = PolicyDecision::Answer;

constexpr std::size_t kInputs = 8;
constexpr std::array<bool PolicyInputs::*, kInputs> kColumns{
    &PolicyInputs::covered,   &PolicyInputs::legacy, &PolicyInputs::offered,
    &PolicyInputs::negotiated, &PolicyInputs::swiotlb, &PolicyInputs::window,
    &PolicyInputs::protected_guest, &PolicyInputs::invalidations_visible};
constexpr std::array<std::string_view, kInputs> kNames{
    "covered", "legacy", "offered", "negotiated", "swiotlb", "window", "protected", "visible"};

struct Row {
  std::size_t number = 0;
  std::array<std::string, kInputs> cells;
  std::string answer;
  std::string why;

  [[nodiscard]] bool holds(const PolicyInputs& inputs) const {
    for (std::size_t i = 0; i < kInputs; ++i)
      if (cells[i] != "-" && (cells[i] == "yes") != inputs.*kColumns[i]) return false;
    return true;
  }
};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    if (first == cell.npos) continue;
    cells.push_back(cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return cells;
}

std::vector<Row> read_table() {
  std::ifstream in(std::string(WEIR_TEST_DATA) + "/../../docs/policy.md");
  std::vector<Row> rows;
  bool header = false;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("| ")) continue;
    const auto cells = cells_of(line);
    if (cells.size() != kInputs + 3) continue;
    if (cells[0] == "#") {
      for (std::size_t i = 0; i < kInputs; ++i) EXPECT_EQ(cells[i + 1], kNames[i]);
      header = true;
      continue;
    }
    Row row{.number = std::stoul(cells[0]), .cells = {}, .answer = cells[kInputs + 1],
            .why = cells[kInputs + 2]};
    for (std::size_t i = 0; i < kInputs; ++i) row.cells[i] = cells[i + 1];
    rows.push_back(std::move(row));
  }
  EXPECT_TRUE(header);
  return rows;
}

PolicyInputs inputs_of(unsigned bits) {
  PolicyInputs inputs;
  for (std::size_t i = 0; i < kInputs; ++i) inputs.*kColumns[i] = (bits >> i & 1) != 0;
  return inputs;
}

TEST(PolicyTable, EveryCombinationIsDecidedAsThePageSays) {
  const std::vector<Row> rows = read_table();
  ASSERT_GE(rows.size(), 14u);
  std::map<std::size_t, unsigned> used;
  for (unsigned bits = 0; bits < 1U << kInputs; ++bits) {
    const PolicyInputs inputs = inputs_of(bits);
    const auto row = std::ranges::find_if(rows, [&](const Row& r) { return r.holds(inputs); });
    ASSERT_NE(row, rows.end()) << bits;
    const PolicyDecision got = decide(inputs);
    EXPECT_EQ(to_string(got.answer), row->answer) << "row " << row->number << ", inputs " << bits;
    EXPECT_EQ(got.row, row->number) << bits;
    EXPECT_FALSE(got.because.empty());
    ++used[got.row];
  }
  for (const Row& row : rows) {
    EXPECT_NE(used[row.number], 0u) << "row " << row.number << " never decides";
    EXPECT_GT(row.why.size(), 10u) << "row " << row.number << " says no why";
  }
}

// The rows say the same in any order but for the first: each combination has one row besides.
TEST(PolicyTable, RowsDoNotOverlap) {
  const std::vector<Row> rows = read_table();
  for (unsigned bits = 0; bits < 1U << kInputs; ++bits) {
    std::size_t holding = 0;
    for (const Row& row : rows) holding += row.number != 1 && row.holds(inputs_of(bits)) ? 1 : 0;
    EXPECT_EQ(holding, 1u) << bits;
  }
}

// Nothing but a unit makes anybody look up an address.
TEST(Policy, OnlyACoveredDeviceLooksUp) {
  for (unsigned bits = 0; bits < 1U << kInputs; ++bits) {
    const PolicyInputs inputs = inputs_of(bits);
    const PolicyDecision got = decide(inputs);
    if (got.looks_up()) {
      EXPECT_TRUE(inputs.covered && inputs.negotiated && !inputs.legacy) << bits;
    }
    if (inputs.covered && got.runs()) {
      EXPECT_TRUE(got.looks_up()) << bits;
    }
  }
}

// ---- While it runs

constexpr Requester kFunction = Requester::from_bdf(0, 4, 0);
constexpr PoolId kPool{3};
constexpr PolicyInputs kModern{.offered = true, .negotiated = true};

TEST(DevicePolicy, AGuestTurnsProtected) {
  DevicePolicy policy(kFunction, kPool, kModern);
  EXPECT_EQ(policy.decision().row, 14u);
  PolicyInputs next = kModern;
  next.protected_guest = true;
  const auto change = policy.update(next);
  ASSERT_TRUE(change) << change.error();
  EXPECT_TRUE(change->empty()) << "it stays on bypass; which pages is the guest's word";
  EXPECT_EQ(policy.decision().row, 13u);
  next.window = true;
  const auto window = policy.update(next);
  ASSERT_TRUE(window);
  EXPECT_EQ(*window, (Transition{.confinements = {{.function = kFunction, .pool = kPool}}}));
  EXPECT_TRUE(policy.update(next)->empty()) << "it has it";
  EXPECT_EQ(policy.update(kModern).error(),
            "only a machine reset gives the function more than its window");
  EXPECT_EQ(policy.decision().answer, Answer::kWindow) << "as it was";
}

TEST(DevicePolicy, ADriverThatDoesNotUseItsDmaApiNeedsAReset) {
  DevicePolicy policy(kFunction, kPool, {.offered = true});
  const auto change = policy.update({.offered = true, .protected_guest = true});
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error(), "the driver would pass addresses of private pages");
  EXPECT_EQ(policy.decision().row, 14u);
}

TEST(DevicePolicy, UnitsComeAndGoAtAResetOnly) {
  DevicePolicy policy(kFunction, kPool, kModern);
  PolicyInputs next = kModern;
  next.covered = true;
  EXPECT_FALSE(policy.update(next));
  DevicePolicy without(kFunction, std::nullopt, kModern);
  next = kModern;
  next.window = true;
  EXPECT_EQ(without.update(next).error(), "no pool was named for the device's window");
}

// Features are negotiated after the machine was put together.
TEST(DevicePolicy, NegotiationUnderAUnit) {
  DevicePolicy policy(kFunction, kPool, {.covered = true, .offered = true});
  EXPECT_EQ(policy.decision().answer, Answer::kFeaturesRefused);
  ASSERT_TRUE(policy.update({.covered = true, .offered = true, .negotiated = true}));
  EXPECT_EQ(policy.decision().answer, Answer::kTranslate);
}

}  // namespace
}  // namespace weir
