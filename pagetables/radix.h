// SPDX-License-Identifier: Apache-2.0
//
// What a radix walk (walk.h) is made of: a format says what an entry means, a reader fetches one, a
// cache remembers tables on the way, and a leaf or a failure comes out. Concepts and plain values;
// any thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include "base/access.h"
#include "base/address.h"
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

// Entries that nothing has to be said about, as a format may tell them by two masks, for one ask: a
// table of the level below, and in the last level a page, both allowing the ask and owing no bit.
// Made once in a walk; what they let through, inspect() makes the same of.
struct PlainEntries {
  std::uint64_t table_mask = 0;
  std::uint64_t table_bits = 0;  // and below_bits(level)
  std::uint64_t leaf_mask = 0;
  std::uint64_t leaf_bits = 0;
};

// A format that has such masks names itself in PlainOf: one derived from it that judges otherwise
// must not inherit them.
template <typename F>
concept PlainFormat = RadixFormat<F> && std::same_as<typename F::PlainOf, F> &&
    requires(const typename F::Rules& rules, std::uint64_t word, unsigned level, const Ask& ask) {
  { F::plain_entries(ask, rules) } -> std::same_as<PlainEntries>;
  { F::below_bits(level) } -> std::same_as<std::uint64_t>;
  { F::kPlainAddress } -> std::convertible_to<std::uint64_t>;  // the table's or the page's
  // Bits that forbid where they are set; the others allow. What several entries allow together is
  // what their conjunction allows, when these are turned.
  { F::kDenyingBits } -> std::convertible_to<std::uint64_t>;
  { F::permissions_of(word, rules) } -> std::same_as<Permissions>;
  { F::dirty_bits(rules) } -> std::same_as<std::uint64_t>;  // of a leaf, set by a write
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

// A reader may also offer the word where there is nothing to it but a load, in registers and
// without a Result on its way. False: nothing was done; ask load.
//
//   load_at_once(at, word) -> bool
//   load_at_once(at, below, word, references) -> bool    of a reader that translates
//
// There, `below` is where the word lies for the reader under it: given, it spares the translation;
// kNotKnown, the translation is made, told, and counted in `references`.
inline constexpr std::uint64_t kNotKnown = ~std::uint64_t{0};

template <typename R>
concept ReadsAtOnce = requires(R& reader, typename R::Space at, std::uint64_t& word) {
  { reader.load_at_once(at, word) } -> std::same_as<bool>;
};
// A reader that reads at once may also say where words near a table lie, for who loads many of them
// and keeps that in registers:
//
//   words_near(table) -> something with load(at, word) -> bool    an entry of any table
//   load_elsewhere(at, word) -> bool    as load_at_once, where that fails
template <typename R>
concept ReadsNearby = ReadsAtOnce<R> &&
    requires(const R& reader, typename R::Space at, std::uint64_t& word) {
  { reader.words_near(at).load(at, word) } -> std::same_as<bool>;
  { reader.load_elsewhere(at, word) } -> std::same_as<bool>;
};
template <typename R>
concept TranslatesAtOnce = requires(R& reader, typename R::Space at, std::uint64_t& below,
                                    std::uint64_t& word, std::uint32_t& references) {
  { reader.load_at_once(at, below, word, references) } -> std::same_as<bool>;
};

// A table that earlier walks found on the way to an input.
template <typename Space>
struct KnownTable {
  Space table;
  std::uint8_t level = 0;           // of the entries in it
  Permissions permissions;          // allowed by the levels above
  std::uint64_t below = kNotKnown;  // of the table, see TranslatesAtOnce
};

template <typename C, typename Space>
concept WalkCache = requires(C& cache, std::uint64_t input, KnownTable<Space>& found,
                             const KnownTable<Space>& known) {
  { cache.off() } -> std::same_as<bool>;  // neither finds nor stores anything
  { cache.find(input, found) } -> std::same_as<bool>;
  {cache.store(input, known)};
};

struct NoWalkCache {
  template <typename Space>
  struct For {
    [[nodiscard]] static constexpr bool off() { return true; }
    [[nodiscard]] static constexpr bool find(std::uint64_t, KnownTable<Space>&) { return false; }
    static constexpr void store(std::uint64_t, const KnownTable<Space>&) {}
  };
};

}  // namespace weir::pagetables
