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

  // What the unit's capabilities make reserved, computed once.
  struct Rules {
    std::array<std::uint64_t, kMaxLevels + 1> table_reserved{};  // by level; 1 is unused
    std::array<std::uint64_t, kMaxLevels + 1> leaf_reserved{};   // by level; 1…3
    std::array<bool, kMaxLevels + 1> leaf_size{};                // by level: may be a leaf
  };
  struct Capabilities {
    unsigned host_address_bits = 52;  // HAW: 12…52; higher address bits are reserved
    bool snoop_control = false;       // ECAP.SC: SNP is defined in leaves
    bool pages_2m = true;             // CAP.SSLPS
    bool pages_1g = true;             // CAP.SSLPS; implies pages_2m
  };

  [[nodiscard]] static constexpr Rules rules(const Capabilities& capabilities) {
    Rules rules;
    std::uint64_t always = ss::kTransientMapping.kMask;
    if (capabilities.host_address_bits < 52)
      always |= ss::kAddress.kMask & (~std::uint64_t{0} << capabilities.host_address_bits);
    const std::uint64_t leaf =
        always | (capabilities.snoop_control ? 0 : std::uint64_t{ss::kSnoop.kMask});
    rules.leaf_size = {
        false, true, capabilities.pages_2m, capabilities.pages_1g && capabilities.pages_2m,
        false, false};
    for (unsigned level = 1; level <= kMaxLevels; ++level) {
      rules.table_reserved[level] = always | ss::kSnoop.kMask;
      // PS where no page of that size exists is reserved (reason SSL.3 of 7.1.3).
      if (!rules.leaf_size[level]) rules.table_reserved[level] |= ss::kPageSize.kMask;
      rules.leaf_reserved[level] = leaf;
      if (level > 1 && level <= kLargestLeafLevel)
        rules.leaf_reserved[level] |= bit_mask(level_shift(level) - 1, kPageLg2);
    }
    return rules;
  }

  // 7.1.3: at each entry the permission is checked before the reserved bits.
  [[nodiscard]] static constexpr Step inspect(std::uint64_t entry, unsigned level, Access access,
                                              const Rules& rules) {
    Step step;
    step.permissions = Permissions::from_bits(entry);
    if (!step.permissions.allows(access)) {
      step.reason = writes(access) && !step.permissions.can_write()
                        ? FaultReason::kNoWritePermission
                        : FaultReason::kNoReadPermission;
      return step;
    }
    const bool leaf = level == 1 || (ss::kPageSize.is_set(entry) && rules.leaf_size[level]);
    if ((entry & (leaf ? rules.leaf_reserved : rules.table_reserved)[level]) != 0) {
      step.reason = FaultReason::kReservedBits;
      return step;
    }
    step.kind = leaf ? Step::Kind::kLeaf : Step::Kind::kTable;
    step.page_lg2 = static_cast<std::uint8_t>(level_shift(level));
    step.address = ss::kAddress.in_place(entry);
    return step;
  }

  [[nodiscard]] static constexpr std::uint64_t make_table(std::uint64_t address) {
    return ss::kAddress.in_place(address) | ss::kRead.kMask | ss::kWrite.kMask;
  }
  [[nodiscard]] static constexpr std::uint64_t make_leaf(std::uint64_t page, unsigned level,
                                                         Permissions permissions) {
    const std::uint64_t size = level > 1 ? std::uint64_t{ss::kPageSize.kMask} : 0;
    return ss::kAddress.in_place(page) | permissions.bits() | size;
  }
  [[nodiscard]] static constexpr bool leaf_allowed(unsigned level, const Rules& rules) {
    return level <= kMaxLevels && rules.leaf_size[level];
  }

 private:
  [[nodiscard]] static constexpr unsigned level_shift(unsigned level) {
    return kPageLg2 + kIndexBits * (level - 1);
  }
};
static_assert(Permissions::kReadBit == ss::kRead.kMask &&
              Permissions::kWriteBit == ss::kWrite.kMask);
static_assert(RadixFormat<VtdSecondStage>);

}  // namespace weir::pagetables
