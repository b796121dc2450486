// SPDX-License-Identifier: Apache-2.0
//
// The library against the oracle in small worlds, by exhaustion.

#include "tests/model/small_worlds.h"

#include <gtest/gtest.h>

#include <iostream>

#include "tests/compare/compare.h"
#include "tests/model/nested_small_worlds.h"

namespace weir::compare {
namespace {

class SmallWorlds : public testing::Test {
 protected:
  static std::vector<model::Format> formats() {
    std::vector<model::Format> all = model::small_world_formats();
    for (model::Format& format : all) leave_the_tables_alone(format);
    return all;
  }

  // Compares a visit. The entries that small worlds change are the first few of each table.
  void visit(const model::World& world, const model::Ask& ask) {
    constexpr std::size_t kChanged = 6;
    if (difference_) return;
    if (!machine_) machine_.emplace(world.image, Machine::Backing::kHostMemory);
    machine_->refresh(world.image, kChanged);
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

// Under a sanitizer a few of the pairs: it is memory that it looks after, and slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kPairStride = 5;
#else
constexpr std::size_t kPairStride = 1;
#endif

TEST_F(SmallWorlds, AnEntryOfEachStageTakesEveryCombination) {
  const auto inputs = long_run() ? model::Inputs::kZeroAndOneDigits : model::Inputs::kZeroDigits;
  const auto pairs = model::nested_small_world_formats();
  for (std::size_t n = 0; n < pairs.size(); n += kPairStride) {
    auto [upper, lower] = pairs[n];
    leave_the_tables_alone(upper);
    leave_the_tables_alone(lower);
    (void)model::visit_nested_worlds(
        upper, lower, inputs, [this](const auto& world, const auto& ask) { visit(world, ask); });
    ASSERT_FALSE(difference_) << *difference_;
    next_format();
  }
  std::cout << tally_.table("an entry of each stage");
}

}  // namespace
}  // namespace weir::compare
