// SPDX-License-Identifier: Apache-2.0
//
// Which domains have had first-stage tables (alone or nested). A page-selective flush of a domain
// names pages of its second stage, and drops whatever first-stage and nested translations the
// domain has as well, wherever they lie (6.5.2.3): for these domains it becomes a flush of the
// domain. For all others it stays exact (L5).
//
// Any thread. Marks are never taken back: a domain that changes its kind costs a wider flush.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "iotlb/invalidation.h"

namespace weir::vtd {

class FirstStageDomains {
 public:
  void mark(DomainId domain) {
    std::atomic<std::uint64_t>& word = words_[word_of(domain)];
    const std::uint64_t bit = bit_of(domain);
    // Sequentially consistent, both: a context is marked before its walk takes fill tickets, and a
    // flush reads the mark before it overtakes fills. A flush that misses the mark comes before the
    // walk reads anything.
    if ((word.load(std::memory_order_seq_cst) & bit) == 0)
      word.fetch_or(bit, std::memory_order_seq_cst);
  }

  [[nodiscard]] iotlb::Invalidation widened(iotlb::Invalidation what) const {
    // Sequentially consistent: see mark.
    const bool marked =
        (words_[word_of(what.domain)].load(std::memory_order_seq_cst) & bit_of(what.domain)) != 0;
    if (what.scope != iotlb::Scope::kRange || what.pasid || !marked) return what;
    what.scope = iotlb::Scope::kDomain;
    what.range = whole_space<Iova>();
    what.leaf_only = false;
    return what;
  }

 private:
  static constexpr std::size_t kWordBits = 64;
  [[nodiscard]] static std::size_t word_of(DomainId domain) {
    return domain.value / kWordBits % kWords;
  }
  [[nodiscard]] static std::uint64_t bit_of(DomainId domain) {
    return std::uint64_t{1} << domain.value % kWordBits;
  }

  static constexpr std::size_t kWords = 65536 / kWordBits;  // domain-ids have 16 bits
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace weir::vtd
