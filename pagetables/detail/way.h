// SPDX-License-Identifier: Apache-2.0
//
// What a radix walk (walk.h) carries along: the question, how far it has come, and the tables that
// it found on its way. A part of walk.h; nobody else includes it.
//
// Plain values of one walk on one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "pagetables/radix.h"

namespace weir::pagetables::detail {

// What is asked of the tables of one stage. References: for one walk.
template <RadixFormat Format, typename Space>
struct Question {
  const typename Format::Rules& rules;
  Space root;
  unsigned levels;
  std::uint64_t input;
  const Ask& ask;
};

// Tables on the way, to be told to the cache. Without initial values: a walk makes room for one per
// level and mostly needs none.
template <RadixFormat Format, typename Space>
struct FoundTables {
  struct One {
    std::uint64_t table;
    std::uint64_t below;
    std::uint8_t level;
    std::uint8_t permissions;
  };
  std::size_t count = 0;
  std::array<One, Format::kMaxLevels> tables;

  [[gnu::always_inline]] void note(const KnownTable<Space>& here) {
    tables[count++] = {here.table.value(), here.below, here.level, here.permissions.bits()};
  }
  // The place below of the table that is read: the last one noted, unless it was known. Roots are
  // not remembered.
  [[gnu::always_inline]] void note_below(const KnownTable<Space>& here, unsigned levels) {
    if (count != 0)
      tables[count - 1].below = here.below;
    else if (here.level != levels)
      note(here);
  }
  // Only at the end: who starts from a known table must owe nothing above it.
  template <typename Cache>
  [[gnu::always_inline]] void tell(std::uint64_t input, Cache& cache) const {
    for (std::size_t i = 0; i < count; ++i)
      cache.store(input, {Space(tables[i].table), tables[i].level,
                          Permissions::from_bits(tables[i].permissions), tables[i].below});
  }
};

// How far a walk has come. Structures are filled member by member here, and copied as little as can
// be: one that is copied whole lies in memory, and its reader waits for the writes of its parts.
template <RadixFormat Format, typename Space>
struct Way {
  KnownTable<Space> here;        // the table that is read next; nothing is owed above it
  std::uint32_t references = 0;  // read so far
  bool remembers = false;        // there is a cache

  // Another, for those who take it by reference: this one stays in registers.
  [[nodiscard, gnu::always_inline]] Way again() const {
    Way way;
    way.here.table = here.table;
    way.here.level = here.level;
    way.here.permissions = here.permissions;
    way.here.below = here.below;
    way.references = references;
    way.remembers = remembers;
    return way;
  }
  Way() = default;
  template <typename Cache>
  [[gnu::always_inline]] Way(const Question<Format, Space>& question, Cache& cache)
      : remembers(!cache.off()) {
    KnownTable<Space> known;
    // A known way that does not allow the access is walked again from the root: the stop must be
    // the entry that says so.
    if (remembers && cache.find(question.input, known) &&
        known.permissions.allows(question.ask.access) &&
        !Format::refuse(known.permissions, question.ask)) {
      here.table = known.table;
      here.level = known.level;
      here.permissions = known.permissions;
      here.below = known.below;
    } else {
      begin_again(question);
    }
  }
  [[gnu::always_inline]] void begin_again(const Question<Format, Space>& question) {
    here.table = question.root;
    here.level = static_cast<std::uint8_t>(question.levels);
    here.permissions = Permissions::all();
    here.below = kNotKnown;
  }
};

template <RadixFormat Format, typename Space>
[[nodiscard]] constexpr std::uint64_t entry_offset(std::uint64_t input, unsigned level) {
  const std::uint64_t index =
      input >> level_shift<Format>(level) & bit_mask(Format::kIndexBits - 1, 0);
  return index * sizeof(std::uint64_t);
}

template <typename Space>
[[gnu::always_inline]] inline void copy(const Leaf<Space>& from, Leaf<Space>& to) {
  to.page = from.page;
  to.page_lg2 = from.page_lg2;
  to.level = from.level;
  to.permissions = from.permissions;
  to.dirty_owed = from.dirty_owed;
  to.entry = from.entry;
  to.references = from.references;
}

}  // namespace weir::pagetables::detail
