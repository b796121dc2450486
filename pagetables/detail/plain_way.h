// SPDX-License-Identifier: Apache-2.0
//
// The plain way down: nothing is remembered, every entry is plain (radix.h, PlainEntries) and its
// word is a load. As few instructions an entry as there can be, and between one entry and the next
// only what makes an address of it, so that a walk of tables in near caches waits for nothing else.
// A part of walk.h and nested.h; nobody else includes it.
//
// Lives for one walk on one thread; at most a step for each level, of which there is at least one.
#pragma once

#include <cstdint>
#include <utility>

#include "pagetables/detail/way.h"
#include "pagetables/radix.h"

namespace weir::pagetables::detail {

template <RadixFormat Format, TableReader Reader>
inline constexpr bool kGoesPlain =
    PlainFormat<Format>&& ReadsNearby<Reader>&& Format::kMaxLevels >= 5;

// The tables of one stage, for one ask.
template <RadixFormat Format, TableReader Reader>
class PlainTables {
 public:
  using Space = typename Reader::Space;

  // Where a descent ended. References are those of the entries that were plain.
  struct End {
    Space table{};
    unsigned level = 0;                          // 0: with the leaf's entry, below
    std::uint64_t together = ~std::uint64_t{0};  // as in go_step_by_step
    std::uint64_t entry = 0;

    [[nodiscard]] Space page() const { return Space(entry & Format::kPlainAddress); }
  };

  [[gnu::always_inline]] PlainTables(const typename Format::Rules& rules, const Reader& reader,
                                     Space root, unsigned levels, const Ask& ask)
      : rules_(rules),
        reader_(reader),
        words_(reader.words_near(root)),
        plain_(Format::plain_entries(ask, rules)),
        root_(root),
        levels_(levels) {}

  [[nodiscard, gnu::always_inline]] End descend(std::uint64_t input) const {
    End end{.table = root_, .level = levels_};
    // Written out: what is shifted by, and what a level's tables look like, is known in each step.
    if (levels_ > 4) [[unlikely]] {
      if (levels_ > 5 || !step<5>(input, end)) return end;
    }
    if (levels_ > 3 && !step<4>(input, end)) [[unlikely]]
      return end;
    if (levels_ > 2 && !step<3>(input, end)) [[unlikely]]
      return end;
    if (levels_ > 1 && !step<2>(input, end)) [[unlikely]]
      return end;
    end.level = 1;
    if (!load(end.table + entry_offset<Format, Space>(input, 1), end.entry) ||
        (end.entry & plain_.leaf_mask) != plain_.leaf_bits) [[unlikely]]
      return end;
    end.together &= end.entry ^ Format::kDenyingBits;
    end.level = 0;
    return end;
  }
  // A word of any table.
  [[nodiscard, gnu::always_inline]] bool load(Space at, std::uint64_t& word) const {
    if (words_.load(at, word)) [[likely]]
      return true;
    // Another variable, so that the word stays in a register where it mostly lies.
    std::uint64_t elsewhere = 0;
    if (!reader_.load_elsewhere(at, elsewhere)) return false;
    word = elsewhere;
    return true;
  }
  [[nodiscard]] unsigned levels() const { return levels_; }
  [[nodiscard]] Permissions permissions(const End& end) const {
    return Format::permissions_of(end.together ^ Format::kDenyingBits, rules_);
  }
  // Of a descent that ended with a leaf.
  [[nodiscard]] bool dirty_owed(const End& end) const {
    const std::uint64_t dirty = Format::dirty_bits(rules_);
    return (end.entry & dirty) != dirty;
  }

 private:
  template <unsigned kLevel>
  [[nodiscard, gnu::always_inline]] bool step(std::uint64_t input, End& end) const {
    end.level = kLevel;
    std::uint64_t entry = 0;
    if (!load(end.table + entry_offset<Format, Space>(input, kLevel), entry) ||
        (entry & plain_.table_mask) != (plain_.table_bits | Format::below_bits(kLevel)))
        [[unlikely]]
      return false;
    end.together &= entry ^ Format::kDenyingBits;
    end.table = Space(entry & Format::kPlainAddress);
    return true;
  }

  const typename Format::Rules& rules_;
  const Reader& reader_;
  const decltype(std::declval<const Reader&>().words_near(Space{})) words_;
  const PlainEntries plain_;
  const Space root_;
  const unsigned levels_;
};

// True: `leaf` is the answer. False: `way`, which was at the root, stands at the first entry that
// is more than plain; what was read before it is counted and need not be read again.
template <RadixFormat Format, TableReader Reader>
[[nodiscard, gnu::always_inline]] inline bool go_plain(
    const Question<Format, typename Reader::Space>& question, const Reader& reader,
    Way<Format, typename Reader::Space>& way, Leaf<typename Reader::Space>& leaf) {
  using Tables = PlainTables<Format, Reader>;
  const Tables tables(question.rules, reader, question.root, question.levels, question.ask);
  const auto end = tables.descend(question.input);
  if (end.level == 0) [[likely]] {
    leaf.page = end.page();
    leaf.page_lg2 = kPageLg2;
    leaf.level = 1;
    leaf.permissions = tables.permissions(end);
    leaf.dirty_owed = tables.dirty_owed(end);
    leaf.entry = end.entry;
    leaf.references = question.levels;
    return true;
  }
  if (end.level == question.levels) return false;
  way.references = question.levels - end.level;
  way.here.table = end.table;
  way.here.level = static_cast<std::uint8_t>(end.level);
  way.here.permissions = tables.permissions(end);
  return false;
}

}  // namespace weir::pagetables::detail
