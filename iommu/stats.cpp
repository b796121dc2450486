// SPDX-License-Identifier: Apache-2.0
#include "iommu/stats.h"

#include <algorithm>
#include <numeric>

#include "iommu/books.h"

namespace weir {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kBypassed:
      return "bypassed";
    case Outcome::kWindowed:
      return "windowed";
    case Outcome::kPassedThrough:
      return "passed through";
    case Outcome::kHit:
      return "hit";
    case Outcome::kWalked:
      return "walked";
    case Outcome::kInterrupt:
      return "interrupt";
    case Outcome::kTranslated:
      return "translated";
    case Outcome::kFaulted:
      return "faulted";
  }
  return "unknown";
}

std::uint64_t Stats::pieces() const {
  return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0});
}

namespace core {
namespace {

// Relaxed, all of them: sums for the books order nothing.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  // Most of what an invalidation could count is nothing, and an addition is a locked exchange.
  if (by != 0) counter.fetch_add(by, std::memory_order_relaxed);
}
std::uint64_t get(const std::atomic<std::uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

// What page-selective commands name, in pages; a guest can name all there are, any number of times.
void add_covered(std::atomic<std::uint64_t>& counter, const iotlb::Invalidation& what) {
  std::uint64_t pages = 0;
  const auto count = [](const auto& range) {
    return (range.last.value() >> kPageLg2) - (range.first.value() >> kPageLg2) + 1;
  };
  if (what.scope == iotlb::Scope::kHostRange)
    pages = count(what.host_range);
  else if (what.scope == iotlb::Scope::kRange || what.scope == iotlb::Scope::kStage2Range)
    pages = count(what.range);
  else
    return;
  // Relaxed, both: as above.
  std::uint64_t seen = counter.load(std::memory_order_relaxed);
  while (!counter.compare_exchange_weak(seen, std::max(seen, seen + pages),
                                        std::memory_order_relaxed)) {
  }
}

}  // namespace

void RareBooks::fault(const Fault& fault) {
  add(reasons_[static_cast<std::size_t>(fault.reason)], 1);
  if (fault.code < kCodes) add(codes_[fault.code], 1);
}

void RareBooks::invalidation(const iotlb::Invalidation& what, const iotlb::Removed& removed) {
  ScopeBooks& books = scopes_[static_cast<std::size_t>(what.scope)];
  add(books.commands, 1);
  add(books.leaf_only, what.leaf_only ? 1 : 0);
  add_covered(books.covered, what);
  add(books.removed, removed.entries);
  add(books.removed_walk_entries, removed.walk_entries);
  add(books.useless, removed.entries + removed.walk_entries == 0 ? 1 : 0);
  add(books.widened, removed.widened ? 1 : 0);
}

void RareBooks::parked() { add(parked_, 1); }
void RareBooks::page_request() { add(page_requests_, 1); }
void RareBooks::device_tlb_timeout() { add(device_tlb_timeouts_, 1); }

void RareBooks::add_to(Stats& stats) const {
  for (std::size_t i = 0; i < kReasons; ++i)
    if (const auto n = get(reasons_[i]); n != 0) stats.faults[static_cast<FaultReason>(i)] += n;
  for (std::size_t i = 1; i < kCodes; ++i)
    if (const auto n = get(codes_[i]); n != 0)
      stats.fault_codes[static_cast<std::uint16_t>(i)] += n;
  for (std::size_t i = 0; i < iotlb::kScopeCount; ++i) {
    InvalidationStats& to = stats.invalidations[i];
    to.commands += get(scopes_[i].commands);
    to.leaf_only += get(scopes_[i].leaf_only);
    to.covered += get(scopes_[i].covered);
    to.removed += get(scopes_[i].removed);
    to.removed_walk_entries += get(scopes_[i].removed_walk_entries);
    to.useless += get(scopes_[i].useless);
    to.widened += get(scopes_[i].widened);
  }
  stats.waits_parked += get(parked_);
  stats.page_requests += get(page_requests_);
  stats.device_tlb_timeouts += get(device_tlb_timeouts_);
}

}  // namespace core
}  // namespace weir
