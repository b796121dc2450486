// SPDX-License-Identifier: Apache-2.0
//
// The nested walk with its joints open: put together as pagetables::nested_walk does it, over the
// library's own walk, but every decision is a constant that a mutant sets otherwise. With none set
// it is a control and says what nested_walk says.
#pragma once

#include <optional>
#include <utility>

#include "tests/compare/walks.h"

namespace weir::compare {

struct Joints {
  static constexpr bool kTablesTranslated = true;
  static constexpr Access kTableAccess = Access::kRead;
  static constexpr bool kUpdatesTranslated = true;
  static constexpr Access kUpdateAccess = Access::kReadWrite;
  static constexpr bool kCompareExchange = true;
  static constexpr bool kUpdatesAfterOutput = true;
  static constexpr bool kLowerStageNamed = true;
  static constexpr bool kLowerReferencesCounted = true;
  static constexpr bool kOutputTranslated = true;
  static constexpr bool kOutputAccessAsAsked = true;
  static constexpr bool kPrivilegePassedDown = false;
  static constexpr bool kPageOfBoth = true;
  static constexpr bool kPermissionsOfBoth = true;
  static constexpr bool kCacheableOfBoth = true;
};

template <typename Lower, typename Parts>
class JointedReader {
 public:
  using Space = Ipa;
  using Failed = pagetables::WalkFailure;

  JointedReader(const model::World& world, const pagetables::PhysicalMemory& memory)
      : down_(*world.lower, memory), physical_(memory), memory_(memory) {}

  [[nodiscard]] Result<std::uint64_t, Failed> load(Ipa at) {
    const auto gpa = translate(at, Parts::kTableAccess, Parts::kTablesTranslated);
    if (!gpa) return Failure{gpa.error()};
    return memory_.load(*gpa);
  }
  [[nodiscard]] Result<bool, Failed> update(Ipa at, std::uint64_t seen, std::uint64_t desired) {
    const auto gpa = translate(at, Parts::kUpdateAccess, Parts::kUpdatesTranslated);
    if (!gpa) return Failure{gpa.error()};
    if constexpr (Parts::kCompareExchange) return memory_.update(*gpa, seen, desired);
    if (!physical_.store64(*gpa, desired).ok())
      return Failure{Failed{.reason = FaultReason::kUpdateFailed}};
    return true;
  }
  [[nodiscard]] std::uint32_t take_references() {
    const std::uint32_t taken = std::exchange(references_, 0);
    return Parts::kLowerReferencesCounted ? taken : 0;
  }

  // As the walk below answers, its failures with the name that the mutant leaves them.
  [[nodiscard]] pagetables::WalkResult<Gpa> below(std::uint64_t address, const Ask& ask) {
    auto leaf = down_(address, ask);
    if (!leaf && !Parts::kLowerStageNamed) leaf.error().stage = Stage::kStage1;
    return leaf;
  }

 private:
  [[nodiscard]] Result<Gpa, Failed> translate(Ipa at, Access access, bool translated) {
    if (!translated) return Gpa(at.value());
    const auto leaf = below(at.value(), Ask{.access = access});
    references_ += leaf ? leaf->references : leaf.error().references;
    if (!leaf) return Failure{leaf.error()};
    return leaf->translate(at.value());
  }

  LowerStage<Lower> down_;
  const pagetables::PhysicalMemory& physical_;
  pagetables::DirectReader memory_;
  std::uint32_t references_ = 0;
};

template <typename Parts>
[[nodiscard]] Observed answer(const pagetables::Leaf<Ipa>& upper,
                              const pagetables::Leaf<Gpa>& lower, std::uint64_t input) {
  const pagetables::NestedLeaf<Ipa, Gpa> both{upper, lower};
  Observed o = observed_nested(both, input);
  if (!Parts::kPageOfBoth) o.page_lg2 = upper.page_lg2;
  if (!Parts::kPermissionsOfBoth) o.permissions = upper.permissions;
  if (!Parts::kCacheableOfBoth) o.cacheable = upper.cacheable() & lower.permissions;
  return o;
}

template <typename Upper, typename Lower, typename Parts>
[[nodiscard]] Observed jointed_walk(const model::World& world,
                                    const pagetables::PhysicalMemory& memory,
                                    const model::Ask& asked) {
  using pagetables::Leaf;
  using pagetables::WalkFailure;
  const Tables<Upper> tables(world.upper);
  const Ask ask = ask_of(world.upper, asked);
  JointedReader<Lower, Parts> reader(world, memory);
  std::optional<Leaf<Gpa>> lowest;
  std::uint32_t lowest_references = 0;
  const auto onward = [&](const Leaf<Ipa>& leaf) -> std::optional<WalkFailure> {
    Ask below{.access = Parts::kOutputAccessAsAsked ? ask.access : Access::kRead};
    if (Parts::kPrivilegePassedDown) below.privileged = ask.privileged;
    const auto landed = reader.below(leaf.translate(asked.input).value(), below);
    lowest_references += landed ? landed->references : landed.error().references;
    if (landed) {
      lowest = *landed;
      return std::nullopt;
    }
    WalkFailure failure = landed.error();
    failure.references = 0;
    return failure;
  };
  const auto later = [](const Leaf<Ipa>&) -> std::optional<WalkFailure> { return std::nullopt; };
  const auto walk = [&](const auto& accept) {
    return pagetables::walk<Upper>(tables.rules, reader, Ipa(tables.root), tables.levels,
                                   asked.input, ask, pagetables::NoWalkCache::For<Ipa>{}, accept);
  };
  const auto stopped = [&](WalkFailure failure, std::uint32_t more) {
    if (failure.stage == Stage::kNone) failure.stage = Stage::kStage1;
    failure.references += more;
    return observed(failure);
  };
  constexpr bool kOnwardFirst = Parts::kUpdatesAfterOutput && Parts::kOutputTranslated;
  const auto upper = kOnwardFirst ? walk(onward) : walk(later);
  if (!upper) return stopped(upper.error(), lowest_references);
  if (!Parts::kOutputTranslated)
    lowest = Leaf<Gpa>{.page = Gpa(upper->translate(asked.input).value() & ~bit_mask(11, 0)),
                       .page_lg2 = upper->page_lg2,
                       .permissions = Permissions::all()};
  else if (!kOnwardFirst)
    if (const auto failure = onward(*upper))
      return stopped(*failure, upper->references + lowest_references);
  lowest->references = lowest_references;
  return answer<Parts>(*upper, *lowest, asked.input);
}

}  // namespace weir::compare
