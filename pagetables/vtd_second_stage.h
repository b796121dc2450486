// SPDX-License-Identifier: Apache-2.0
//
// Layout of VT-d second-stage paging entries (manual: SS-PTE, SS-PDE, SS-PDPE, SS-PML4E, SS-PML5E,
// chapter 9; older texts: second level, SL). As a guest stage 2 it maps IOVA or IPA to GPA; as a
// host map, GPA to HPA. Three, four or five levels; pages of 4 KiB, 2 MiB and 1 GiB.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <array>
#include <cstdint>

#include "base/bits.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

namespace ss {
inline constexpr Bit<0> kRead{"R", "read", "9.8"};
inline constexpr Bit<1> kWrite{"W", "write", "9.8"};
inline constexpr Bit<2> kExecute{"X", "execute, ignored for DMA", "9.8"};
inline constexpr Field<5, 3> kMemoryType{"EMT", "extended memory type", "9.8"};
inline constexpr Bit<6> kIgnorePat{"IPAT", "ignore PAT", "9.8"};
inline constexpr Bit<7> kPageSize{"PS", "page size: this entry is a leaf", "9.8"};
inline constexpr Bit<8> kAccessed{"A", "accessed", "9.8"};
inline constexpr Bit<9> kDirty{"D", "dirty", "9.8"};
inline constexpr Bit<10> kIgnored10{"-", "ignored", "9.8"};
inline constexpr Bit<11> kSnoop{"SNP", "snoop", "9.8"};
inline constexpr Field<51, 12> kAddress{"ADDR", "page or table address", "9.8"};
inline constexpr Field<61, 52> kIgnored61{"-", "ignored", "9.8"};
inline constexpr Bit<62> kTransientMapping{"TM", "transient mapping, reserved from 3.2", "9.8"};
inline constexpr Bit<63> kIgnored63{"-", "ignored", "9.8"};
inline constexpr auto kEntry =
    layout<64>(kRead, kWrite, kExecute, kMemoryType, kIgnorePat, kPageSize, kAccessed, kDirty,
               kIgnored10, kSnoop, kAddress, kIgnored61, kTransientMapping, kIgnored63);
static_assert(kEntry.reserved == 0);
}  // namespace ss

struct VtdSecondStage {
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kMaxLevels = 5;
  static constexpr unsigned kLargestLeafLevel = 3;  // 1 GiB

  // What the unit's capabilities and the PASID entry make of an entry, computed once.
  struct Rules {
    std::array<std::uint64_t, kMaxLevels + 1> table_reserved{};  // by level; 1 is unused
    std::array<std::uint64_t, kMaxLevels + 1> leaf_reserved{};   // by level; 1…3
    std::array<bool, kMaxLevels + 1> leaf_size{};                // by level: may be a leaf
    std::uint64_t accessed = 0;                                  // bits set on use
    std::uint64_t dirty = 0;                                     // bits set in the leaf by a write
  };
  struct Capabilities {
    unsigned host_address_bits = 52;  // HAW: 12…52; higher address bits are reserved
    bool snoop_control = false;       // ECAP.SC: SNP is defined in leaves
    bool pages_2m = true;             // CAP.SSLPS
    bool pages_1g = true;             // CAP.SSLPS; implies pages_2m
    bool accessed_dirty = false;      // PASID entry's SSADE
    bool transient_mapping = false;   // TM is defined in leaves: revisions before 3.2
  };

  [[nodiscard]] static constexpr Rules rules(const Capabilities& capabilities) {
    Rules rules;
    const std::uint64_t always =
        capabilities.host_address_bits < 52 ? bit_mask(51, capabilities.host_address_bits) : 0;
    const std::uint64_t leaf =
        always | (capabilities.snoop_control ? 0 : std::uint64_t{ss::kSnoop.kMask}) |
        (capabilities.transient_mapping ? 0 : std::uint64_t{ss::kTransientMapping.kMask});
    rules.leaf_size = {
        false, true, capabilities.pages_2m, capabilities.pages_1g && capabilities.pages_2m,
        false, false};
    for (unsigned level = 1; level <= kMaxLevels; ++level) {
      rules.table_reserved[level] = always | ss::kSnoop.kMask | ss::kTransientMapping.kMask;
      // PS where no page of that size exists is reserved (reason SSL.3 of 7.1.3).
      if (!rules.leaf_size[level]) rules.table_reserved[level] |= ss::kPageSize.kMask;
      rules.leaf_reserved[level] = leaf;
      if (level > 1 && level <= kLargestLeafLevel)
        rules.leaf_reserved[level] |= bit_mask(shift(level) - 1, kPageLg2);
    }
    if (capabilities.accessed_dirty) {
      rules.accessed = ss::kAccessed.kMask;
      rules.dirty = ss::kDirty.kMask;
    }
    return rules;
  }

  // 7.1.3: at each entry the permission is checked before the reserved bits.
  [[nodiscard, gnu::always_inline]] static constexpr Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                              const Rules& rules) {
    Step step;
    step.permissions = permissions_of(entry, rules);
    if (!step.permissions.allows(ask.access)) {
      step.reason = missing_permission(step.permissions, ask.access);
      return step;
    }
    const bool leaf = level == 1 || (ss::kPageSize.is_set(entry) && rules.leaf_size[level]);
    if ((entry & (leaf ? rules.leaf_reserved : rules.table_reserved)[level]) != 0) {
      step.reason = FaultReason::kReservedBits;
      return step;
    }
    step.kind = leaf ? Step::Kind::kLeaf : Step::Kind::kTable;
    step.page_lg2 = static_cast<std::uint8_t>(shift(level));
    step.next_level = static_cast<std::uint8_t>(level - 1);
    step.address = ss::kAddress.in_place(entry);
    step.set_on_use = rules.accessed;
    step.set_on_write = rules.dirty;
    return step;
  }

  using PlainOf = VtdSecondStage;
  static constexpr std::uint64_t kPlainAddress = ss::kAddress.kMask;
  static constexpr std::uint64_t kDenyingBits = 0;
  [[nodiscard, gnu::always_inline]] static constexpr PlainEntries plain_entries(
      const Ask& ask, const Rules& rules) {
    const std::uint64_t wanted =
        rules.accessed | (ask.access != Access::kWrite ? std::uint64_t{ss::kRead.kMask} : 0) |
        (writes(ask.access) ? std::uint64_t{ss::kWrite.kMask} : 0);
    const std::uint64_t leaf = wanted | (writes(ask.access) ? rules.dirty : 0);
    // Above the last level, what is reserved where there are no pages is what makes none.
    return {.table_mask = wanted | rules.table_reserved[kMaxLevels],
            .table_bits = wanted,
            .leaf_mask = leaf | rules.leaf_reserved[1],
            .leaf_bits = leaf};
  }
  [[nodiscard]] static constexpr std::uint64_t below_bits(unsigned) { return 0; }
  [[nodiscard]] static constexpr std::uint64_t dirty_bits(const Rules& rules) {
    return rules.dirty;
  }
  // DMA takes no notice of X; every page is for every requester.
  [[nodiscard]] static constexpr Permissions permissions_of(std::uint64_t entry, const Rules&) {
    return Permissions::of(ss::kRead.is_set(entry), ss::kWrite.is_set(entry));
  }

  // Judged entry by entry, above.
  [[nodiscard, gnu::always_inline]] static constexpr std::optional<FaultReason> refuse(Permissions, const Ask&) {
    return std::nullopt;
  }
  [[nodiscard]] static constexpr std::optional<FaultReason> refuse_input(std::uint64_t input,
                                                                         unsigned levels) {
    return refuse_beyond_reach<kIndexBits>(input, levels);
  }

  [[nodiscard]] static constexpr std::uint64_t make_table(std::uint64_t address, unsigned) {
    return ss::kAddress.in_place(address) | ss::kRead.kMask | ss::kWrite.kMask;
  }
  [[nodiscard]] static constexpr std::uint64_t make_leaf(std::uint64_t page, unsigned page_lg2,
                                                         Permissions permissions) {
    return ss::kAddress.in_place(page) | ss::kRead.of(permissions.can_read()) |
           ss::kWrite.of(permissions.can_write()) | ss::kPageSize.of(page_lg2 > kPageLg2);
  }
  [[nodiscard]] static constexpr std::optional<LeafPlace> leaf_place(unsigned page_lg2,
                                                                     const Rules& rules) {
    for (unsigned level = 1; level <= kLargestLeafLevel; ++level)
      if (shift(level) == page_lg2 && rules.leaf_size[level]) return LeafPlace{level, 0};
    return std::nullopt;
  }

 private:
  [[nodiscard]] static constexpr unsigned shift(unsigned level) {
    return kPageLg2 + kIndexBits * (level - 1);
  }
};
static_assert(PlainFormat<VtdSecondStage>);

}  // namespace weir::pagetables
