// SPDX-License-Identifier: Apache-2.0
//
// One neutral value for every "forget this" that a guest or an embedder can say. Vendors decode
// their descriptors and registers into it; caches, pins, device TLBs and listeners read it. A pure
// value; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/ids.h"

namespace weir::iotlb {

// What is to be forgotten.
enum class Scope : std::uint8_t {
  // Translations.
  kAll,     // every translation of the unit
  kDomain,  // of `domain`
  kPasid,   // of `domain` and `pasid`
  kRange,   // of `domain` (and `pasid`, if set) inside `range`
  // `range` of the guest's stage 2 of `domain` changed: entries of that stage alone (those without
  // a PASID) inside it, and all that were made through it, which is every entry of the domain with
  // one (L7).
  kStage2Range,
  // Contexts: what the unit knows about requesters.
  kContextAll,
  kContextDomain,  // contexts that name `domain`
  kContextPasid,   // those of `domain` that `pasid` led to, and those without a PASID
  kContextDevice,  // contexts of `requester` under `requester_mask`
  // Interrupt entries: what messages become.
  kInterruptAll,
  kInterruptRange,   // entries `first_interrupt` to `last_interrupt`
  kInterruptDevice,  // the table of `requester`
  // What a function keeps in a TLB of its own: of `requester`, inside `range`, of `pasid` or none,
  // or of `all_pasids`.
  kDeviceTlb,
  // Not the guest's words: the embedder's host map changed. Guest flushes never touch this cache.
  kHostRange,  // everything whose answer lies in `host_range`
  // Everything in flight for one function (reset, bus-master off, detach).
  kRequester,
};
inline constexpr unsigned kScopeCount = 15;

[[nodiscard]] std::string_view to_string(Scope scope);

struct Invalidation {
  Scope scope = Scope::kAll;
  DomainId domain{};
  std::optional<Pasid> pasid{};
  Requester requester{};
  // Bits of `requester.bdf` that need not match (VT-d function mask).
  std::uint16_t requester_mask = 0;
  AddressRange<Iova> range = whole_space<Iova>();
  AddressRange<Gpa> host_range = whole_space<Gpa>();
  // The guest says that only leaf entries changed: walk caches of non-leaf entries may stay (VT-d
  // IH).
  bool leaf_only = false;
  bool all_pasids = false;  // kDeviceTlb
  std::uint32_t first_interrupt = 0;
  std::uint32_t last_interrupt = ~std::uint32_t{0};

  // Of translations that an IOTLB holds.
  [[nodiscard]] constexpr bool is_translation_scope() const {
    return scope <= Scope::kStage2Range || scope == Scope::kHostRange;
  }
  [[nodiscard]] constexpr bool is_context_scope() const {
    return scope >= Scope::kContextAll && scope <= Scope::kContextDevice;
  }
  [[nodiscard]] constexpr bool is_interrupt_scope() const {
    return scope >= Scope::kInterruptAll && scope <= Scope::kInterruptDevice;
  }
  [[nodiscard]] constexpr bool matches(Requester r) const {
    return r.segment == requester.segment && ((r.bdf ^ requester.bdf) & ~requester_mask) == 0;
  }
};

// What an invalidation did.
struct Removed {
  std::uint64_t entries = 0;       // finished translations, or contexts; not what walk caches held
  bool widened = false;            // more was dropped than was named
  std::uint64_t walk_entries = 0;  // of the walk caches: tables, and finished stage-2 pages
};

}  // namespace weir::iotlb
