// SPDX-License-Identifier: Apache-2.0
//
// Stage 1 over stage 2: the upper walk reads its tables through the lower one, and its answer is
// translated once more. Any format over any format; what the lower stage is (tables, with or
// without caches, over a host map) is the caller's callable.
//
// Each translation of the lower stage is whole in itself and sets that stage's accessed and dirty
// bits, as its caches take for granted; those of the upper stage are set when the lower one has let
// its output through, so that no page of the guest looks written to because of a refused write.
//
// Any thread; bounded like the walks it is made of.
#pragma once

#include <algorithm>
#include <optional>
#include <type_traits>

#include "pagetables/readers.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

template <typename Upper, typename Lower>
struct NestedLeaf {
  Leaf<Upper> upper;  // what stage 1 said, its entry with its memory type bits included
  Leaf<Lower> lower;  // what stage 2 made of that address

  // The largest page around the input on which the whole translation is uniform.
  [[nodiscard]] constexpr std::uint8_t page_lg2() const {
    return std::min(upper.page_lg2, lower.page_lg2);
  }
  [[nodiscard]] constexpr Permissions permissions() const {
    return upper.permissions & lower.permissions;
  }
  [[nodiscard]] constexpr Permissions cacheable() const {
    return upper.cacheable() & lower.cacheable();
  }
  [[nodiscard]] constexpr Lower translate(std::uint64_t input) const {
    return lower.translate(upper.translate(input).value());
  }
  [[nodiscard]] constexpr std::uint32_t references() const {
    return upper.references + lower.references;
  }
};

// `lower`: (std::uint64_t address, const Ask&) -> WalkResult<LowerReader::Space>, failures with
// their stage set to kStage2 (or kHostMap). Failures of the upper stage come out with stage
// kStage1.
template <RadixFormat UpperFormat, typename UpperSpace, typename LowerWalk, TableReader LowerReader,
          WalkCache<UpperSpace> Cache = NoWalkCache::For<UpperSpace>>
[[nodiscard]] Result<NestedLeaf<UpperSpace, typename LowerReader::Space>, WalkFailure> nested_walk(
    const typename UpperFormat::Rules& rules, UpperSpace root, unsigned levels, LowerWalk&& lower,
    LowerReader& memory, std::uint64_t input, const Ask& ask, Cache&& cache = {}) {
  using LowerSpace = typename LowerReader::Space;
  TranslatedReader<UpperSpace, std::remove_reference_t<LowerWalk>, LowerReader> reader(lower,
                                                                                       memory);
  std::optional<Leaf<LowerSpace>> lowest;
  std::uint32_t lowest_references = 0;
  // The requester's privileges are stage 1's business; stage 2 judges the access alone.
  const auto onward = [&](const Leaf<UpperSpace>& leaf) -> std::optional<WalkFailure> {
    const auto landed = lower(leaf.translate(input).value(), Ask{.access = ask.access});
    lowest_references += landed ? landed->references : landed.error().references;
    if (!landed) {
      WalkFailure failure = landed.error();
      failure.references = 0;  // counted below
      return failure;
    }
    lowest = *landed;
    return std::nullopt;
  };
  const auto upper = walk<UpperFormat>(rules, reader, root, levels, input, ask, cache, onward);
  if (!upper) {
    WalkFailure failure = upper.error();
    if (failure.stage == Stage::kNone) failure.stage = Stage::kStage1;
    failure.references += lowest_references;
    return Failure{failure};
  }
  lowest->references = lowest_references;
  return NestedLeaf<UpperSpace, LowerSpace>{*upper, *lowest};
}

}  // namespace weir::pagetables
