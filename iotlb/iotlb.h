// SPDX-License-Identifier: Apache-2.0
//
// The IOTLB: finished translations of one unit, all domains together. Set-associative; a set is
// read without a lock and validated by its sequence word (L3, L4), written under it. Invalidation
// is exact at every page size (L5): a page-selective one visits the sets its pages can lie in, or
// sweeps all sets where that is less, and never widens.
//
// lookup, begin_fill and fill: any device thread. invalidate: any thread. A lookup that meets a
// writer retries a few times, then answers "miss"; it never waits. This is the first organisation;
// a faster one may take its place behind the same four calls.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "iotlb/entry.h"
#include "iotlb/invalidation.h"
#include "iotlb/iotlb_set.h"

namespace weir::iotlb {

class ReferenceTlb;

struct IotlbOptions {
  // Entries, rounded up to a power of two of at least kWays; 0: caches nothing.
  std::size_t entries = 4096;
  // Exact LRU over all entries behind a lock instead (reference_tlb.h); `entries` 0 is then no
  // limit.
  bool reference = false;
};

class Iotlb {
 public:
  static constexpr std::size_t kWays = IotlbSet::kWays;

  explicit Iotlb(const IotlbOptions& options);
  ~Iotlb();
  Iotlb(const Iotlb&) = delete;
  Iotlb& operator=(const Iotlb&) = delete;

  [[gnu::always_inline]] [[nodiscard]] std::optional<Hit> lookup(Tag tag, Iova iova) {
    // Relaxed: a size that appears concurrently belongs to a fill that this lookup may miss.
    const std::uint64_t sizes = sizes_.load(std::memory_order_relaxed);
    // The reference organisation keeps its sizes to itself.
    if (sizes == 0) [[unlikely]]
      return lookup_reference(tag, iova);
    const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(sizes));
    const std::uint64_t number = iova.value() >> lg2;
    Set& set = set_of(tag.domain, number, lg2);
    const Look look = Look::at(set, words::make_tag(tag, lg2), number << lg2);
    if (look.miss != 0) [[unlikely]] {
      const std::uint64_t left = look.absent ? sizes & (sizes - 1) : sizes;
      if (left == 0) return std::nullopt;
      return look_in_sizes<Recency::kMark>(tag, iova, left);
    }
    mark(set, look.way);
    return look.hit(iova, lg2);
  }
  // Asks without marking the entry as recently used.
  [[nodiscard]] std::optional<Hit> peek(Tag tag, Iova iova) const;

  // It was made without entries: no question has an answer and no fill is kept.
  [[nodiscard]] bool off() const { return set_count_ == 0 && reference_ == nullptr; }

  [[nodiscard]] FillTicket begin_fill(DomainId domain) const {
    // Acquire: pairs with overtake_fills; a walk that begins after an invalidation reads tables as
    // the guest left them before it.
    return {sequences_[domain_slot(domain)].load(std::memory_order_acquire)};
  }
  FillResult fill(FillTicket ticket, const Entry& entry);

  // Before it returns, what `what` covers can no longer be found, nor be filled by a walk that
  // began earlier. Context scopes cover nothing here.
  Removed invalidate(const Invalidation& what);

  // Entries present; exact when nothing else runs.
  [[nodiscard]] std::size_t size() const;

 private:
  using Set = IotlbSet;
  class SetLock;
  enum class Recency : std::uint8_t { kMark, kLeave };
  static constexpr std::size_t kDomainSlots = 64;
  static constexpr int kReadAttempts = 4;

  // Fibonacci hashing: the high half is well mixed.
  [[nodiscard]] static std::uint64_t mix(std::uint64_t x) { return x * words::kSpread >> 32; }
  // PASIDs of a domain share their sets, so that a flush of the domain's page finds all of them.
  // Guests hand out the same few addresses in every domain, so the domain turns the whole pattern
  // rather than only a bit of it; and it is the product's highest bits that every bit of a page
  // number reaches.
  [[nodiscard]] Set& set_of(DomainId domain, std::uint64_t page_number,
                            std::uint8_t page_lg2) const {
    constexpr std::uint64_t kDomains = 0xd1342543de82ef95;  // odd, unlike kSpread in every digit
    const std::uint64_t hash = (page_number + page_lg2) * words::kSpread + domain.value * kDomains;
    return sets_[hash >> 1 >> set_shift_];
  }
  static void mark(Set& set, std::size_t way) {
    // Relaxed: a hint for the replacement; written only when it changes, so that a hot entry's line
    // stays shared (L4).
    const std::uint64_t recent = set.recent.load(std::memory_order_relaxed);
    const std::uint64_t bit = std::uint64_t{1} << way;
    if ((recent & bit) == 0) [[unlikely]]
      set.recent.store(recent | bit, std::memory_order_relaxed);
  }
  // Everything but an answer at first sight; `sizes` are those to be asked.
  template <Recency kRecency>
  [[nodiscard]] std::optional<Hit> look_in_sizes(Tag tag, Iova iova, std::uint64_t sizes) const;
  [[nodiscard]] std::optional<Hit> lookup_reference(Tag tag, Iova iova);
  [[nodiscard]] static std::size_t domain_slot(DomainId domain) {
    return mix(domain.value) % kDomainSlots;
  }
  void overtake_fills(const Invalidation& what);
  std::uint64_t remove_from(Set& set, const Invalidation& what);

  // Constant after construction.
  std::size_t set_count_ = 0;  // a power of two
  int set_shift_ = 0;          // of 63 hash bits, leaves a set's number
  std::unique_ptr<Set[]> sets_;
  std::unique_ptr<ReferenceTlb> reference_;

  // Atomic.
  std::atomic<std::uint64_t> sizes_{0};  // a bit per page_lg2 that was ever filled
  std::array<std::atomic<std::uint64_t>, kDomainSlots> sequences_{};
};

}  // namespace weir::iotlb
