// SPDX-License-Identifier: Apache-2.0
//
// Writes page tables of any format into guest memory, as a guest's driver would: maps and unmaps
// ranges with the largest pages that fit, up to a limit. Used by model guest drivers, tests and
// benches; never by a unit. It flushes nothing: telling the unit is the driver's business.
//
// One thread. Table pages come from a callable that gives the address of a zeroed 4 KiB page, or
// nothing when there is none left.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>

#include "base/bits.h"
#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

enum class BuildFailure : std::uint8_t {
  kMisaligned,
  kBeyondReach,
  kNoPage,
  kNoMemory,
  kCollision
};

template <RadixFormat Format>
class TableBuilder {
 public:
  using AllocatePage = std::function<std::optional<Gpa>()>;

  // `memory` and what `rules` refer to must outlive the builder. `root` is a zeroed page.
  TableBuilder(const PhysicalMemory& memory, typename Format::Rules rules, Gpa root,
               unsigned levels, AllocatePage allocate)
      : memory_(memory),
        rules_(rules),
        root_(root),
        levels_(levels),
        allocate_(std::move(allocate)) {}

  [[nodiscard]] Gpa root() const { return root_; }
  [[nodiscard]] unsigned levels() const { return levels_; }

  // Maps [input, input+size) to [output, …) with pages of at most 2^max_page_lg2 bytes. All three
  // are multiples of 4 KiB. Existing leaves are overwritten; a leaf in the place of a needed table
  // is a collision.
  [[nodiscard]] Result<Done, BuildFailure> map(std::uint64_t input, std::uint64_t size, Gpa output,
                                               Permissions permissions, unsigned max_page_lg2) {
    if (!is_aligned(input | size | output.value(), kPageLg2))
      return Failure{BuildFailure::kMisaligned};
    if (!within_reach(input, size)) return Failure{BuildFailure::kBeyondReach};
    while (size > 0) {
      const unsigned page_lg2 = largest_page(input, size, output, max_page_lg2);
      const LeafPlace place = *Format::leaf_place(page_lg2, rules_);
      auto slot = entry_for(input, place.level);
      if (!slot) return Failure{slot.error()};
      const std::uint64_t leaf = Format::make_leaf(output.value(), page_lg2, permissions);
      for (std::uint64_t copy = 0; copy < std::uint64_t{1} << place.copies_lg2; ++copy)
        if (!memory_.store64(*slot + copy * sizeof leaf, leaf))
          return Failure{BuildFailure::kNoMemory};
      const std::uint64_t page = std::uint64_t{1} << page_lg2;
      input += page;
      output = output + page;
      size -= page;
    }
    return Done{};
  }

  // Clears every leaf of [input, input+size); what is not mapped is skipped. A larger leaf that the
  // range only partly covers is cleared whole, as drivers do.
  [[nodiscard]] Result<Done, BuildFailure> unmap(std::uint64_t input, std::uint64_t size) {
    if (!is_aligned(input | size, kPageLg2)) return Failure{BuildFailure::kMisaligned};
    if (!within_reach(input, size)) return Failure{BuildFailure::kBeyondReach};
    const std::uint64_t end = input + size;
    while (input != end) {
      const Found found = find(input);
      for (std::uint64_t copy = 0; copy < found.leaf_entries; ++copy)
        if (!memory_.store64(found.entry_at + copy * sizeof(std::uint64_t), 0))
          return Failure{BuildFailure::kNoMemory};
      const std::uint64_t inside = bit_mask(found.span_lg2 - 1, 0);
      const std::uint64_t left = inside - (input & inside);  // bytes of the span after this one
      if (left >= end - input - 1) break;
      input += left + 1;
    }
    return Done{};
  }

  // The address of the entry that maps or would map `input` at `level`, tables above it created.
  [[nodiscard]] Result<Gpa, BuildFailure> entry_at(std::uint64_t input, unsigned level) {
    return entry_for(input, level);
  }

 private:
  struct Found {
    Gpa entry_at;                    // the first one, where a leaf has several
    unsigned span_lg2 = 0;           // what the entry, or the leaf, covers
    std::uint64_t leaf_entries = 0;  // 0: nothing is mapped here
  };

  [[nodiscard]] bool within_reach(std::uint64_t input, std::uint64_t size) const {
    if (size == 0) return true;
    const std::uint64_t last = input + (size - 1);
    // Both ends of a range may be taken and what lies between them not: where addresses are
    // sign-extended. Such a range is longer than all that the tables translate.
    constexpr unsigned kAll = 64;
    const unsigned bits = input_bits<Format>(levels_);
    if (bits < kAll && (size - 1) >> bits != 0) return false;
    return last >= input && !Format::refuse_input(input, levels_) &&
           !Format::refuse_input(last, levels_);
  }

  // The largest page, up to the limit, that fits at both ends and that the format has.
  [[nodiscard]] unsigned largest_page(std::uint64_t input, std::uint64_t size, Gpa output,
                                      unsigned max_page_lg2) const {
    for (unsigned lg2 = std::min(max_page_lg2, 63U); lg2 > kPageLg2; --lg2) {
      if (size >> lg2 == 0 || !is_aligned(input | output.value(), lg2)) continue;
      const auto place = Format::leaf_place(lg2, rules_);
      if (place && place->level <= levels_) return lg2;
    }
    return kPageLg2;
  }

  [[nodiscard]] static Gpa entry_in(Gpa table, std::uint64_t input, unsigned level) {
    const std::uint64_t index =
        input >> level_shift<Format>(level) & ((std::uint64_t{1} << Format::kIndexBits) - 1);
    return table + index * sizeof(std::uint64_t);
  }

  // A format may call an entry invalid for a read and valid for a write, so both are asked.
  [[nodiscard]] Step inspect(std::uint64_t word, unsigned level) const {
    const Step read = Format::inspect(word, level, {.access = Access::kRead}, rules_);
    return read.kind != Step::Kind::kStop
               ? read
               : Format::inspect(word, level, {.access = Access::kWrite}, rules_);
  }

  [[nodiscard]] Result<Gpa, BuildFailure> entry_for(std::uint64_t input, unsigned level) {
    Gpa table = root_;
    for (unsigned at_level = levels_; at_level > level;) {
      const Gpa at = entry_in(table, input, at_level);
      const auto word = memory_.load64(at);
      if (!word) return Failure{BuildFailure::kNoMemory};
      const Step step = inspect(*word, at_level);
      if (step.kind == Step::Kind::kTable) {
        table = Gpa(step.address);
        at_level = step.next_level;
        continue;
      }
      if (step.kind == Step::Kind::kLeaf) return Failure{BuildFailure::kCollision};
      const std::optional<Gpa> page = allocate_();
      if (!page) return Failure{BuildFailure::kNoPage};
      if (!memory_.store64(at, Format::make_table(page->value(), at_level)))
        return Failure{BuildFailure::kNoMemory};
      table = *page;
      --at_level;
    }
    return entry_in(table, input, level);
  }

  [[nodiscard]] Found find(std::uint64_t input) const {
    Gpa table = root_;
    for (unsigned level = levels_;;) {
      const Gpa at = entry_in(table, input, level);
      const unsigned shift = level_shift<Format>(level);
      const auto word = memory_.load64(at);
      const Step step = word ? inspect(*word, level) : Step{};
      switch (step.kind) {
        case Step::Kind::kStop:
          return {at, shift, 0};
        case Step::Kind::kLeaf:
          return {entry_in(table, input & ~bit_mask(step.page_lg2 - 1U, 0), level), step.page_lg2,
                  std::uint64_t{1} << (step.page_lg2 - shift)};
        case Step::Kind::kTable:
          if (step.next_level >= level) return {at, shift, 0};
          table = Gpa(step.address);
          level = step.next_level;
          break;
      }
    }
  }

  const PhysicalMemory& memory_;
  const typename Format::Rules rules_;
  const Gpa root_;
  const unsigned levels_;
  const AllocatePage allocate_;
};

}  // namespace weir::pagetables
