// SPDX-License-Identifier: Apache-2.0
#include "iotlb/iotlb.h"

#include <algorithm>

#include "base/seam.h"
#include "iotlb/reference_tlb.h"

namespace weir::iotlb {
namespace {

[[nodiscard]] std::size_t sets_for(const IotlbOptions& options) {
  if (options.reference || options.entries == 0) return 0;
  return std::bit_ceil(std::max(options.entries, Iotlb::kWays)) / Iotlb::kWays;
}

}  // namespace

// Holds a set for writing. Readers meanwhile see an odd sequence and go elsewhere.
class Iotlb::SetLock {
 public:
  explicit SetLock(Set& set) : set_(set) {
    if (WEIR_BUG(kTornEntry)) return;
    for (;;) {
      // Relaxed: the exchange below decides.
      std::uint64_t seen = set_.sequence.load(std::memory_order_relaxed);
      // Acquire: pairs with the release in the destructor, so the ways are read as last written.
      if (seen % 2 == 0 &&
          set_.sequence.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                              std::memory_order_relaxed))
        return;
    }
  }
  ~SetLock() {
    if (WEIR_BUG(kTornEntry)) return;
    // Relaxed load: only the holder writes. Release: pairs with the readers' first acquire load.
    set_.sequence.store(set_.sequence.load(std::memory_order_relaxed) + 1,
                        std::memory_order_release);
  }
  SetLock(const SetLock&) = delete;
  SetLock& operator=(const SetLock&) = delete;

 private:
  Set& set_;
};

Iotlb::Iotlb(const IotlbOptions& options) : set_count_(sets_for(options)) {
  if (options.reference)
    reference_ = std::make_unique<ReferenceTlb>(options.entries);
  else if (set_count_ != 0) {
    sets_ = std::make_unique<Set[]>(set_count_);
    set_shift_ = 63 - std::countr_zero(set_count_);
  }
}

Iotlb::~Iotlb() = default;

template <Iotlb::Recency kRecency>
std::optional<Hit> Iotlb::look_in_sizes(Tag tag, Iova iova, std::uint64_t sizes) const {
  for (; sizes != 0; sizes &= sizes - 1) {
    const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(sizes));
    const std::uint64_t number = iova.value() >> lg2;
    Set& set = set_of(tag.domain, number, lg2);
    const Look look =
        Look::closely_at(set, words::make_tag(tag, lg2), number << lg2, kReadAttempts);
    if (look.miss != 0) continue;
    if constexpr (kRecency == Recency::kMark) mark(set, look.way);
    return look.hit(iova, lg2);
  }
  return std::nullopt;
}

template std::optional<Hit> Iotlb::look_in_sizes<Iotlb::Recency::kMark>(Tag, Iova,
                                                                        std::uint64_t) const;

std::optional<Hit> Iotlb::lookup_reference(Tag tag, Iova iova) {
  return reference_ == nullptr ? std::nullopt : reference_->lookup(tag, iova);
}

std::optional<Hit> Iotlb::peek(Tag tag, Iova iova) const {
  if (reference_ != nullptr) return reference_->peek(tag, iova);
  // Relaxed: as in lookup.
  return look_in_sizes<Recency::kLeave>(tag, iova, sizes_.load(std::memory_order_relaxed));
}

FillResult Iotlb::fill(FillTicket ticket, const Entry& entry) {
  if (entry.page_lg2 < kPageLg2) return FillResult::kNotKept;
  const std::atomic<std::uint64_t>& sequence = sequences_[domain_slot(entry.tag.domain)];
  if (reference_ != nullptr)
    return reference_->fill(entry, [&] {
      // Sequentially consistent: as below, under the reference's lock.
      return sequence.load(std::memory_order_seq_cst) == ticket.sequence;
    });
  if (set_count_ == 0) return FillResult::kNotKept;
  const std::uint64_t size_bit = std::uint64_t{1} << entry.page_lg2;
  // The load avoids a shared write on every fill. Sequentially consistent, both: an invalidation
  // that misses the bit comes before it, whoever of the fills set it, and then the sequence check
  // below refuses this fill.
  if ((sizes_.load(std::memory_order_seq_cst) & size_bit) == 0)
    sizes_.fetch_or(size_bit, std::memory_order_seq_cst);

  Set& set = set_of(entry.tag.domain, entry.page.value() >> entry.page_lg2, entry.page_lg2);
  const SetLock lock(set);
  // Sequentially consistent, after taking the set: either this sees the invalidation's new
  // sequence, or the invalidation takes the set after us and removes the entry (L2).
  if (!WEIR_BUG(kFillUnchecked) && sequence.load(std::memory_order_seq_cst) != ticket.sequence)
    return FillResult::kRefused;

  const std::uint64_t tag = words::make_tag(entry.tag, entry.page_lg2);
  const std::uint64_t key = words::make_key(tag, entry.page.value());
  FillResult result = FillResult::kEvicted;
  std::size_t way = kWays;
  for (std::size_t w = 0; w < kWays; ++w) {
    // Relaxed: the lock orders these.
    const std::uint64_t held = set.tag[w].load(std::memory_order_relaxed);
    if (set.key[w].load(std::memory_order_relaxed) == key && held == tag) {
      way = w;
      result = FillResult::kReplaced;
      break;
    }
    if (held == 0 && way == kWays) {
      way = w;
      result = FillResult::kFilled;
    }
  }
  // Relaxed: hints under the lock.
  std::uint64_t recent = set.recent.load(std::memory_order_relaxed) & IotlbSet::kAllWays;
  if (way == kWays) {
    if (recent == IotlbSet::kAllWays) recent = 0;
    way = static_cast<std::size_t>(std::countr_one(recent));
  }
  recent |= std::uint64_t{1} << way;
  // When all are recent none is: begin again with this one, so that the bits tell from now on.
  if (recent == IotlbSet::kAllWays) recent = std::uint64_t{1} << way;
  set.recent.store(recent, std::memory_order_relaxed);
  // Release, each: makes the odd sequence visible to a reader that sees the new word.
  set.key[way].store(key, std::memory_order_release);
  WEIR_SEAM(kHalfFilled);
  set.output[way].store(words::make_output(entry), std::memory_order_release);
  set.tag[way].store(tag, std::memory_order_release);  // valid last
  return result;
}

void Iotlb::overtake_fills(const Invalidation& what) {
  // Sequentially consistent: pairs with the check in fill(), see there.
  if (what.scope == Scope::kAll || what.scope == Scope::kHostRange) {
    for (auto& sequence : sequences_) sequence.fetch_add(1, std::memory_order_seq_cst);
  } else {
    sequences_[domain_slot(what.domain)].fetch_add(1, std::memory_order_seq_cst);
  }
}

std::uint64_t Iotlb::remove_from(Set& set, const Invalidation& what) {
  const SetLock lock(set);
  std::uint64_t removed = 0;
  for (std::size_t w = 0; w < kWays; ++w) {
    // Relaxed: the lock orders these.
    const std::uint64_t tag = set.tag[w].load(std::memory_order_relaxed);
    if (tag == 0) continue;
    const Entry entry = words::entry_of(tag, set.key[w].load(std::memory_order_relaxed),
                                        set.output[w].load(std::memory_order_relaxed));
    if (!covers(what, entry.tag, entry.page, entry.page_lg2, entry.output)) continue;
    if (WEIR_BUG(kPartialSuperpage) && entry.page < what.range.first) continue;
    // Release: as in fill().
    set.tag[w].store(0, std::memory_order_release);
    ++removed;
  }
  return removed;
}

Removed Iotlb::invalidate(const Invalidation& what) {
  Removed removed;
  if (!what.is_translation_scope()) return removed;
  overtake_fills(what);
  if (reference_ != nullptr) {
    removed.entries = reference_->invalidate(what);
    return removed;
  }
  // Sequentially consistent: see the update in fill().
  const std::uint64_t sizes = sizes_.load(std::memory_order_seq_cst);
  if (sizes == 0) return removed;
  if (what.scope == Scope::kRange) {
    // How many sets the range can touch, size by size.
    std::uint64_t visits = 0;
    for (std::uint64_t left = sizes; left != 0; left &= left - 1) {
      const int lg2 = std::countr_zero(left);
      visits += (what.range.last.value() >> lg2) - (what.range.first.value() >> lg2) + 1;
      if (visits > set_count_) break;
    }
    if (visits <= set_count_) {
      for (std::uint64_t left = sizes; left != 0; left &= left - 1) {
        const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(left));
        const std::uint64_t last = what.range.last.value() >> lg2;
        for (std::uint64_t n = what.range.first.value() >> lg2; n <= last; ++n)
          removed.entries += remove_from(set_of(what.domain, n, lg2), what);
      }
      return removed;
    }
  }
  for (std::size_t i = 0; i < set_count_; ++i) removed.entries += remove_from(sets_[i], what);
  return removed;
}

std::size_t Iotlb::size() const {
  if (reference_ != nullptr) return reference_->size();
  std::size_t count = 0;
  for (std::size_t i = 0; i < set_count_; ++i)
    for (const auto& tag : sets_[i].tag)
      // Relaxed: a census, not a decision.
      count += tag.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  return count;
}

}  // namespace weir::iotlb
