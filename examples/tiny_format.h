// SPDX-License-Identifier: Apache-2.0
//
// A made-up page-table format, as small as one can be: two levels of nine index bits, a present bit
// at the top of the word, pages of 4 KiB and 2 MiB. docs/adding-a-format.md explains it; the
// conformance suite runs over it like over the real ones.
#pragma once

#include "base/bits.h"
#include "pagetables/walk.h"

namespace tiny {

using namespace weir;
using namespace weir::pagetables;

inline constexpr Bit<63> kPresent{"P", "present"};
inline constexpr Bit<62> kWrite{"W", "writes allowed"};
inline constexpr Bit<61> kLarge{"L", "in level 2: a page of 2 MiB"};
inline constexpr Field<51, 12> kAddress{"ADDR", "page or table address"};
inline constexpr auto kEntry = layout<64>(kPresent, kWrite, kLarge, kAddress);

struct Format {
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kMaxLevels = 2;
  static constexpr unsigned kLargeLg2 = 21;

  struct Rules {
    bool large_pages = true;
  };

  // One word at one level, for one ask: a table, a leaf, or why the walk stops here.
  static constexpr Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                const Rules& rules) {
    Step step;
    step.reason = FaultReason::kNotPresent;
    if (!kPresent.is_set(entry)) return step;
    const bool large = kLarge.is_set(entry);
    std::uint64_t reserved = kEntry.reserved;
    if (level == 1 || !rules.large_pages) reserved |= kLarge.kMask;
    if (large) reserved |= bit_mask(kLargeLg2 - 1, kPageLg2);
    step.reason = FaultReason::kReservedBits;
    if ((entry & reserved) != 0) return step;
    step.permissions = kWrite.is_set(entry) ? Permissions::all() : Permissions::read_only();
    step.reason = FaultReason::kNoWritePermission;
    if (!step.permissions.allows(ask.access)) return step;
    step.kind = level == 1 || large ? Step::Kind::kLeaf : Step::Kind::kTable;
    step.address = kAddress.in_place(entry);
    step.next_level = 1;
    step.page_lg2 = large ? kLargeLg2 : kPageLg2;
    return step;
  }
  // What only all levels together can say: nothing in this format.
  static constexpr std::optional<FaultReason> refuse(Permissions, const Ask&) {
    return std::nullopt;
  }
  // Inputs that no table of `levels` levels takes.
  static constexpr std::optional<FaultReason> refuse_input(std::uint64_t input, unsigned levels) {
    return refuse_beyond_reach<kIndexBits>(input, levels);
  }

  // The other direction, for whoever builds tables.
  static constexpr std::uint64_t make_table(std::uint64_t address, unsigned) {
    return kPresent.kMask | kWrite.kMask | kAddress.in_place(address);
  }
  static constexpr std::uint64_t make_leaf(std::uint64_t page, unsigned page_lg2,
                                           Permissions permissions) {
    return kPresent.of(permissions.can_read()) | kWrite.of(permissions.can_write()) |
           kLarge.of(page_lg2 == kLargeLg2) | kAddress.in_place(page);
  }
  static constexpr std::optional<LeafPlace> leaf_place(unsigned page_lg2, const Rules& rules) {
    if (page_lg2 == kPageLg2) return LeafPlace{.level = 1};
    if (page_lg2 == kLargeLg2 && rules.large_pages) return LeafPlace{.level = 2};
    return std::nullopt;
  }
};
static_assert(RadixFormat<Format>);

}  // namespace tiny
