// SPDX-License-Identifier: Apache-2.0
//
// A set of the IOTLB, held for writing: what fills and invalidations do to its ways. Private to
// iotlb*.cpp. Readers take no notice of the lock; they notice that a way is being rewritten.
//
// One thread at a time is in a set. Whoever waits here waits for a few dozen instructions of
// another writer, never for a reader.
#pragma once

#include <array>

#include "base/seam.h"
#include "iotlb/iotlb.h"

namespace weir::iotlb {

class Iotlb::Set {
 public:
  // The set that the place `slot` belongs to.
  Set(Iotlb& iotlb, std::uint64_t slot) : iotlb_(iotlb), own_(slot >> iotlb.set_bits_) {
    // In the order in which a page whose place it is prefers them.
    for (std::uint64_t w = 0; w < kWays; ++w)
      ways_[w] = &iotlb.ways_[(slot + w * (iotlb.set_mask_ + 1)) & iotlb.slot_mask_];
    first_ = &iotlb.ways_[slot & iotlb.set_mask_];
    // Acquire: pairs with the release in the destructor, so the ways are read as last written.
    while (first_->of_set.exchange(1, std::memory_order_acquire) != 0) {
      // Relaxed: only waits for a better moment.
      while (first_->of_set.load(std::memory_order_relaxed) != 0) {
      }
    }
  }
  // Release: pairs with the acquire in the constructor.
  ~Set() { first_->of_set.store(0, std::memory_order_release); }
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;

  // What an entry is, word by word.
  struct Words {
    std::uint64_t tag = 0;
    std::uint64_t page = 0;
    std::uint64_t output = 0;
    std::uint16_t generation = 0;
  };

  FillResult put(const Words& words, const Owner& owner, const Generations& now) {
    std::size_t to = kWays;
    for (std::size_t i = 0; i < kWays; ++i) {
      // Relaxed, here and below: the lock orders these.
      const std::uint64_t held = ways_[i]->tag.load(std::memory_order_relaxed);
      if (held == 0 && to == kWays) to = i;
      if (held != words.tag || ways_[i]->page.load(std::memory_order_relaxed) != words.page)
        continue;
      if (is_of(*ways_[i], words)) {
        rewrite(*ways_[i], words);
        return FillResult::kReplaced;
      }
      to = i;  // it died with its generation
      break;
    }
    if (to == kWays) to = find_dead(words);
    FillResult result = FillResult::kFilled;
    if (to != kWays) {
      // Counted before it can be found: a flush that takes the entry has then counted it.
      if (!iotlb_.count_in(owner, now)) return FillResult::kRefused;
    } else {
      result = FillResult::kEvicted;
      to = choose_victim();
      // One of its own kind makes room and stays counted in its stead.
      if (ways_[to]->tag.load(std::memory_order_relaxed) != words.tag ||
          !is_of(*ways_[to], words)) {
        if (!iotlb_.count_in(owner, now)) return FillResult::kRefused;
        (void)remove(*ways_[to], words::tag_of(ways_[to]->tag.load(std::memory_order_relaxed)));
      }
    }
    rewrite(*ways_[to], words);
    // Nobody has used it yet: what is only passing through pushes out its own kind.
    ways_[to]->used.store(0, std::memory_order_relaxed);
    filled_last().store(static_cast<std::uint8_t>((own_ + to) % kWays), std::memory_order_relaxed);
    return result;
  }

  // Gives how many there were.
  std::uint64_t remove(const Invalidation& what) {
    std::uint64_t removed = 0;
    for (Way* const way : ways_) {
      const std::uint64_t tag = way->tag.load(std::memory_order_relaxed);
      if (tag == 0) continue;
      const Entry entry = words::entry_of(tag, way->page.load(std::memory_order_relaxed),
                                          way->output.load(std::memory_order_relaxed));
      if (!covers(what, entry.tag, entry.page, entry.page_lg2, entry.output)) continue;
      if (WEIR_BUG(kPartialSuperpage) && entry.page < what.range.first) continue;
      removed += remove(*way, entry.tag) ? 1 : 0;
    }
    return removed;
  }

  void remove_dead() {
    for (Way* const way : ways_) {
      const std::uint64_t tag = way->tag.load(std::memory_order_relaxed);
      if (tag != 0 && is_dead(*way, words::tag_of(tag)))
        way->tag.store(0, std::memory_order_release);
    }
  }

 private:
  [[nodiscard]] std::uint16_t short_form(std::uint64_t generation) const {
    return static_cast<std::uint16_t>(generation & iotlb_.generation_mask_);
  }

  // Whether a way with the same tag is of the same generation.
  [[nodiscard]] static bool is_of(const Way& way, const Words& words) {
    return way.generation.load(std::memory_order_relaxed) == words.generation;
  }

  void rewrite(Way& way, const Words& words) {
    const std::uint32_t sequence = way.sequence.load(std::memory_order_relaxed);
    if (WEIR_BUG(kTornEntry))
      way.tag.store(words.tag, std::memory_order_release);
    else
      way.sequence.store(sequence + 1, std::memory_order_relaxed);
    // Release, each: makes the odd sequence visible to a reader that sees the new word.
    way.page.store(words.page, std::memory_order_release);
    WEIR_SEAM(kHalfFilled);
    way.output.store(words.output, std::memory_order_release);
    way.generation.store(words.generation, std::memory_order_release);
    way.tag.store(words.tag, std::memory_order_release);
    // Release: pairs with the readers' first acquire load.
    if (!WEIR_BUG(kTornEntry)) way.sequence.store(sequence + 2, std::memory_order_release);
  }

  // False if it was dead, and so was counted as gone.
  bool remove(Way& way, Tag tag) {
    const auto owner = iotlb_.owner_of(tag);
    // Release: who sees it gone sees why.
    way.tag.store(0, std::memory_order_release);
    if (!owner) return false;
    const Generations now = iotlb_.generations_of(*owner);
    const bool alive = way.generation.load(std::memory_order_relaxed) == short_form(now.tag);
    return alive && iotlb_.count_out(*owner, now);
  }

  // Without an owner nobody can ask for it: its PASID was wider than a PASID is.
  [[nodiscard]] bool is_dead(const Way& way, Tag tag) const {
    const auto owner = iotlb_.owner_of(tag);
    return !owner || iotlb_.is_dead(way, *owner);
  }

  // kWays: there is none.
  [[nodiscard]] std::size_t find_dead(const Words& mine) const {
    for (std::size_t i = 0; i < kWays; ++i) {
      const std::uint64_t tag = ways_[i]->tag.load(std::memory_order_relaxed);
      if (tag == mine.tag ? !is_of(*ways_[i], mine) : is_dead(*ways_[i], words::tag_of(tag)))
        return i;
    }
    return kWays;
  }

  // The one to go: in the order of preference, the first that was not used since it came. If all
  // were, the one that came last: a device that uses what it fills must not get at another's, one
  // way after the other. Then, and after so many that nobody may want the used ones any more, all
  // begin anew.
  [[nodiscard]] std::size_t choose_victim() {
    std::atomic<std::uint8_t>& evictions = way_at(1).of_set;
    const auto count = static_cast<std::uint8_t>(evictions.load(std::memory_order_relaxed) + 1);
    std::size_t victim = 0;
    while (victim < kWays && ways_[victim]->used.load(std::memory_order_relaxed) != 0) ++victim;
    const bool all_used = victim == kWays;
    const bool forget = all_used || count >= kEvictionsToForget;
    evictions.store(forget ? 0 : count, std::memory_order_relaxed);
    if (forget)
      for (Way* const way : ways_) way->used.store(0, std::memory_order_relaxed);
    if (all_used) {
      const std::size_t last = filled_last().load(std::memory_order_relaxed);
      victim = (last + kWays - own_) % kWays;
    }
    return victim;
  }

  [[nodiscard]] Way& way_at(std::uint64_t number) const {
    return *(first_ + number * (iotlb_.set_mask_ + 1));
  }
  [[nodiscard]] std::atomic<std::uint8_t>& filled_last() const { return way_at(2).of_set; }

  Iotlb& iotlb_;
  const std::size_t own_;  // number of the way that ways_ begins with
  std::array<Way*, kWays> ways_;
  // Whose of_set is the lock; the next one's counts evictions, the third's names a way.
  Way* first_;
};

}  // namespace weir::iotlb
