// SPDX-License-Identifier: Apache-2.0
//
// From the oracle's words to the library's, and its walks as templates over the parts that a mutant
// replaces: formats, readers, the way down the lower stage.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "pagetables/amd_v1.h"
#include "pagetables/nested.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "tests/compare/observed.h"

namespace weir::compare {

[[nodiscard]] pagetables::VtdSecondStage::Rules rules_of(const model::VtdSecondStage& tables);
[[nodiscard]] pagetables::X86FirstStage::Rules rules_of(const model::X86FirstStage& tables);
[[nodiscard]] pagetables::AmdV1::Rules rules_of(const model::AmdV1& tables);
// With the modes of the requester that `upper` carries in the oracle.
[[nodiscard]] Ask ask_of(const model::Format& upper, const model::Ask& ask);

template <typename Format>
using ModelOf =
    std::conditional_t<std::is_base_of_v<pagetables::VtdSecondStage, Format>, model::VtdSecondStage,
                       std::conditional_t<std::is_base_of_v<pagetables::AmdV1, Format>,
                                          model::AmdV1, model::X86FirstStage>>;

// Tables of the library's `Format`, as the oracle describes them.
template <typename Format>
struct Tables {
  explicit Tables(const model::Format& from)
      : rules(rules_of(std::get<ModelOf<Format>>(from))),
        root(model::root_of(from)),
        levels(model::levels_of(from)) {}

  typename Format::Rules rules;
  std::uint64_t root;
  unsigned levels;
};

[[nodiscard]] inline Observed observed(const pagetables::WalkFailure& failure) {
  return {.references = failure.references,
          .stage = failure.stage,
          .level = failure.level,
          .entry_at = failure.entry_at,
          .reason = failure.reason};
}

// One stage alone.
template <typename Format, typename Reader = pagetables::DirectReader>
[[nodiscard]] Observed walk_one(const model::World& world, const pagetables::PhysicalMemory& memory,
                                const model::Ask& ask) {
  const Tables<Format> tables(world.upper);
  Reader reader(memory);
  const auto leaf = pagetables::walk<Format>(tables.rules, reader, Gpa(tables.root), tables.levels,
                                             ask.input, ask_of(world.upper, ask));
  if (!leaf) {
    Observed o = observed(leaf.error());
    o.stage =
        std::holds_alternative<model::X86FirstStage>(world.upper) ? Stage::kStage1 : Stage::kStage2;
    return o;
  }
  return {.ok = true,
          .references = leaf->references,
          .output = leaf->translate(ask.input).value(),
          .page_lg2 = leaf->page_lg2,
          .permissions = leaf->permissions,
          .cacheable = leaf->cacheable()};
}

// A lower stage without caches.
template <typename Format, typename Reader = pagetables::DirectReader>
class LowerStage {
 public:
  LowerStage(const model::Format& format, const pagetables::PhysicalMemory& memory)
      : tables_(format), memory_(memory) {}

  [[nodiscard]] pagetables::WalkResult<Gpa> operator()(std::uint64_t address, const Ask& ask) {
    Reader reader(memory_);
    auto leaf = pagetables::walk<Format>(tables_.rules, reader, Gpa(tables_.root), tables_.levels,
                                         address, ask);
    if (!leaf) leaf.error().stage = Stage::kStage2;
    return leaf;
  }

 private:
  Tables<Format> tables_;
  const pagetables::PhysicalMemory& memory_;
};

template <typename Leaf>
[[nodiscard]] Observed observed_nested(const Leaf& leaf, std::uint64_t input) {
  return {.ok = true,
          .references = leaf.references(),
          .output = leaf.translate(input).value(),
          .page_lg2 = leaf.page_lg2(),
          .permissions = leaf.permissions(),
          .cacheable = leaf.cacheable()};
}

template <typename Upper, typename Lower, typename Down = LowerStage<Lower>>
[[nodiscard]] Observed walk_nested(const model::World& world,
                                   const pagetables::PhysicalMemory& memory,
                                   const model::Ask& ask) {
  const Tables<Upper> tables(world.upper);
  pagetables::DirectReader reader(memory);
  const auto leaf = pagetables::nested_walk<Upper, Ipa>(
      tables.rules, Ipa(tables.root), tables.levels, Down(*world.lower, memory), reader, ask.input,
      ask_of(world.upper, ask));
  return leaf ? observed_nested(*leaf, ask.input) : observed(leaf.error());
}

}  // namespace weir::compare
