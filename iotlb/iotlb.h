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
  static constexpr std::size_t kWays = 4;

  explicit Iotlb(const IotlbOptions& options);
  ~Iotlb();
  Iotlb(const Iotlb&) = delete;
  Iotlb& operator=(const Iotlb&) = delete;

  [[nodiscard]] std::optional<Hit> lookup(Tag tag, Iova iova) {
    if (reference_ != nullptr) [[unlikely]]
      return lookup_reference(tag, iova);
    return look<Recency::kMark>(tag, iova);
  }
  // Asks without marking the entry as recently used.
  [[nodiscard]] std::optional<Hit> peek(Tag tag, Iova iova) const;

  [[nodiscard]] FillTicket begin_fill(DomainId domain) const;
  FillResult fill(FillTicket ticket, const Entry& entry);

  // Before it returns, what `what` covers can no longer be found, nor be filled by a walk that
  // began earlier. Context scopes cover nothing here.
  Removed invalidate(const Invalidation& what);

  // Entries present; exact when nothing else runs.
  [[nodiscard]] std::size_t size() const;

 private:
  struct alignas(64) Set {
    std::atomic<std::uint64_t> sequence{0};  // odd while a writer is inside
    std::atomic<std::uint64_t> recent{0};    // a bit per way: used since the bits were last cleared
    std::array<std::atomic<std::uint64_t>, kWays> tag{};  // packed; 0 is an empty way
    std::array<std::atomic<std::uint64_t>, kWays> page{};
    std::array<std::atomic<std::uint64_t>, kWays> output{};  // base | permission bits
  };
  class SetLock;
  enum class Recency : std::uint8_t { kMark, kLeave };
  static constexpr std::size_t kDomainSlots = 64;
  static constexpr int kReadAttempts = 4;

  [[nodiscard]] static std::uint64_t pack(Tag tag, std::uint8_t page_lg2);
  [[nodiscard]] static Entry unpack(std::uint64_t tag, std::uint64_t page, std::uint64_t output);
  [[nodiscard]] Set& set_of(DomainId domain, std::uint64_t page, std::uint8_t page_lg2) const;
  template <Recency kRecency>
  [[nodiscard]] std::optional<Hit> look(Tag tag, Iova iova) const {
    // Relaxed: a size that appears concurrently belongs to a fill that this lookup may miss.
    for (std::uint64_t sizes = sizes_.load(std::memory_order_relaxed); sizes != 0;
         sizes &= sizes - 1) {
      const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(sizes));
      if (const auto hit = look_in_size<kRecency>(tag, iova, lg2)) return hit;
    }
    return std::nullopt;
  }
  template <Recency kRecency>
  [[nodiscard]] std::optional<Hit> look_in_size(Tag tag, Iova iova, std::uint8_t lg2) const;
  [[nodiscard]] std::optional<Hit> lookup_reference(Tag tag, Iova iova);
  [[nodiscard]] std::size_t domain_slot(DomainId domain) const;
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
