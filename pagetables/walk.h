// SPDX-License-Identifier: Apache-2.0
//
// The one radix walk. Memory in, leaf or exact stopping entry out. A format (one header each,
// listed in docs/adding-a-format.md) says what an entry means; a reader says how to fetch one,
// which is the seam for nesting: a reader that is itself translated by a lower stage turns this
// walk into the upper stage of a nested one (nested.h); a walk cache may let it start below the
// root (radix.h).
//
// A walk begins on the straight way, where every entry is a load and allows what is asked, and
// which is short enough to stay in registers. The first entry that is more than that is left to the
// whole way, which goes on from there: exact reasons, skipped levels, accessed and dirty bits.
//
// A stage's table pointers and its output lie in the same address space, the reader's. The walk
// writes only accessed and dirty bits, and those only where the format's rules ask for them. Any
// thread; bounded work whatever the tables hold.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/bits.h"
#include "pagetables/detail/plain_way.h"
#include "pagetables/detail/way.h"
#include "pagetables/radix.h"

namespace weir::pagetables {

// What else has to agree before a walk's accessed and dirty bits are set: nothing.
struct AcceptAny {
  template <typename Space>
  [[nodiscard]] std::optional<WalkFailure> operator()(const Leaf<Space>&) const {
    return std::nullopt;
  }
};

namespace detail {

// Reads the entry at `offset` of the table where `way` is. What a reader that translates says of
// the table's place is kept, also where it could not read.
template <RadixFormat Format, TableReader Reader>
[[nodiscard, gnu::always_inline]] inline bool load_straight(
    const Question<Format, typename Reader::Space>& question, Reader& reader,
    Way<Format, typename Reader::Space>& way, FoundTables<Format, typename Reader::Space>& found,
    std::uint64_t offset, std::uint64_t& entry) {
  auto& here = way.here;
  if constexpr (TranslatesAtOnce<Reader>) {
    if (here.below != kNotKnown) {
      std::uint64_t below = here.below + offset;
      return reader.load_at_once(here.table + offset, below, entry, way.references);
    }
    std::uint64_t below = kNotKnown;
    const bool loaded = reader.load_at_once(here.table + offset, below, entry, way.references);
    if (below != kNotKnown) {
      here.below = below - offset;
      if (way.remembers) found.note_below(here, question.levels);
    }
    return loaded;
  } else if constexpr (ReadsAtOnce<Reader>) {
    return reader.load_at_once(here.table + offset, entry);
  } else {
    return false;
  }
}

// The straight way down. True: `leaf` is the answer, and `way` ends at its table. False: the whole
// way has to go on from where `way` is; whatever was read for it is counted, and will not be read
// again but for one entry.
template <RadixFormat Format, TableReader Reader>
[[nodiscard, gnu::always_inline]] inline bool go_step_by_step(
    const Question<Format, typename Reader::Space>& question, Reader& reader,
    Way<Format, typename Reader::Space>& way, FoundTables<Format, typename Reader::Space>& found,
    Leaf<typename Reader::Space>& leaf) {
  using Space = typename Reader::Space;
  KnownTable<Space>& here = way.here;
  const Ask& ask = question.ask;
  PlainEntries plain;
  if constexpr (PlainFormat<Format>) plain = Format::plain_entries(ask, question.rules);
  // Entries since `here.permissions` was last brought up to date.
  std::uint64_t together = ~std::uint64_t{0};
  const auto allowed = [&]() -> Permissions {
    if constexpr (PlainFormat<Format>)
      return here.permissions &
             Format::permissions_of(together ^ Format::kDenyingBits, question.rules);
    else
      return here.permissions;
  };
  for (;;) {
    const unsigned level = here.level;
    std::uint64_t entry = 0;
    if (!load_straight(question, reader, way, found,
                       entry_offset<Format, Space>(question.input, level), entry)) [[unlikely]] {
      here.permissions = allowed();
      return false;
    }
    if constexpr (PlainFormat<Format>) {
      if (level == 1) {
        if ((entry & plain.leaf_mask) == plain.leaf_bits) [[likely]] {
          together &= entry ^ Format::kDenyingBits;
          const std::uint64_t dirty = Format::dirty_bits(question.rules);
          leaf.page = Space(entry & Format::kPlainAddress);
          leaf.page_lg2 = kPageLg2;
          leaf.level = 1;
          leaf.permissions = allowed();
          leaf.dirty_owed = (entry & dirty) != dirty;
          leaf.entry = entry;
          leaf.references = way.references + 1;
          return true;
        }
      } else if ((entry & plain.table_mask) == (plain.table_bits | Format::below_bits(level)))
          [[likely]] {
        together &= entry ^ Format::kDenyingBits;
        ++way.references;
        here.table = Space(entry & Format::kPlainAddress);
        here.below = kNotKnown;
        here.level = static_cast<std::uint8_t>(level - 1);
        if (way.remembers) {
          here.permissions = allowed();
          together = ~std::uint64_t{0};
          found.note(here);
        }
        continue;
      }
    }
    // A large page, and in formats without plain entries everything.
    here.permissions = allowed();
    together = ~std::uint64_t{0};
    const Step step = Format::inspect(entry, level, ask, question.rules);
    const bool is_leaf = step.kind == Step::Kind::kLeaf;
    const std::uint64_t bits =
        step.set_on_use | (is_leaf && writes(ask.access) ? step.set_on_write : 0);
    if (step.kind == Step::Kind::kStop || (entry & bits) != bits) return false;
    const Permissions permissions = here.permissions & step.permissions;
    if (is_leaf) {
      if (Format::refuse(permissions, ask)) return false;
      leaf.page = Space(step.address);
      leaf.page_lg2 = step.page_lg2;
      leaf.level = static_cast<std::uint8_t>(level);
      leaf.permissions = permissions;
      leaf.dirty_owed = (entry & step.set_on_write) != step.set_on_write;
      leaf.entry = entry;
      leaf.references = way.references + 1;
      return true;
    }
    if (step.next_level + 1U != level || step.next_level == 0) return false;
    ++way.references;
    here.table = Space(step.address);
    here.level = step.next_level;
    here.permissions = permissions;
    here.below = kNotKnown;
    if (way.remembers) found.note(here);
  }
}

// The same for who remembers nothing and has met something that is not plain: a large page, mostly.
template <RadixFormat Format, TableReader Reader>
[[nodiscard, gnu::noinline]] bool go_on_straight(
    const Question<Format, typename Reader::Space>& question, Reader& reader,
    Way<Format, typename Reader::Space>& way, Leaf<typename Reader::Space>& leaf) {
  FoundTables<Format, typename Reader::Space> nothing;
  return go_step_by_step(question, reader, way, nothing, leaf);
}

template <RadixFormat Format, TableReader Reader>
[[nodiscard, gnu::always_inline]] inline bool go_straight(
    const Question<Format, typename Reader::Space>& question, Reader& reader,
    Way<Format, typename Reader::Space>& way, FoundTables<Format, typename Reader::Space>& found,
    Leaf<typename Reader::Space>& leaf) {
  if constexpr (!kGoesPlain<Format, Reader>) {
    return go_step_by_step(question, reader, way, found, leaf);
  } else {
    if (way.remembers) return go_step_by_step(question, reader, way, found, leaf);
    if (go_plain(question, reader, way, leaf)) [[likely]]
      return true;
    // Others of everything, so that what is above stays in registers.
    using Space = typename Reader::Space;
    const Ask ask{question.ask.access, question.ask.execute, question.ask.privileged,
                  question.ask.write_protect};
    const Question<Format, Space> again{question.rules, question.root, question.levels,
                                        question.input, ask};
    Way<Format, Space> so_far = way.again();
    Leaf<Space> end;
    const bool done = go_on_straight(again, reader, so_far, end);
    copy(end, leaf);
    way.here.table = so_far.here.table;
    way.here.level = so_far.here.level;
    way.here.permissions = so_far.here.permissions;
    way.here.below = so_far.here.below;
    way.references = so_far.references;
    return done;
  }
}

// An entry on the way whose accessed or dirty bits are to be set. Without initial values, like
// Way::Found.
struct OwedUpdate {
  std::uint64_t at;
  std::uint64_t seen;
  std::uint64_t bits;
  std::uint8_t level;
};

// Each entry once: a table that points to itself is met at several levels, and the second of two
// updates of one entry would find what the first has left.
template <std::size_t N>
constexpr void owe(std::array<OwedUpdate, N>& owed, std::size_t& count, const OwedUpdate& update) {
  for (std::size_t i = 0; i < count; ++i) {
    if (owed[i].at != update.at) continue;
    owed[i].bits |= update.bits;
    return;
  }
  owed[count++] = update;
}

// Makes the updates, from the root down. Gives the entry that was changed meanwhile, if one was:
// what was read is then no longer what the tables say.
template <TableReader Reader>
[[nodiscard]] Result<const OwedUpdate*, WalkFailure> settle_updates(
    Reader& reader, std::span<const OwedUpdate> owed) {
  for (const OwedUpdate& update : owed) {
    const auto done =
        reader.update(typename Reader::Space(update.at), update.seen, update.seen | update.bits);
    if (!done) {
      WalkFailure failure = done.error();
      if (failure.stage == Stage::kNone)
        failure = {
            .reason = FaultReason::kUpdateFailed, .level = update.level, .entry_at = update.at};
      else
        failure.upper_level = update.level;
      return Failure{failure};
    }
    if (!*done) return &update;
  }
  return nullptr;
}

// The whole way, on from where `way` is.
template <RadixFormat Format, TableReader Reader, typename Cache, typename Accept>
[[nodiscard, gnu::noinline]] WalkResult<typename Reader::Space> walk_on(
    const Question<Format, typename Reader::Space>& question, Reader& reader,
    Way<Format, typename Reader::Space>& way, FoundTables<Format, typename Reader::Space>& found,
    Cache& cache, Accept& accept) {
  using Space = typename Reader::Space;
  // An entry that the guest keeps changing under us is, in the end, an update that failed.
  constexpr int kAttempts = 16;

  const std::uint64_t input = question.input;
  const Ask& ask = question.ask;
  WalkFailure failure{.references = way.references};
  std::uint32_t& references = failure.references;
  const auto stop = [&failure](FaultReason reason, unsigned level, Space at) {
    failure.reason = reason;
    failure.level = static_cast<std::uint8_t>(level);
    failure.entry_at = at.value();
    return Failure{failure};
  };
  unsigned contested_level = 0;
  Space contested_at{};
  KnownTable<Space>& here = way.here;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt != 0) {
      way.begin_again(question);
      found.count = 0;
    }
    std::array<OwedUpdate, Format::kMaxLevels> owed;
    std::size_t owed_count = 0;
    for (;;) {
      const unsigned level = here.level;
      const std::uint64_t offset = entry_offset<Format, Space>(input, level);
      const Space entry_at = here.table + offset;
      const Result<std::uint64_t, WalkFailure> loaded = [&] {
        if constexpr (TranslatesAtOnce<Reader>)
          if (here.below != kNotKnown) return reader.load_below(here.below + offset);
        return reader.load(entry_at);
      }();
      references += reader.take_references();
      if (!loaded) [[unlikely]] {
        if (loaded.error().stage == Stage::kNone)
          return stop(level == question.levels ? FaultReason::kRootTableUnreadable
                                               : FaultReason::kTableUnreadable,
                      level, entry_at);
        const std::uint32_t counted = references;
        failure = loaded.error();
        failure.references = counted;
        failure.upper_level = static_cast<std::uint8_t>(level);
        return Failure{failure};
      }
      const std::uint64_t entry = *loaded;
      ++references;
      const Step step = Format::inspect(entry, level, ask, question.rules);
      if (step.kind == Step::Kind::kStop) return stop(step.reason, level, entry_at);
      const Permissions permissions = here.permissions & step.permissions;
      const bool is_leaf = step.kind == Step::Kind::kLeaf;
      const std::uint64_t bits =
          step.set_on_use | (is_leaf && writes(ask.access) ? step.set_on_write : 0);
      if ((entry & bits) != bits)
        owe(owed, owed_count, {entry_at.value(), entry, bits, static_cast<std::uint8_t>(level)});
      if (!is_leaf) {
        // Only a level further down: whatever a format says, the walk ends.
        if (step.next_level == 0 || step.next_level >= level)
          return stop(FaultReason::kLevelEncoding, level, entry_at);
        const unsigned skipped_from = level_shift<Format>(step.next_level + 1U);
        const unsigned skipped_to = level_shift<Format>(level);
        if (skipped_to > skipped_from && (input & bit_mask(skipped_to - 1, skipped_from)) != 0)
          return stop(FaultReason::kSkippedBits, level, entry_at);
        here = {Space(step.address), step.next_level, permissions, kNotKnown};
        if (way.remembers) found.note(here);
        continue;
      }
      if (const auto refused = Format::refuse(permissions, ask))
        return stop(*refused, level, entry_at);
      const std::uint64_t now = entry | bits;
      Leaf<Space> leaf{.page = Space(step.address),
                       .page_lg2 = step.page_lg2,
                       .level = static_cast<std::uint8_t>(level),
                       .permissions = permissions,
                       .dirty_owed = (now & step.set_on_write) != step.set_on_write,
                       .entry = now};
      if (auto refused = accept(leaf)) {
        refused->references += references;
        return Failure{*refused};
      }
      if (owed_count != 0) {
        const auto settled =
            settle_updates(reader, std::span<const OwedUpdate>(owed.data(), owed_count));
        references += reader.take_references();
        if (!settled) {
          const std::uint32_t counted = references;
          failure = settled.error();
          failure.references = counted;
          return Failure{failure};
        }
        if (const OwedUpdate* changed = *settled; changed != nullptr) {
          contested_level = changed->level;
          contested_at = Space(changed->at);
          break;  // walk again
        }
      }
      found.tell(input, cache);
      leaf.references = references;
      return leaf;
    }
  }
  return stop(FaultReason::kUpdateFailed, contested_level, contested_at);
}

}  // namespace detail

// Walks from `root`, a table of `levels` levels (1…Format::kMaxLevels), for `input`. `accept` is
// asked about the leaf that was found, once in every attempt; its failure is the walk's.
template <RadixFormat Format, TableReader Reader,
          WalkCache<typename Reader::Space> Cache = NoWalkCache::For<typename Reader::Space>,
          typename Accept = AcceptAny>
[[nodiscard]] WalkResult<typename Reader::Space> walk(const typename Format::Rules& rules,
                                                      Reader& reader, typename Reader::Space root,
                                                      unsigned levels, std::uint64_t input,
                                                      const Ask& ask, Cache&& cache = {},
                                                      Accept&& accept = {}) {
  using Space = typename Reader::Space;
  // The only thing returned, so that it is made where the caller wants it.
  WalkResult<Space> result(std::in_place);
  if (const auto refused = Format::refuse_input(input, levels)) [[unlikely]] {
    result = Failure{WalkFailure{.reason = *refused}};
  } else {
    const detail::Question<Format, Space> question{rules, root, levels, input, ask};
    detail::FoundTables<Format, Space> found;
    detail::Way<Format, Space> way(question, cache);
    Leaf<Space> leaf;
    if (!detail::go_straight(question, reader, way, found, leaf)) [[unlikely]] {
      const detail::Question<Format, Space> again{rules, root, levels, input, ask};
      detail::Way<Format, Space> so_far = way.again();
      result = detail::walk_on(again, reader, so_far, found, cache, accept);
    } else if (auto why = accept(leaf)) [[unlikely]] {
      why->references += leaf.references;
      result = Failure{*why};
    } else {
      detail::copy(leaf, *result);
      found.tell(input, cache);
    }
  }
  return result;
}

// The same where the straight way leads to the end, with the answer in registers. False: nothing
// was done; ask walk.
template <RadixFormat Format, TableReader Reader, WalkCache<typename Reader::Space> Cache>
[[nodiscard, gnu::always_inline]] inline bool walk_at_once(const typename Format::Rules& rules,
                                                           Reader& reader,
                                                           typename Reader::Space root,
                                                           unsigned levels, std::uint64_t input,
                                                           const Ask& ask, Cache& cache,
                                                           Leaf<typename Reader::Space>& leaf) {
  using Space = typename Reader::Space;
  if (Format::refuse_input(input, levels)) [[unlikely]]
    return false;
  const detail::Question<Format, Space> question{rules, root, levels, input, ask};
  detail::FoundTables<Format, Space> found;
  detail::Way<Format, Space> way(question, cache);
  if (!detail::go_straight(question, reader, way, found, leaf)) [[unlikely]]
    return false;
  found.tell(input, cache);
  return true;
}

}  // namespace weir::pagetables
