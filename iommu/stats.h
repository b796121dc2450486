// SPDX-License-Identifier: Apache-2.0
//
// The books (L9). Each piece of a request ends as exactly one Outcome; a piece is the part of a
// request that one translation answers: up to the end of its page, whatever the page's size, or of
// its window. Walks and the rest are counted apart.
//
// Plain values: a Stats is a sum taken at one moment. The live counters are per thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "base/clock.h"
#include "base/fault.h"
#include "iotlb/invalidation.h"

namespace weir {

enum class Outcome : std::uint8_t {
  kBypassed,
  kWindowed,
  kPassedThrough,
  kHit,
  kWalked,
  kInterrupt,
  kTranslated,  // came with a translated address and was let through
  kFaulted,
};
inline constexpr std::size_t kOutcomeCount = 8;

[[nodiscard]] std::string_view to_string(Outcome outcome);

struct InvalidationStats {
  std::uint64_t commands = 0;
  std::uint64_t leaf_only = 0;  // that carried the hint
  std::uint64_t covered = 0;    // pages of 4 KiB that page-selective commands named, saturating
  std::uint64_t removed = 0;    // entries
  std::uint64_t removed_walk_entries = 0;  // of the walk caches
  std::uint64_t useless = 0;               // commands that removed nothing, neither here nor there
  std::uint64_t widened = 0;
};

struct Stats {
  std::array<std::uint64_t, kOutcomeCount> outcomes{};
  std::uint64_t walks = 0;       // page walks made, whatever came of them
  std::uint64_t references = 0;  // table entries those walks read
  std::uint64_t fills = 0;
  std::uint64_t refused_fills = 0;  // overtaken by an invalidation (L2)
  std::uint64_t evictions = 0;
  std::uint64_t context_reads = 0;  // times the guest's context structures were read
  std::array<InvalidationStats, iotlb::kScopeCount> invalidations{};
  std::map<FaultReason, std::uint64_t> faults;
  std::map<std::uint16_t, std::uint64_t> fault_codes;  // the front end's own; 0 is absent
  std::uint64_t waits_parked = 0;                      // completions that had to wait for somebody
  std::uint64_t exposed = 0;                           // accesses that no completion waits for
  std::uint64_t page_requests = 0;                     // of devices, whatever came of them
  std::uint64_t device_tlb_timeouts = 0;
  Clock::Duration wait_time{};     // of those that have ended, together, by the embedder's clock
  Clock::Duration longest_wait{};  // of them

  [[nodiscard]] std::uint64_t of(Outcome outcome) const {
    return outcomes[static_cast<std::size_t>(outcome)];
  }
  [[nodiscard]] std::uint64_t pieces() const;
};

}  // namespace weir
