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
  Set(Iotlb& iotlb, std::uint64_t slot) : iotlb_(iotlb) {
    // In the order in which a page whose place it is prefers them.
    for (std::uint64_t w = 0; w < kWays; ++w)
      ways_[w] = &iotlb.ways_[(slot + w * (iotlb.set_mask_ + 1)) & iotlb.slot_mask_];
    first_ = &iotlb.ways_[slot & iotlb.set_mask_];
    // Sequentially consistent: pairs with may_hold(). Acquires what the release in the destructor
    // published, so the ways are read as last written.
    while (first_->of_set.exchange(1, std::memory_order_seq_cst) != 0) {
      WEIR_SEAM(kSetIsHeld);
      // Relaxed: only waits for a better moment.
      while (first_->of_set.load(std::memory_order_relaxed) != 0) {
      }
    }
  }
  // Release: pairs with the acquire in the constructor.
  ~Set() { first_->of_set.store(0, std::memory_order_release); }
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;

  FillResult put(const Entry& entry, const Owner& owner, const Generations& now) {
    const std::uint64_t tag = words::make_tag(entry.tag, entry.page_lg2);
    const std::uint16_t generation = short_form(now.tag);
    Way* empty = nullptr;
    for (Way* const way : ways_) {
      // Relaxed, here and below: the lock orders these.
      const std::uint64_t held = way->tag.load(std::memory_order_relaxed);
      if (held == 0 && empty == nullptr) empty = way;
      if (held != tag || way->page.load(std::memory_order_relaxed) != entry.page.value()) continue;
      if (way->generation.load(std::memory_order_relaxed) == generation) {
        rewrite(*way, tag, entry, generation);
        return FillResult::kReplaced;
      }
      empty = way;  // it died with its generation
      break;
    }
    if (empty == nullptr) empty = find_dead(entry.tag, generation);
    // Counted before it can be found: a flush that takes the entry has then counted it.
    if (!iotlb_.count_in(owner, now)) return FillResult::kRefused;
    FillResult result = FillResult::kFilled;
    if (empty == nullptr) {
      empty = push_out();
      result = FillResult::kEvicted;
    }
    rewrite(*empty, tag, entry, generation);
    // Nobody has used it yet: what is only passing through pushes out its own kind.
    empty->used.store(0, std::memory_order_relaxed);
    filled_last().store(number_of(*empty), std::memory_order_relaxed);
    return result;
  }

  // Takes the set only if it has something to remove: most invalidations name what is not there,
  // and then nothing is written that a lookup reads. After `overtaken`. Gives how many there were.
  static std::uint64_t remove(Iotlb& iotlb, std::uint64_t slot, const Invalidation& what) {
    return may_hold(iotlb, slot, what) ? Set(iotlb, slot).remove(what) : 0;
  }

  std::uint64_t remove(const Invalidation& what) {
    std::uint64_t removed = 0;
    for (Way* const way : ways_)
      if (const auto tag = covered_tag(*way, what)) removed += remove(*way, *tag) ? 1 : 0;
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
  // False: nothing that `what` covers is there, nor will be.
  [[nodiscard]] static bool may_hold(const Iotlb& iotlb, std::uint64_t slot,
                                     const Invalidation& what) {
    // Sequentially consistent: a fill that takes the set later looks for our number later still and
    // is refused; what an earlier one has written is read below.
    if (iotlb.ways_[slot & iotlb.set_mask_].of_set.load(std::memory_order_seq_cst) != 0 &&
        !WEIR_BUG(kSetNotLookedAt))
      return true;
    for (std::uint64_t w = 0; w < kWays; ++w) {
      const Way& way = iotlb.ways_[(slot + w * (iotlb.set_mask_ + 1)) & iotlb.slot_mask_];
      if (covered_tag(way, what)) return true;
    }
    return false;
  }

  // Of an entry that `what` covers.
  [[nodiscard]] static std::optional<Tag> covered_tag(const Way& way, const Invalidation& what) {
    // Acquire, all: where the set is not held, words of two entries may come together, but only if
    // the first of them is gone, which whoever sees a word of the second one sees as well.
    const std::uint64_t tag = way.tag.load(std::memory_order_acquire);
    if (tag == 0) return std::nullopt;
    const std::uint64_t page = way.page.load(std::memory_order_acquire);
    const Entry entry = words::entry_of(tag, page, way.output.load(std::memory_order_acquire));
    if (!covers(what, entry.tag, entry.page, entry.page_lg2, entry.output)) return std::nullopt;
    if (WEIR_BUG(kPartialSuperpage) && entry.page < what.range.first) return std::nullopt;
    return entry.tag;
  }

  [[nodiscard]] std::uint16_t short_form(std::uint64_t generation) const {
    return static_cast<std::uint16_t>(generation & iotlb_.generation_mask_);
  }

  void rewrite(Way& way, std::uint64_t tag, const Entry& entry, std::uint16_t generation) {
    const std::uint32_t sequence = way.sequence.load(std::memory_order_relaxed);
    if (WEIR_BUG(kTornEntry))
      way.tag.store(tag, std::memory_order_release);
    else
      way.sequence.store(sequence + 1, std::memory_order_relaxed);
    // Release, each: makes the odd sequence visible to a reader that sees the new word.
    way.page.store(entry.page.value(), std::memory_order_release);
    WEIR_SEAM(kHalfFilled);
    way.output.store(words::make_output(entry), std::memory_order_release);
    way.generation.store(generation, std::memory_order_release);
    way.tag.store(tag, std::memory_order_release);
    // Release: pairs with the readers' first acquire load.
    if (!WEIR_BUG(kTornEntry)) way.sequence.store(sequence + 2, std::memory_order_release);
  }

  // False if it was dead, and so was counted as gone.
  bool remove(Way& way, Tag tag) {
    const auto owner = iotlb_.owner_of(tag);
    const Generations now = iotlb_.generations_of(*owner);
    const bool alive = way.generation.load(std::memory_order_relaxed) == short_form(now.tag);
    // Release: who sees it gone sees why.
    way.tag.store(0, std::memory_order_release);
    return alive && iotlb_.count_out(*owner, now);
  }

  // What is in the cache has a record there.
  [[nodiscard]] bool is_dead(const Way& way, Tag tag) const {
    return iotlb_.is_dead(way, *iotlb_.owner_of(tag));
  }

  [[nodiscard]] Way* find_dead(Tag mine, std::uint16_t generation) const {
    for (Way* const way : ways_) {
      const Tag theirs = words::tag_of(way->tag.load(std::memory_order_relaxed));
      if (theirs == mine ? way->generation.load(std::memory_order_relaxed) != generation
                         : is_dead(*way, theirs))
        return way;
    }
    return nullptr;
  }

  // The one to go: in the order of preference, the first that was not used since it came. If all
  // were, the one that came last: a device that uses what it fills must not get at another's, one
  // way after the other. Then, and after so many that nobody may want the used ones any more, all
  // begin anew.
  [[nodiscard]] Way* push_out() {
    std::atomic<std::uint8_t>& evictions = way_at(1).of_set;
    const auto count = static_cast<std::uint8_t>(evictions.load(std::memory_order_relaxed) + 1);
    Way* victim = nullptr;
    for (Way* const way : ways_)
      if (victim == nullptr && way->used.load(std::memory_order_relaxed) == 0) victim = way;
    const bool forget = victim == nullptr || count >= kEvictionsToForget;
    evictions.store(forget ? 0 : count, std::memory_order_relaxed);
    if (forget)
      for (Way* const way : ways_) way->used.store(0, std::memory_order_relaxed);
    if (victim == nullptr) victim = &way_at(filled_last().load(std::memory_order_relaxed));
    (void)remove(*victim, words::tag_of(victim->tag.load(std::memory_order_relaxed)));
    return victim;
  }

  [[nodiscard]] Way& way_at(std::uint64_t number) const {
    return *(first_ + number * (iotlb_.set_mask_ + 1));
  }
  [[nodiscard]] std::uint8_t number_of(const Way& way) const {
    return static_cast<std::uint8_t>(static_cast<std::uint64_t>(&way - first_) /
                                     (iotlb_.set_mask_ + 1));
  }
  [[nodiscard]] std::atomic<std::uint8_t>& filled_last() const { return way_at(2).of_set; }

  Iotlb& iotlb_;
  std::array<Way*, kWays> ways_;
  // Whose of_set is the lock; the next one's counts evictions, the third's names a way.
  Way* first_;
};

}  // namespace weir::iotlb
