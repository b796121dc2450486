// SPDX-License-Identifier: Apache-2.0
//
// Layout of x86-64 paging entries as IOMMUs walk them: VT-d first stage (manual: FS-PTE … FS-PML5E,
// chapter 9; older texts: first level, FL) and AMD v2 guest tables (the processor's own format). As
// a guest stage 1 it maps IOVA to IPA or GPA. Four or five levels; pages of 4 KiB, 2 MiB and 1 GiB.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <array>
#include <cstdint>

#include "base/bits.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

namespace fs {
inline constexpr Bit<0> kPresent{"P", "present", "9.7"};
inline constexpr Bit<1> kWrite{"R/W", "writable", "9.7"};
inline constexpr Bit<2> kUser{"U/S", "requests without privilege allowed", "9.7"};
inline constexpr Bit<3> kWriteThrough{"PWT", "page-level write-through", "9.7"};
inline constexpr Bit<4> kCacheDisable{"PCD", "page-level cache disable", "9.7"};
inline constexpr Bit<5> kAccessed{"A", "accessed", "9.7"};
inline constexpr Bit<6> kDirty{"D", "dirty", "9.7"};
inline constexpr Bit<7> kPageSize{"PS", "page size; PAT in the last level", "9.7"};
inline constexpr Bit<8> kGlobal{"G", "global", "9.7"};
inline constexpr Bit<9> kIgnored9{"-", "ignored", "9.7"};
inline constexpr Bit<10> kExtendedAccessed{"EA", "extended accessed (EAFE)", "9.7"};
inline constexpr Bit<11> kIgnored11{"-", "ignored", "9.7"};
inline constexpr Field<51, 12> kAddress{"ADDR", "page or table address", "9.7"};
inline constexpr Field<62, 52> kIgnored62{"-", "ignored", "9.7"};
inline constexpr Bit<63> kNoExecute{"XD", "execute disable", "9.7"};
inline constexpr Bit<12> kLargePat{"PAT", "page attribute bit of a large page", "9.7"};
inline constexpr auto kEntry =
    layout<64>(kPresent, kWrite, kUser, kWriteThrough, kCacheDisable, kAccessed, kDirty, kPageSize,
               kGlobal, kIgnored9, kExtendedAccessed, kIgnored11, kAddress, kIgnored62, kNoExecute);
static_assert(kEntry.reserved == 0);
}  // namespace fs

struct X86FirstStage {
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kMaxLevels = 5;
  static constexpr unsigned kLargestLeafLevel = 3;  // 1 GiB

  struct Rules {
    std::array<std::uint64_t, kMaxLevels + 1> table_reserved{};  // by level; 1 is unused
    std::array<std::uint64_t, kMaxLevels + 1> leaf_reserved{};   // by level; 1…3
    std::array<bool, kMaxLevels + 1> leaf_size{};                // by level: may be a leaf
    std::uint64_t accessed = 0;                                  // bits set on use
    std::uint64_t dirty = 0;                                     // set in the leaf by a write
    bool no_execute = true;                                      // XD means something
    bool reserved_first = false;                                 // at one entry
  };
  struct Capabilities {
    unsigned host_address_bits = 52;  // HAW: 12…52; higher address bits are reserved
    bool pages_1g = true;             // CAP.FS1GP; 2 MiB always exist
    // NXSup: the unit knows XD. A PASID entry's NXE is the requester's (L10): with NXE = 0 the ask
    // is one without `execute`.
    bool no_execute = true;
    bool accessed_dirty = true;      // false: the unit leaves A and D alone (AMD GAUpdateDis)
    bool dirty = true;               // of accessed_dirty; false: A alone (AMD GDUpdateDis)
    bool extended_accessed = false;  // PASID entry's EAFE
    // At one entry: VT-d judges permissions before reserved bits, as in its second stage (7.1.3);
    // AMD the other way round, as in v1.
    bool reserved_first = false;
  };

  [[nodiscard]] static constexpr Rules rules(const Capabilities& capabilities) {
    Rules rules;
    const std::uint64_t beyond =
        capabilities.host_address_bits < 52 ? bit_mask(51, capabilities.host_address_bits) : 0;
    rules.leaf_size = {false, true, true, capabilities.pages_1g, false, false};
    for (unsigned level = 1; level <= kMaxLevels; ++level) {
      rules.table_reserved[level] =
          beyond | (rules.leaf_size[level] ? 0 : std::uint64_t{fs::kPageSize.kMask});
      rules.leaf_reserved[level] = beyond;
      // The low address bits of a large page, but for its PAT bit.
      if (level > 1 && level <= kLargestLeafLevel)
        rules.leaf_reserved[level] |=
            bit_mask(shift(level) - 1, kPageLg2) & ~std::uint64_t{fs::kLargePat.kMask};
    }
    if (capabilities.accessed_dirty) {
      rules.accessed = fs::kAccessed.kMask;
      if (capabilities.dirty) rules.dirty = fs::kDirty.kMask;
    }
    if (capabilities.extended_accessed) rules.accessed |= fs::kExtendedAccessed.kMask;
    rules.no_execute = capabilities.no_execute;
    rules.reserved_first = capabilities.reserved_first;
    return rules;
  }

  [[nodiscard, gnu::always_inline]] static constexpr Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                              const Rules& rules) {
    Step step;
    if (!fs::kPresent.is_set(entry)) return step;
    const bool leaf = level == 1 || (fs::kPageSize.is_set(entry) && rules.leaf_size[level]);
    const bool reserved = (entry & (leaf ? rules.leaf_reserved : rules.table_reserved)[level]) != 0;
    step.permissions = permissions_of(entry, rules);
    const auto refused = refuse(step.permissions, ask);
    if (reserved || refused) {
      step.reason =
          refused && !(reserved && rules.reserved_first) ? *refused : FaultReason::kReservedBits;
      return step;
    }
    step.kind = leaf ? Step::Kind::kLeaf : Step::Kind::kTable;
    step.page_lg2 = static_cast<std::uint8_t>(shift(level));
    step.next_level = static_cast<std::uint8_t>(level - 1);
    step.address = fs::kAddress.in_place(entry);
    if (leaf) step.address &= ~bit_mask(shift(level) - 1, 0);  // PAT lies there
    step.set_on_use = rules.accessed;
    step.set_on_write = rules.dirty;
    return step;
  }

  using PlainOf = X86FirstStage;
  static constexpr std::uint64_t kPlainAddress = fs::kAddress.kMask;
  static constexpr std::uint64_t kDenyingBits = fs::kNoExecute.kMask;
  [[nodiscard, gnu::always_inline]] static constexpr PlainEntries plain_entries(
      const Ask& ask, const Rules& rules) {
    const bool writable = writes(ask.access) && (!ask.privileged || ask.write_protect);
    const std::uint64_t wanted = fs::kPresent.kMask | rules.accessed |
                                 (ask.privileged ? 0 : std::uint64_t{fs::kUser.kMask}) |
                                 (writable ? std::uint64_t{fs::kWrite.kMask} : 0);
    const std::uint64_t denied =
        ask.execute && rules.no_execute ? std::uint64_t{fs::kNoExecute.kMask} : 0;
    const std::uint64_t leaf = wanted | (writes(ask.access) ? rules.dirty : 0);
    // Above the last level, what is reserved where there are no pages is what makes none.
    return {.table_mask = wanted | denied | rules.table_reserved[kMaxLevels],
            .table_bits = wanted,
            .leaf_mask = leaf | denied | rules.leaf_reserved[1],
            .leaf_bits = leaf};
  }
  [[nodiscard]] static constexpr std::uint64_t below_bits(unsigned) { return 0; }
  [[nodiscard]] static constexpr std::uint64_t dirty_bits(const Rules& rules) {
    return rules.dirty;
  }
  // Whatever is present can be read.
  [[nodiscard]] static constexpr Permissions permissions_of(std::uint64_t entry,
                                                            const Rules& rules) {
    const bool executable = !rules.no_execute || !fs::kNoExecute.is_set(entry);
    return Permissions::from_bits(Permissions::kReadBit |
                                  (fs::kWrite.is_set(entry) ? Permissions::kWriteBit : 0U) |
                                  (fs::kUser.is_set(entry) ? Permissions::kUserBit : 0U) |
                                  (executable ? Permissions::kExecuteBit : 0U));
  }

  // Judged entry by entry; what all of them allow, each allows.
  [[nodiscard, gnu::always_inline]] static constexpr std::optional<FaultReason> refuse(Permissions permissions,
                                                                   const Ask& ask) {
    const auto denial = judge(permissions, ask);
    if (!denial) return std::nullopt;
    switch (*denial) {
      case Denial::kRead:
        return FaultReason::kNoReadPermission;
      case Denial::kWrite:
        return FaultReason::kNoWritePermission;
      case Denial::kExecute:
        return FaultReason::kNoExecutePermission;
      case Denial::kUser:
        return FaultReason::kNotUser;
    }
    return std::nullopt;
  }

  // 3.6: bits 63:N equal bit N-1, where N is the width of the tables and nothing else.
  [[nodiscard]] static constexpr std::optional<FaultReason> refuse_input(std::uint64_t input,
                                                                         unsigned levels) {
    const std::uint64_t upper = bit_mask(63, shift(levels + 1) - 1);
    if ((input & upper) != 0 && (input & upper) != upper) return FaultReason::kNonCanonical;
    return std::nullopt;
  }

  [[nodiscard]] static constexpr std::uint64_t make_table(std::uint64_t address, unsigned) {
    return fs::kAddress.in_place(address) | fs::kPresent.kMask | fs::kWrite.kMask | fs::kUser.kMask;
  }
  // An entry cannot forbid reading: a page without read permission is not present.
  [[nodiscard]] static constexpr std::uint64_t make_leaf(std::uint64_t page, unsigned page_lg2,
                                                         Permissions permissions) {
    return fs::kAddress.in_place(page) | fs::kPresent.of(permissions.can_read()) |
           fs::kWrite.of(permissions.can_write()) | fs::kUser.of(permissions.user()) |
           fs::kNoExecute.of(!permissions.can_execute()) | fs::kPageSize.of(page_lg2 > kPageLg2);
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
static_assert(PlainFormat<X86FirstStage>);

// The same tables where addresses are not sign-extended: AMD v2 for PASID 0 under GIOV, with all of
// its 48 or 57 bits.
struct X86FirstStageUnsigned : X86FirstStage {
  using PlainOf = X86FirstStageUnsigned;
  [[nodiscard]] static constexpr std::optional<FaultReason> refuse_input(std::uint64_t input,
                                                                         unsigned levels) {
    return refuse_beyond_reach<kIndexBits>(input, levels);
  }
};
static_assert(PlainFormat<X86FirstStageUnsigned>);

}  // namespace weir::pagetables
