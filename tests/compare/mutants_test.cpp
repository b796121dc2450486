// SPDX-License-Identifier: Apache-2.0
//
// The comparison catches every mutant within the number of requests that it makes of the library in
// an ordinary run; and nothing of the mutants' plumbing differs by itself.

#include "tests/compare/mutants.h"

#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/compare/compare.h"

namespace weir::compare {
namespace {

std::vector<Mutant> all_mutants() {
  std::vector<Mutant> all;
  for (const auto& some :
       {vtd_second_stage_mutants(), x86_first_stage_mutants(), amd_v1_mutants(), nested_mutants()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

Outcome run(const Mutant& mutant) {
  const std::uint64_t budget = mutant.lower ? 10'000 : 100'000;
  return run({.upper = mutant.upper, .lower = mutant.lower, .requests = budget}, mutant.subject);
}

const auto kName = [](const testing::TestParamInfo<Mutant>& mutant) {
  return std::string(mutant.param.name);
};

class Mutants : public testing::TestWithParam<Mutant> {};

TEST_P(Mutants, IsCaught) {
  const Outcome outcome = run(GetParam());
  ASSERT_TRUE(outcome.difference) << "mutant " << GetParam().name << ": not caught in "
                                  << outcome.tally.asked() << " requests";
  std::cout << "mutant " << GetParam().name << ": caught after " << outcome.tally.asked()
            << " requests\n";
}

INSTANTIATE_TEST_SUITE_P(All, Mutants, testing::ValuesIn(all_mutants()), kName);

class Controls : public testing::TestWithParam<Mutant> {};

TEST_P(Controls, Agrees) {
  const Outcome outcome = run(GetParam());
  EXPECT_FALSE(outcome.difference) << *outcome.difference;
}

INSTANTIATE_TEST_SUITE_P(All, Controls, testing::ValuesIn(controls()), kName);

TEST(Mutants, AreTwentyAtLeast) { EXPECT_GE(all_mutants().size(), 20U); }

}  // namespace
}  // namespace weir::compare
