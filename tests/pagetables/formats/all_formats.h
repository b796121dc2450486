// SPDX-License-Identifier: Apache-2.0
//
// The formats that the conformance suite runs over, each with every number of levels, every page
// size and, nested, over every other one. Adding a format is adding its line.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/pagetables/formats/amd_v1_facts.h"
#include "tests/pagetables/formats/tiny_facts.h"
#include "tests/pagetables/formats/vtd_second_stage_facts.h"
#include "tests/pagetables/formats/x86_first_stage_facts.h"

namespace weir::pagetables::facts {

using AllFormats = testing::Types<  //
    VtdSecondStageFacts,            //
    X86FirstStageFacts,             //
    X86FirstStageUnsignedFacts,     //
    AmdV1Facts,                     //
    TinyFacts>;

template <typename UpperFacts, typename LowerFacts>
struct Pair {
  using Upper = UpperFacts;
  using Lower = LowerFacts;
};

namespace detail {
template <typename... Ts>
struct PairsOf {
  template <typename Upper>
  static auto with(testing::Types<Ts...>) -> testing::Types<Pair<Upper, Ts>...>;
};
template <typename... As, typename... Bs>
auto operator+(testing::Types<As...>, testing::Types<Bs...>) -> testing::Types<As..., Bs...>;
template <typename... Ts>
auto all_pairs(testing::Types<Ts...> all)
    -> decltype((decltype(PairsOf<Ts...>::template with<Ts>(all)){} + ...));
}  // namespace detail

// Every stage 1 over every stage 2.
using AllPairs = decltype(detail::all_pairs(AllFormats{}));

struct FormatName {
  template <typename Facts>
  static std::string GetName(int) {
    return std::string(Facts::kName);
  }
};
struct PairName {
  template <typename Formats>
  static std::string GetName(int) {
    return std::string(Formats::Upper::kName) + "_over_" + std::string(Formats::Lower::kName);
  }
};

}  // namespace weir::pagetables::facts
