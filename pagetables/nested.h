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

#include "pagetables/detail/plain_way.h"
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
  // Both stages as one: the page of page_lg2() around `input`, with stage 1's entry.
  [[nodiscard]] constexpr Leaf<Lower> whole(std::uint64_t input) const {
    const std::uint8_t lg2 = page_lg2();
    return {.page = translate(input).page_base(lg2),
            .page_lg2 = lg2,
            .level = upper.level,
            .permissions = permissions(),
            .dirty_owed = upper.dirty_owed || lower.dirty_owed,
            .entry = upper.entry,
            .references = references()};
  }
};

namespace detail {

// The shortest way: the last table of stage 1 is known and where stage 2 puts it too, its entry is
// plain, and `lower` (address, Ask, leaf) -> bool has the page at hand. What go_straight would do,
// without its turns. False: nothing was done.
template <RadixFormat UpperFormat, typename UpperSpace, typename Lower, TableReader LowerReader,
          typename Cache>
[[nodiscard, gnu::always_inline]] inline bool walk_last_step(
    const typename UpperFormat::Rules& rules, Lower&& lower, LowerReader& memory,
    std::uint64_t input, const Ask& ask, Cache& cache, Leaf<UpperSpace>& leaf,
    Leaf<typename LowerReader::Space>& lowest) {
  if constexpr (PlainFormat<UpperFormat> && ReadsAtOnce<LowerReader>) {
    KnownTable<UpperSpace> known;
    if (!cache.find(input, known) || known.level != 1 || known.below == kNotKnown) return false;
    std::uint64_t entry = 0;
    const std::uint64_t offset = entry_offset<UpperFormat, UpperSpace>(input, 1);
    if (!memory.load_at_once(typename LowerReader::Space(known.below + offset), entry))
      return false;
    const PlainEntries plain = UpperFormat::plain_entries(ask, rules);
    if ((entry & plain.leaf_mask) != plain.leaf_bits) return false;
    const Permissions permissions = known.permissions & UpperFormat::permissions_of(entry, rules);
    if (UpperFormat::refuse(known.permissions, ask) || !known.permissions.allows(ask.access))
      return false;
    const std::uint64_t dirty = UpperFormat::dirty_bits(rules);
    leaf.page = UpperSpace(entry & UpperFormat::kPlainAddress);
    leaf.page_lg2 = kPageLg2;
    leaf.level = 1;
    leaf.permissions = permissions;
    leaf.dirty_owed = (entry & dirty) != dirty;
    leaf.entry = entry;
    leaf.references = 1;
    return lower(leaf.translate(input).value(), Ask{.access = ask.access}, lowest);
  } else {
    return false;
  }
}

// What nested_walk cannot finish on the straight way.
template <RadixFormat UpperFormat, typename UpperSpace, typename LowerWalk, TableReader LowerReader,
          typename Cache>
[[nodiscard,
  gnu::noinline]] Result<NestedLeaf<UpperSpace, typename LowerReader::Space>, WalkFailure>
nested_walk_on(const Question<UpperFormat, UpperSpace>& question, LowerWalk& lower,
               LowerReader& memory, Way<UpperFormat, UpperSpace>& way,
               FoundTables<UpperFormat, UpperSpace>& found, Cache& cache) {
  using LowerSpace = typename LowerReader::Space;
  TranslatedReader<UpperSpace, LowerWalk, LowerReader> reader(lower, memory);
  std::optional<Leaf<LowerSpace>> lowest;
  std::uint32_t lowest_references = 0;
  // The requester's privileges are stage 1's business; stage 2 judges the access alone.
  const auto onward = [&](const Leaf<UpperSpace>& leaf) -> std::optional<WalkFailure> {
    const auto landed =
        lower(leaf.translate(question.input).value(), Ask{.access = question.ask.access});
    lowest_references += landed ? landed->references : landed.error().references;
    if (!landed) {
      WalkFailure failure = landed.error();
      failure.references = 0;  // counted below
      return failure;
    }
    lowest = *landed;
    return std::nullopt;
  };
  const auto upper = walk_on(question, reader, way, found, cache, onward);
  if (!upper) {
    WalkFailure failure = upper.error();
    if (failure.stage == Stage::kNone) failure.stage = Stage::kStage1;
    failure.references += lowest_references;
    return Failure{failure};
  }
  lowest->references = lowest_references;
  return NestedLeaf<UpperSpace, LowerSpace>{*upper, *lowest};
}

// From the root, or from the last table that is known.
template <RadixFormat UpperFormat, typename UpperSpace, typename LowerWalk, TableReader LowerReader,
          typename Cache>
[[gnu::noinline]] void nested_walk_from(
    const Question<UpperFormat, UpperSpace>& question, LowerWalk& lower, LowerReader& memory,
    Cache& cache,
    Result<NestedLeaf<UpperSpace, typename LowerReader::Space>, WalkFailure>& result) {
  if (const auto refused = UpperFormat::refuse_input(question.input, question.levels))
      [[unlikely]] {
    result = Failure{WalkFailure{.reason = *refused, .stage = Stage::kStage1}};
    return;
  }
  TranslatedReader<UpperSpace, LowerWalk, LowerReader> reader(lower, memory);
  FoundTables<UpperFormat, UpperSpace> found;
  Way<UpperFormat, UpperSpace> way(question, cache);
  Leaf<UpperSpace> leaf;
  Leaf<typename LowerReader::Space> lowest;
  if (go_straight(question, reader, way, found, leaf) &&
      translate_at_once(lower, leaf.translate(question.input).value(),
                        Ask{.access = question.ask.access}, lowest)) [[likely]] {
    found.tell(question.input, cache);
    copy(leaf, result->upper);
    copy(lowest, result->lower);
  } else {
    // Where stage 1 is at its end and stage 2 is not, the leaf entry is read again.
    Way<UpperFormat, UpperSpace> so_far = way.again();
    result = nested_walk_on(question, lower, memory, so_far, found, cache);
  }
}

}  // namespace detail

// `lower`: (std::uint64_t address, const Ask&) -> WalkResult<LowerReader::Space>, failures with
// their stage set to kStage2 (or kHostMap). Failures of the upper stage come out with stage
// kStage1.
template <RadixFormat UpperFormat, typename UpperSpace, typename LowerWalk, TableReader LowerReader,
          WalkCache<UpperSpace> Cache = NoWalkCache::For<UpperSpace>>
[[nodiscard, gnu::always_inline]] inline Result<NestedLeaf<UpperSpace, typename LowerReader::Space>,
                                                WalkFailure>
nested_walk(const typename UpperFormat::Rules& rules, UpperSpace root, unsigned levels,
            LowerWalk&& lower, LowerReader& memory, std::uint64_t input, const Ask& ask,
            Cache&& cache = {}) {
  using LowerSpace = typename LowerReader::Space;
  // The only thing returned, so that it is made where the caller wants it.
  Result<NestedLeaf<UpperSpace, LowerSpace>, WalkFailure> result(std::in_place);
  Leaf<UpperSpace> leaf;
  Leaf<LowerSpace> lowest;
  const auto below = [&lower](std::uint64_t address, const Ask& what, Leaf<LowerSpace>& to) {
    return translate_at_once(lower, address, what, to);
  };
  if (!cache.off() && detail::walk_last_step<UpperFormat>(rules, below, memory, input, ask, cache,
                                                          leaf, lowest)) [[likely]] {
    detail::copy(leaf, result->upper);
    detail::copy(lowest, result->lower);
  } else {
    // Copied, so that what is asked stays in registers above.
    const Ask asked{ask.access, ask.execute, ask.privileged, ask.write_protect};
    const detail::Question<UpperFormat, UpperSpace> question{rules, root, levels, input, asked};
    detail::nested_walk_from(question, lower, memory, cache, result);
  }
  return result;
}

// The same where the caches have all but the last entry of stage 1, with NestedLeaf::whole as the
// answer: of `lower`, what it knows (address, Ask, leaf) -> bool. All of it stays in registers, and
// what it is given can too, if it is given to nobody else. False: nothing was done; ask
// nested_walk_plain or nested_walk.
template <RadixFormat UpperFormat, typename UpperSpace, typename LowerWalk, TableReader LowerReader,
          WalkCache<UpperSpace> Cache>
[[nodiscard, gnu::always_inline]] inline bool nested_walk_at_once(
    const typename UpperFormat::Rules& rules, const LowerWalk& lower, LowerReader& memory,
    std::uint64_t input, const Ask& ask, Cache& cache, Leaf<typename LowerReader::Space>& whole) {
  using LowerSpace = typename LowerReader::Space;
  NestedLeaf<UpperSpace, LowerSpace> leaf;
  const auto known = [&lower](std::uint64_t address, const Ask& what, Leaf<LowerSpace>& to) {
    return lower.known(address, what, to);
  };
  if (cache.off() || !detail::walk_last_step<UpperFormat>(rules, known, memory, input, ask, cache,
                                                          leaf.upper, leaf.lower)) [[unlikely]]
    return false;
  detail::copy(leaf.whole(input), whole);
  return true;
}

// The same for who has no caches, where every entry is plain (detail/plain_way.h). `lower` offers
// what is asked of it here: whether it refuses an address before any table is read, and its tables
// for an ask. False: nothing was done; ask nested_walk.
template <RadixFormat UpperFormat, typename UpperSpace, typename LowerWalk, typename LowerSpace>
[[nodiscard]] bool nested_walk_plain(const typename UpperFormat::Rules& rules, UpperSpace root,
                                     unsigned levels, const LowerWalk& lower, std::uint64_t input,
                                     const Ask& ask, Leaf<LowerSpace>& whole) {
  if constexpr (PlainFormat<UpperFormat> && requires { lower.plain_tables(ask); }) {
    if (UpperFormat::refuse_input(input, levels)) [[unlikely]]
      return false;
    const PlainEntries plain = UpperFormat::plain_entries(ask, rules);
    const auto tables = lower.plain_tables(Ask{.access = Access::kRead});
    std::uint64_t at = root.value();
    std::uint64_t together = ~std::uint64_t{0};  // as in detail::go_step_by_step
    std::uint64_t entry = 0;
    for (unsigned level = levels;; --level) {
      at += detail::entry_offset<UpperFormat, UpperSpace>(input, level);
      if (lower.refuses(at)) [[unlikely]]
        return false;
      const auto below = tables.descend(at);
      if (below.level != 0 || !tables.load(below.page() + (at & (kPageSize - 1)), entry))
          [[unlikely]]
        return false;
      const bool last = level == 1;
      if ((entry & (last ? plain.leaf_mask : plain.table_mask)) !=
          (last ? plain.leaf_bits : plain.table_bits | UpperFormat::below_bits(level))) [[unlikely]]
        return false;
      together &= entry ^ UpperFormat::kDenyingBits;
      at = entry & UpperFormat::kPlainAddress;
      if (last) break;
    }
    at |= input & (kPageSize - 1);
    if (lower.refuses(at)) [[unlikely]]
      return false;
    // The requester's privileges are stage 1's business; stage 2 judges the access alone.
    const auto landing = lower.plain_tables(Ask{.access = ask.access});
    const auto landed = landing.descend(at);
    if (landed.level != 0) [[unlikely]]
      return false;
    const std::uint64_t dirty = UpperFormat::dirty_bits(rules);
    whole.page = landed.page();
    whole.page_lg2 = kPageLg2;
    whole.level = 1;
    whole.permissions = landing.permissions(landed) &
                        UpperFormat::permissions_of(together ^ UpperFormat::kDenyingBits, rules);
    whole.dirty_owed = (entry & dirty) != dirty || landing.dirty_owed(landed);
    whole.entry = entry;
    whole.references = levels + (levels + 1) * landing.levels();
    return true;
  }
  return false;
}

}  // namespace weir::pagetables
