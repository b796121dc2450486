// SPDX-License-Identifier: Apache-2.0
//
// Layout of AMD-Vi v1 (host) page-table entries: PTE and PDE of the manual, 48882 section 2.2.3. As
// a guest stage 2 it maps IOVA or IPA to GPA; as a host map, GPA to HPA. One to six levels; an
// entry names the level that follows, so levels can be skipped; leaves of every power of two from 4
// KiB to 2^51.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/bits.h"
#include "pagetables/walk.h"

namespace weir::pagetables {

namespace v1 {
inline constexpr Bit<0> kPresent{"PR", "present", "2.2.3"};
inline constexpr Field<4, 1> kIgnored4{"-", "ignored", "2.2.3"};
inline constexpr Bit<5> kAccessed{"A", "accessed", "2.2.3"};
inline constexpr Bit<6> kDirty{"D", "dirty, of a PTE", "2.2.3"};
inline constexpr Field<8, 7> kIgnored8{"-", "ignored", "2.2.3"};
inline constexpr Field<11, 9> kNextLevel{"NextLevel", "level of what the address points to",
                                         "2.2.3"};
inline constexpr Field<51, 12> kAddress{"ADDR", "page or table address", "2.2.3"};
inline constexpr Field<58, 52> kReserved58{"-", "reserved (58:57 later PMC)", "2.2.3"};
inline constexpr Bit<59> kUntranslatedAts{"U", "of a PTE: ATS attribute", "2.2.3"};
inline constexpr Bit<60> kForceCoherent{"FC", "of a PTE: force coherent", "2.2.3"};
inline constexpr Bit<61> kRead{"IR", "read allowed", "2.2.3"};
inline constexpr Bit<62> kWrite{"IW", "write allowed", "2.2.3"};
inline constexpr Bit<63> kIgnored63{"-", "ignored", "2.2.3"};
inline constexpr auto kEntry =
    layout<64>(kPresent, kIgnored4, kAccessed, kDirty, kIgnored8, kNextLevel, kAddress, kReserved58,
               kUntranslatedAts, kForceCoherent, kRead, kWrite, kIgnored63);
static_assert(kEntry.reserved == 0);

inline constexpr Field<58, 57> kMemoryClass{"PMC", "of a PTE: memory class", "2.2.3"};

inline constexpr std::uint64_t kLeafOfDefaultSize = 0;  // NextLevel
inline constexpr std::uint64_t kLeafOfEncodedSize = 7;  // NextLevel: the size is in the address
inline constexpr unsigned kLargestPageLg2 = 51;
}  // namespace v1

struct AmdV1 {
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kMaxLevels = 6;
  static constexpr unsigned kLargestLeafLevel = 5;  // level 6 translates [63:57] and holds no leaf

  struct Rules {
    std::uint64_t table_reserved = 0;
    std::uint64_t leaf_reserved = 0;
    std::uint64_t accessed = 0;  // bits set on use
    std::uint64_t dirty = 0;     // bits set in the leaf by a write
  };
  struct Capabilities {
    unsigned host_address_bits = 52;  // PASize: 12…52; higher address bits are reserved
    bool accessed_dirty = false;      // DTE.HAD with EFR.HASup and HDSup
    bool dirty = true;                // of accessed_dirty; false: HAD = 1, A alone
    bool memory_class = false;        // later revisions: bits 58:57 of a PTE are PMC
  };

  [[nodiscard]] static constexpr Rules rules(const Capabilities& capabilities) {
    const std::uint64_t beyond =
        capabilities.host_address_bits < 52 ? bit_mask(51, capabilities.host_address_bits) : 0;
    Rules rules;
    rules.leaf_reserved = beyond | (v1::kReserved58.kMask &
                                    ~(capabilities.memory_class ? v1::kMemoryClass.kMask : 0));
    rules.table_reserved =
        beyond | v1::kReserved58.kMask | v1::kUntranslatedAts.kMask | v1::kForceCoherent.kMask;
    if (capabilities.accessed_dirty) {
      rules.accessed = v1::kAccessed.kMask;
      if (capabilities.dirty) rules.dirty = v1::kDirty.kMask;
    }
    return rules;
  }

  // Present, reserved bits, permission, then the level that follows.
  [[nodiscard, gnu::always_inline]] static constexpr Step inspect(std::uint64_t entry, unsigned level, const Ask& ask,
                                              const Rules& rules) {
    Step step;
    if (!v1::kPresent.is_set(entry)) return step;
    const std::uint64_t next = v1::kNextLevel.get(entry);
    const bool encoded = next == v1::kLeafOfEncodedSize;
    const bool leaf = encoded || next == v1::kLeafOfDefaultSize;
    // An encoded size lies in the address; its ones are not address bits beyond the width.
    const unsigned page_lg2 = encoded ? encoded_size(entry) : shift(level);
    const std::uint64_t size_code =
        encoded && page_lg2 <= v1::kLargestPageLg2 ? bit_mask(page_lg2 - 1, kPageLg2) : 0;
    if (((entry & ~size_code) & (leaf ? rules.leaf_reserved : rules.table_reserved)) != 0) {
      step.reason = FaultReason::kReservedBits;
      return step;
    }
    step.permissions = permissions_of(entry, rules);
    if (!step.permissions.allows(ask.access)) {
      step.reason = missing_permission(step.permissions, ask.access);
      return step;
    }
    const bool fits = !leaf                       ? next < level
                      : level > kLargestLeafLevel ? false
                      : encoded ? page_lg2 > shift(level) && page_lg2 < shift(level + 1) &&
                                      page_lg2 <= v1::kLargestPageLg2
                                : true;
    if (!fits) {
      step.reason = FaultReason::kLevelEncoding;
      return step;
    }
    step.kind = leaf ? Step::Kind::kLeaf : Step::Kind::kTable;
    step.page_lg2 = static_cast<std::uint8_t>(page_lg2);
    step.next_level = static_cast<std::uint8_t>(next);
    step.address = v1::kAddress.in_place(entry);
    // Address bits inside the page are ignored, or spell its size.
    if (leaf) step.address &= ~bit_mask(page_lg2 - 1, 0);
    step.set_on_use = rules.accessed;
    step.set_on_write = rules.dirty;
    return step;
  }

  using PlainOf = AmdV1;
  static constexpr std::uint64_t kPlainAddress = v1::kAddress.kMask;
  static constexpr std::uint64_t kDenyingBits = 0;
  [[nodiscard, gnu::always_inline]] static constexpr PlainEntries plain_entries(
      const Ask& ask, const Rules& rules) {
    const std::uint64_t wanted = v1::kPresent.kMask | rules.accessed |
                                 (ask.access != Access::kWrite ? v1::kRead.kMask : 0) |
                                 (writes(ask.access) ? v1::kWrite.kMask : 0);
    const std::uint64_t leaf = wanted | (writes(ask.access) ? rules.dirty : 0);
    return {.table_mask = wanted | rules.table_reserved | v1::kNextLevel.in_place(~std::uint64_t{0}),
            .table_bits = wanted,
            .leaf_mask = leaf | rules.leaf_reserved | v1::kNextLevel.in_place(~std::uint64_t{0}),
            .leaf_bits = leaf};
  }
  [[nodiscard]] static constexpr std::uint64_t below_bits(unsigned level) {
    return v1::kNextLevel.of(level - 1);
  }
  [[nodiscard]] static constexpr std::uint64_t dirty_bits(const Rules& rules) {
    return rules.dirty;
  }
  [[nodiscard]] static constexpr Permissions permissions_of(std::uint64_t entry, const Rules&) {
    return Permissions::of(v1::kRead.is_set(entry), v1::kWrite.is_set(entry));
  }

  // Judged entry by entry, above.
  [[nodiscard, gnu::always_inline]] static constexpr std::optional<FaultReason> refuse(Permissions, const Ask&) {
    return std::nullopt;
  }
  [[nodiscard]] static constexpr std::optional<FaultReason> refuse_input(std::uint64_t input,
                                                                         unsigned levels) {
    return refuse_beyond_reach<kIndexBits>(input, levels);
  }

  [[nodiscard]] static constexpr std::uint64_t make_table(std::uint64_t address, unsigned level) {
    return v1::kPresent.kMask | v1::kRead.kMask | v1::kWrite.kMask | v1::kNextLevel.of(level - 1) |
           v1::kAddress.in_place(address);
  }
  [[nodiscard]] static constexpr std::uint64_t make_leaf(std::uint64_t page, unsigned page_lg2,
                                                         Permissions permissions) {
    const std::uint64_t entry = v1::kPresent.kMask | v1::kRead.of(permissions.can_read()) |
                                v1::kWrite.of(permissions.can_write()) |
                                v1::kAddress.in_place(page);
    if ((page_lg2 - kPageLg2) % kIndexBits == 0)
      return entry | v1::kNextLevel.of(v1::kLeafOfDefaultSize);
    // 2.2.3: ones from bit 12 up to the zero at bit page_lg2 - 1.
    const std::uint64_t code = page_lg2 > kPageLg2 + 1 ? bit_mask(page_lg2 - 2, kPageLg2) : 0;
    return entry | code | v1::kNextLevel.of(v1::kLeafOfEncodedSize);
  }
  [[nodiscard]] static constexpr std::optional<LeafPlace> leaf_place(unsigned page_lg2,
                                                                     const Rules&) {
    if (page_lg2 < kPageLg2 || page_lg2 > v1::kLargestPageLg2) return std::nullopt;
    const unsigned level = 1 + (page_lg2 - kPageLg2) / kIndexBits;
    return LeafPlace{level, page_lg2 - shift(level)};
  }

 private:
  [[nodiscard]] static constexpr unsigned shift(unsigned level) {
    return kPageLg2 + kIndexBits * (level - 1);
  }
  // 2^(n+1), where n is the lowest zero bit of the address; 64 and more: no size at all.
  [[nodiscard]] static constexpr unsigned encoded_size(std::uint64_t entry) {
    const std::uint64_t address = v1::kAddress.get(entry);
    return kPageLg2 + static_cast<unsigned>(std::countr_one(address)) + 1;
  }
};
static_assert(PlainFormat<AmdV1>);

}  // namespace weir::pagetables
