// SPDX-License-Identifier: Apache-2.0
#include "iotlb/walk_cache.h"

#include <algorithm>

namespace weir::iotlb {

// Holds a set for writing. Readers meanwhile see an odd sequence and go elsewhere.
template <Keeps kKeeps>
class WalkCache<kKeeps>::SetLock {
 public:
  explicit SetLock(Way* set) : sequence_(sequence_of(set)) {
    for (;;) {
      // Relaxed: the exchange below decides.
      std::uint64_t seen = sequence_.load(std::memory_order_relaxed);
      // Sequentially consistent: pairs with remove_from, which looks for an odd sequence after it
      // has overtaken fills; and acquires what the release in the destructor published.
      if (seen % 2 == 0 &&
          sequence_.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst,
                                          std::memory_order_relaxed))
        return;
    }
  }
  ~SetLock() {
    // Relaxed load: only the holder writes. Release: pairs with the readers' first acquire load.
    sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  SetLock(const SetLock&) = delete;
  SetLock& operator=(const SetLock&) = delete;

 private:
  std::atomic<std::uint64_t>& sequence_;
};

template <Keeps kKeeps>
WalkCache<kKeeps>::WalkCache(std::size_t entries)
    : set_count_(entries == 0 ? 0 : std::bit_ceil(std::max(entries, kWays)) / kWays) {
  if (set_count_ == 0) return;
  ways_ = std::make_unique<Way[]>(set_count_ * kWays);
  place_shift_ = 64 - std::countr_zero(set_count_ * kWays);
}

template <Keeps kKeeps>
bool WalkCache<kKeeps>::look_further(Tag tag, std::uint64_t input, std::uint64_t sizes,
                                     WalkHit& hit) {
  for (; sizes != 0; sizes &= sizes - 1) {
    const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(sizes));
    const std::uint64_t number = input >> lg2;
    const std::uint64_t wanted = words::make_tag(tag, lg2);
    Way* const set = &ways_[place_of(tag.domain, number, lg2) / kWays * kWays];
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      // Orders as in lookup().
      const std::uint64_t before = sequence_of(set).load(std::memory_order_acquire);
      std::size_t found = kWays;
      for (std::size_t w = 0; w < kWays; ++w) {
        if (set[w].differs(wanted, number << lg2) != 0) continue;
        read(set[w], set[w].output.load(std::memory_order_acquire), lg2, hit);
        found = w;
      }
      if (before != sequence_of(set).load(std::memory_order_relaxed) || before % 2 != 0) continue;
      if (found == kWays) break;
      mark(set, found);
      return true;
    }
  }
  return false;
}

template <Keeps kKeeps>
FillResult WalkCache<kKeeps>::fill(FillTicket ticket, const Entry& entry, const Pointer& pointer) {
  if (off() || entry.page_lg2 < kPageLg2) return FillResult::kNotKept;
  const std::uint8_t lg2 = entry.page_lg2;
  const std::uint64_t size_bit = std::uint64_t{1} << lg2;
  // The load avoids a shared write on every fill. Sequentially consistent, both: an invalidation
  // that misses the bit comes before it, whoever of the fills set it, and then the sequence check
  // below refuses this fill.
  if ((sizes_.load(std::memory_order_seq_cst) & size_bit) == 0)
    sizes_.fetch_or(size_bit, std::memory_order_seq_cst);

  const std::size_t place = place_of(entry.tag.domain, entry.page.value() >> lg2, lg2);
  Way* const set = &ways_[place / kWays * kWays];
  const SetLock lock(set);
  // Sequentially consistent, after taking the set: either this sees the invalidation's new
  // sequence, or the invalidation finds the set taken or the entry in it (L2).
  if (sequences_[domain_slot(entry.tag.domain)].load(std::memory_order_seq_cst) != ticket.sequence)
    return FillResult::kRefused;

  const std::uint64_t tag = words::make_tag(entry.tag, lg2);
  const std::size_t own = place % kWays;
  FillResult result = FillResult::kEvicted;
  std::size_t way = kWays;
  for (std::size_t i = 0; i < kWays; ++i) {
    const std::size_t w = own ^ i;  // those that lookups look at first
    // Relaxed: the lock orders these.
    const std::uint64_t held = set[w].tag.load(std::memory_order_relaxed);
    if (held == tag && set[w].page.load(std::memory_order_relaxed) == entry.page.value()) {
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
  std::uint64_t recent = recent_of(set).load(std::memory_order_relaxed) & kAllWays;
  if (way == kWays) {
    // Its own place, unless what lies there is in use and something else is not.
    if (recent == kAllWays) recent = 0;
    way = (recent >> own & 1) == 0 ? own : static_cast<std::size_t>(std::countr_one(recent));
  }
  recent |= std::uint64_t{1} << way;
  // When all are recent none is: begin again with this one, so that the bits tell from now on.
  if (recent == kAllWays) recent = std::uint64_t{1} << way;
  recent_of(set).store(recent, std::memory_order_relaxed);
  Way& to = set[way];
  // Release, each: makes the odd sequence visible to a reader that sees the new word.
  to.page.store(entry.page.value(), std::memory_order_release);
  to.output.store(words::make_output(entry), std::memory_order_release);
  if constexpr (kPointers) {
    to.pointer.to.store(pointer.to, std::memory_order_release);
    to.pointer.ticket.store(pointer.ticket.sequence, std::memory_order_release);
  }
  to.tag.store(tag, std::memory_order_release);  // valid last
  return result;
}

template <Keeps kKeeps>
void WalkCache<kKeeps>::overtake_fills(const Invalidation& what) {
  // Sequentially consistent: pairs with the check in fill(), see there.
  if (what.scope == Scope::kAll || what.scope == Scope::kHostRange) {
    for (auto& sequence : sequences_) sequence.fetch_add(1, std::memory_order_seq_cst);
  } else {
    sequences_[domain_slot(what.domain)].fetch_add(1, std::memory_order_seq_cst);
  }
}

template <Keeps kKeeps>
bool WalkCache<kKeeps>::covered(const Invalidation& what, const Way& way) {
  // Acquire: as a lookup reads them; who holds the set needs no order.
  const std::uint64_t tag = way.tag.load(std::memory_order_acquire);
  if (tag == 0) return false;
  const std::uint64_t page = way.page.load(std::memory_order_acquire);
  const Entry entry = words::entry_of(tag, page, way.output.load(std::memory_order_acquire));
  return covers(what, entry.tag, entry.page, entry.page_lg2, entry.output);
}

template <Keeps kKeeps>
std::uint64_t WalkCache<kKeeps>::remove_from(Way* set, const Invalidation& what) {
  // Most sets hold nothing of it, and are left alone. Sequentially consistent: a fill that was not
  // refused has taken the set before it looked for our sequence, so here it is inside or done.
  const std::uint64_t before = sequence_of(set).load(std::memory_order_seq_cst);
  if (before % 2 == 0) {
    const bool any = std::any_of(set, set + kWays, [&](const Way& w) { return covered(what, w); });
    // Relaxed: ordered after the loads before it because those are acquire.
    if (!any && sequence_of(set).load(std::memory_order_relaxed) == before) return 0;
  }
  const SetLock lock(set);
  std::uint64_t removed = 0;
  for (std::size_t w = 0; w < kWays; ++w) {
    if (!covered(what, set[w])) continue;
    // Release: as in fill().
    set[w].tag.store(0, std::memory_order_release);
    ++removed;
  }
  return removed;
}

template <Keeps kKeeps>
std::uint64_t WalkCache<kKeeps>::invalidate(const Invalidation& what) {
  if (!what.is_translation_scope()) return 0;
  overtake_fills(what);
  // Sequentially consistent: see the update in fill().
  const std::uint64_t sizes = sizes_.load(std::memory_order_seq_cst);
  if (sizes == 0) return 0;
  std::uint64_t removed = 0;
  if (what.scope == Scope::kRange) {
    // How many sets the range can touch, size by size.
    std::uint64_t visits = 0;
    for (std::uint64_t left = sizes; left != 0 && visits <= set_count_; left &= left - 1) {
      const int lg2 = std::countr_zero(left);
      visits += (what.range.last.value() >> lg2) - (what.range.first.value() >> lg2) + 1;
    }
    if (visits <= set_count_) {
      for (std::uint64_t left = sizes; left != 0; left &= left - 1) {
        const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(left));
        const std::uint64_t last = what.range.last.value() >> lg2;
        for (std::uint64_t n = what.range.first.value() >> lg2; n <= last; ++n)
          removed += remove_from(&ways_[place_of(what.domain, n, lg2) / kWays * kWays], what);
      }
      return removed;
    }
  }
  for (std::size_t i = 0; i < set_count_; ++i) removed += remove_from(&ways_[i * kWays], what);
  return removed;
}

template <Keeps kKeeps>
std::size_t WalkCache<kKeeps>::size() const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < set_count_ * kWays; ++i)
    // Relaxed: a census, not a decision.
    count += ways_[i].tag.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  return count;
}

template class WalkCache<Keeps::kOutputs>;
template class WalkCache<Keeps::kPointersToo>;

}  // namespace weir::iotlb
