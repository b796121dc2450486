// SPDX-License-Identifier: Apache-2.0
//
// The live counters behind Stats. Those of the hot path are per thread (a slot's own words); those
// of rare events are shared. Any thread; reading gives a sum that is exact when nothing runs.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "iommu/stats.h"
#include "iotlb/bursts.h"

namespace weir::core {

// Counter numbers in a slot: the outcomes first, in their own order.
enum class Count : std::size_t {
  kFirstOutcome = 0,
  kWalks = kOutcomeCount,
  kReferences,
  kFills,
  kRefusedFills,
  kEvictions,
  kContextReads,
  kExposed,
  kEnd,
};
static_assert(static_cast<std::size_t>(Count::kEnd) <= iotlb::BurstRegistry::kCounters);

inline void count(iotlb::BurstRegistry::Slot& slot, Count what, std::uint64_t by = 1) {
  slot.count(static_cast<std::size_t>(what), by);
}
inline void count(iotlb::BurstRegistry::Slot& slot, Outcome outcome) {
  slot.count(static_cast<std::size_t>(outcome));
}

inline void uncount(iotlb::BurstRegistry::Slot& slot, Outcome outcome) {
  slot.uncount(static_cast<std::size_t>(outcome));
}

class RareBooks {
 public:
  void fault(const Fault& fault);
  void invalidation(const iotlb::Invalidation& what, const iotlb::Removed& removed);
  void parked();
  void page_request();
  void device_tlb_timeout();
  // Adds what is here to `stats`.
  void add_to(Stats& stats) const;

 private:
  struct ScopeBooks {
    std::atomic<std::uint64_t> commands{0};
    std::atomic<std::uint64_t> leaf_only{0};
    std::atomic<std::uint64_t> covered{0};
    std::atomic<std::uint64_t> removed{0};
    std::atomic<std::uint64_t> removed_walk_entries{0};
    std::atomic<std::uint64_t> useless{0};
    std::atomic<std::uint64_t> widened{0};
  };
  static constexpr std::size_t kReasons = static_cast<std::size_t>(FaultReason::kAddressWraps) + 1;
  static constexpr std::size_t kCodes = 256;

  std::array<std::atomic<std::uint64_t>, kReasons> reasons_{};
  std::array<std::atomic<std::uint64_t>, kCodes> codes_{};
  std::array<ScopeBooks, iotlb::kScopeCount> scopes_{};
  std::atomic<std::uint64_t> parked_{0};
  std::atomic<std::uint64_t> page_requests_{0};
  std::atomic<std::uint64_t> device_tlb_timeouts_{0};
};

}  // namespace weir::core
