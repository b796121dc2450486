// SPDX-License-Identifier: Apache-2.0
//
// The one radix walk. Memory in, leaf or exact stopping entry out. A format (one header each,
// listed in docs/adding-a-format.md) says what an entry means; a reader says how to fetch one,
// which is the seam for nesting: a reader that is itself translated by a lower stage turns this
// walk into the upper stage of a nested one (nested.h); a walk cache may let it start below the
// root.
//
// A stage's table pointers and its output lie in the same address space, the reader's. The walk
// writes only accessed and dirty bits, and those only where the format's rules ask for them. Any
// thread; bounded work whatever the tables hold.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>

#include "base/access.h"
#include "base/address.h"
#include "base/bits.h"
#include "base/fault.h"
#include "base/result.h"

namespace weir::pagetables {

// What a format makes of one entry at one level, for one ask.
struct Step {
  enum class Kind : std::uint8_t { kTable, kLeaf, kStop };
  Kind kind = Kind::kStop;
  FaultReason reason = FaultReason::kNotPresent;  // kStop
  std::uint64_t address = 0;                      // kTable: next table; kLeaf: page base
  std::uint8_t next_level = 0;     // kTable: below `level`; between are skipped levels
  std::uint8_t page_lg2 = 0;       // kLeaf
  Permissions permissions;         // what this entry allows
  std::uint64_t set_on_use = 0;    // bits that using the entry sets (accessed)
  std::uint64_t set_on_write = 0;  // kLeaf: bits that a write sets as well (dirty)
};

struct WordTrail;

// What a walk leaves behind: accessed and dirty bits, or nothing at all, as if it had set them;
// and, for whoever wants to know, the words that it rested on.
class Trace {
 public:
  static const Trace kLeave;
  static const Trace kNone;

  constexpr Trace(Trace of, WordTrail& trail) : updates_(of.updates_), trail_(&trail) {}
  [[nodiscard]] constexpr bool updates() const { return updates_; }
  [[nodiscard]] constexpr WordTrail* trail() const { return trail_; }

 private:
  constexpr explicit Trace(bool updates) : updates_(updates) {}

  bool updates_;
  WordTrail* trail_ = nullptr;
};
inline constexpr Trace Trace::kLeave{true};
inline constexpr Trace Trace::kNone{false};

// Where a leaf of 2^page_lg2 bytes is written: in 2^copies_lg2 adjoining entries of that level.
struct LeafPlace {
  unsigned level = 0;
  unsigned copies_lg2 = 0;
};

template <typename F>
concept RadixFormat = requires(const typename F::Rules& rules, std::uint64_t word, unsigned number,
                               const Ask& ask, Permissions permissions) {
  { F::kIndexBits } -> std::convertible_to<unsigned>;  // index bits per level
  { F::kMaxLevels } -> std::convertible_to<unsigned>;
  // Reading: one entry at a level, what all levels together allow, and which inputs a table of
  // that many levels takes at all.
  { F::inspect(word, number, ask, rules) } -> std::same_as<Step>;
  { F::refuse(permissions, ask) } -> std::same_as<std::optional<FaultReason>>;
  { F::refuse_input(word, number) } -> std::same_as<std::optional<FaultReason>>;
  // Building (table_builder.h): a table entry at a level, a leaf of 2^number bytes.
  { F::make_table(word, number) } -> std::same_as<std::uint64_t>;
  { F::make_leaf(word, number, permissions) } -> std::same_as<std::uint64_t>;
  { F::leaf_place(number, rules) } -> std::same_as<std::optional<LeafPlace>>;
};

// The lowest input bits that an entry at `level` (1 is the last) leaves untranslated.
template <RadixFormat Format>
[[nodiscard]] constexpr unsigned level_shift(unsigned level) {
  return kPageLg2 + Format::kIndexBits * (level - 1);
}

// Input bits that a table of `levels` levels translates; may exceed 64.
template <RadixFormat Format>
[[nodiscard]] constexpr unsigned input_bits(unsigned levels) {
  return level_shift<Format>(levels + 1);
}

// Which of reading and writing is not allowed; where an atomic lacks both, writing is named.
[[nodiscard]] constexpr FaultReason missing_permission(Permissions permissions, Access access) {
  return writes(access) && !permissions.can_write() ? FaultReason::kNoWritePermission
                                                    : FaultReason::kNoReadPermission;
}

// For formats that translate from 0 up to their reach.
template <unsigned IndexBits>
[[nodiscard]] constexpr std::optional<FaultReason> refuse_beyond_reach(std::uint64_t input,
                                                                       unsigned levels) {
  const unsigned bits = kPageLg2 + IndexBits * levels;
  if (bits < 64 && input >> bits != 0) return FaultReason::kBeyondInputWidth;
  return std::nullopt;
}

template <typename Space>
struct Leaf {
  Space page;  // base of the page in the output space
  std::uint8_t page_lg2 = 0;
  std::uint8_t level = 0;
  Permissions permissions;  // allowed by every level
  bool dirty_owed = false;  // a later write has a dirty bit to set: do not cache write permission
  std::uint64_t entry = 0;  // the leaf entry as it is now
  std::uint32_t references =
      0;  // table entries read, by this walk and whatever translated its reads

  [[nodiscard]] constexpr Space translate(std::uint64_t input) const {
    return page + (input & ((std::uint64_t{1} << page_lg2) - 1));
  }
  [[nodiscard]] constexpr Permissions cacheable() const {
    return dirty_owed ? permissions.without_write() : permissions;
  }
};

struct WalkFailure {
  FaultReason reason = FaultReason::kNotPresent;
  Stage stage = Stage::kNone;  // set where a lower stage failed; else the caller knows which it is
  std::uint8_t level = 0;      // 1 is the last level; 0: before any entry
  // Where a lower stage failed on the way to an upper stage's entry: that entry's level. 0: it
  // failed on the upper stage's answer, or there is no upper stage.
  std::uint8_t upper_level = 0;
  std::uint64_t entry_at = 0;  // where the entry lies, in the space of the stage that failed
  std::uint32_t references = 0;
};

template <typename Space>
using WalkResult = Result<Leaf<Space>, WalkFailure>;

// Fetches table entries from an address space. What it cannot fetch fails with stage kNone; what a
// lower stage refused, with that stage's own failure.
template <typename R>
concept TableReader = requires(R& reader, typename R::Space at, std::uint64_t word) {
  { reader.load(at) } -> std::same_as<Result<std::uint64_t, WalkFailure>>;
  // Replaces `word` by another, if it still stands there; false if not.
  { reader.update(at, word, word) } -> std::same_as<Result<bool, WalkFailure>>;
  // Entries that it read itself, since last asked, to find those (a direct reader: the host map's).
  { reader.take_references() } -> std::same_as<std::uint32_t>;
};

// A reader may also offer load_at_once(at, word) -> bool: the word where there is nothing to it but
// a load, without references and without a Result on its way. False: ask load.
template <TableReader Reader>
[[nodiscard]] bool load_at_once(Reader& reader, typename Reader::Space at, std::uint64_t& word) {
  if constexpr (requires { reader.load_at_once(at, word); })
    return reader.load_at_once(at, word);
  else
    return false;
}

// A table that earlier walks found on the way to an input.
template <typename Space>
struct KnownTable {
  Space table;
  std::uint8_t level = 0;   // of the entries in it
  Permissions permissions;  // allowed by the levels above
};

template <typename C, typename Space>
concept WalkCache = requires(C& cache, std::uint64_t input, const KnownTable<Space>& known) {
  { cache.off() } -> std::same_as<bool>;  // neither finds nor stores anything
  { cache.find(input) } -> std::same_as<std::optional<KnownTable<Space>>>;
  {cache.store(input, known)};
};

struct NoWalkCache {
  template <typename Space>
  struct For {
    [[nodiscard]] static constexpr bool off() { return true; }
    [[nodiscard]] std::optional<KnownTable<Space>> find(std::uint64_t) { return std::nullopt; }
    void store(std::uint64_t, const KnownTable<Space>&) {}
  };
};

// What else has to agree before a walk's accessed and dirty bits are set: nothing.
struct AcceptAny {
  template <typename Space>
  [[nodiscard]] std::optional<WalkFailure> operator()(const Leaf<Space>&) const {
    return std::nullopt;
  }
};

namespace detail {

// An entry on the way whose accessed or dirty bits are to be set. Without initial values: a walk
// makes room for one per level and mostly needs none.
struct OwedUpdate {
  std::uint64_t at;
  std::uint64_t seen;
  std::uint64_t bits;
  std::uint8_t level;
};

// A table on the way, to be told to the cache. Without initial values, likewise.
struct FoundTable {
  std::uint64_t table;
  std::uint8_t level;
  std::uint8_t permissions;
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
  // An entry that the guest keeps changing under us is, in the end, an update that failed.
  constexpr int kAttempts = 16;

  WalkFailure failure;
  const auto stop = [&failure](FaultReason reason, unsigned level, Space at) {
    failure.reason = reason;
    failure.level = static_cast<std::uint8_t>(level);
    failure.entry_at = at.value();
    return Failure{failure};
  };
  if (const auto refused = Format::refuse_input(input, levels)) return stop(*refused, 0, Space(0));

  std::uint32_t& references = failure.references;
  unsigned contested_level = 0;
  Space contested_at{};
  const bool remembers = !cache.off();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    KnownTable<Space> here{root, static_cast<std::uint8_t>(levels), Permissions::all()};
    // A known way that does not allow the access is walked again from the root: the stop must be
    // the entry that says so.
    if (attempt == 0 && remembers)
      if (const auto known = cache.find(input); known && known->permissions.allows(ask.access) &&
                                                !Format::refuse(known->permissions, ask))
        here = *known;
    std::array<detail::OwedUpdate, Format::kMaxLevels> owed;
    std::size_t owed_count = 0;
    std::array<detail::FoundTable, Format::kMaxLevels> found;
    std::size_t found_count = 0;
    for (;;) {
      const unsigned level = here.level;
      const std::uint64_t index =
          input >> level_shift<Format>(level) & bit_mask(Format::kIndexBits - 1, 0);
      const Space entry_at = here.table + index * sizeof(std::uint64_t);
      std::uint64_t entry = 0;
      if (!load_at_once(reader, entry_at, entry)) [[unlikely]] {
        const Result<std::uint64_t, WalkFailure> loaded = reader.load(entry_at);
        references += reader.take_references();
        if (!loaded) [[unlikely]] {
          if (loaded.error().stage == Stage::kNone)
            return stop(
                level == levels ? FaultReason::kRootTableUnreadable : FaultReason::kTableUnreadable,
                level, entry_at);
          const std::uint32_t counted = references;
          failure = loaded.error();
          failure.references = counted;
          failure.upper_level = static_cast<std::uint8_t>(level);
          return Failure{failure};
        }
        entry = *loaded;
      }
      ++references;
      const Step step = Format::inspect(entry, level, ask, rules);
      if (step.kind == Step::Kind::kStop) [[unlikely]]
        return stop(step.reason, level, entry_at);
      here.permissions = here.permissions & step.permissions;
      const bool leaf = step.kind == Step::Kind::kLeaf;
      const std::uint64_t bits =
          step.set_on_use | (leaf && writes(ask.access) ? step.set_on_write : 0);
      if ((entry & bits) != bits) [[unlikely]]
        detail::owe(owed, owed_count,
                    {entry_at.value(), entry, bits, static_cast<std::uint8_t>(level)});
      if (!leaf) {
        // Only a level further down: whatever a format says, the walk ends.
        if (step.next_level == 0 || step.next_level >= level)
          return stop(FaultReason::kLevelEncoding, level, entry_at);
        const unsigned skipped_from = level_shift<Format>(step.next_level + 1U);
        const unsigned skipped_to = level_shift<Format>(level);
        if (skipped_to > skipped_from && (input & bit_mask(skipped_to - 1, skipped_from)) != 0)
          return stop(FaultReason::kSkippedBits, level, entry_at);
        here.table = Space(step.address);
        here.level = step.next_level;
        if (remembers)
          found[found_count++] = {here.table.value(), here.level, here.permissions.bits()};
        continue;
      }
      if (const auto refused = Format::refuse(here.permissions, ask))
        return stop(*refused, level, entry_at);
      const std::uint64_t now = entry | bits;
      const Leaf<Space> found_leaf{.page = Space(step.address),
                                   .page_lg2 = step.page_lg2,
                                   .level = static_cast<std::uint8_t>(level),
                                   .permissions = here.permissions,
                                   .dirty_owed = (now & step.set_on_write) != step.set_on_write,
                                   .entry = now};
      if (auto refused = accept(found_leaf)) {
        refused->references += references;
        return Failure{*refused};
      }
      if (owed_count != 0) [[unlikely]] {
        const auto settled = detail::settle_updates(
            reader, std::span<const detail::OwedUpdate>(owed.data(), owed_count));
        references += reader.take_references();
        if (!settled) {
          const std::uint32_t counted = references;
          failure = settled.error();
          failure.references = counted;
          return Failure{failure};
        }
        if (const detail::OwedUpdate* changed = *settled; changed != nullptr) {
          contested_level = changed->level;
          contested_at = Space(changed->at);
          break;  // walk again
        }
      }
      // Only now: who starts from a known table must owe nothing above it.
      for (std::size_t i = 0; i < found_count; ++i)
        cache.store(input, {Space(found[i].table), found[i].level,
                            Permissions::from_bits(found[i].permissions)});
      Leaf<Space> answer = found_leaf;
      answer.references = references;
      return answer;
    }
  }
  return stop(FaultReason::kUpdateFailed, contested_level, contested_at);
}

}  // namespace weir::pagetables
