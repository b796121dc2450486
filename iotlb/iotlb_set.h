// SPDX-License-Identifier: Apache-2.0
//
// A set of the IOTLB, held for writing: what fills and invalidations do to its ways. Private to
// iotlb*.cpp. Readers take no notice of the lock; they notice that a way is being rewritten.
//
// One thread at a time is in a set. Whoever waits here waits for a few dozen instructions of
// another writer, never for a reader.
#pragma once

#include <bit>

#include "base/seam.h"
#include "iotlb/iotlb.h"

namespace weir::iotlb {

class Iotlb::Set {
 public:
  // The set that the place `slot` belongs to.
  [[gnu::always_inline]] Set(Iotlb& iotlb, std::uint64_t slot)
      : iotlb_(iotlb), slot_(slot), first_(&iotlb.ways_[slot & iotlb.set_mask_]) {
    // Sequentially consistent: pairs with may_hold(). Acquires what the release in the destructor
    // published, so the ways are read as last written.
    while (lock().exchange(1, std::memory_order_seq_cst) != 0) {
      WEIR_SEAM(kSetIsHeld);
      // Relaxed: only waits for a better moment.
      while (lock().load(std::memory_order_relaxed) != 0) {
      }
    }
  }
  // Release: pairs with the acquire in the constructor.
  ~Set() { lock().store(0, std::memory_order_release); }
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;

  // What an entry is, word by word.
  struct Words {
    std::uint64_t tag = 0;
    std::uint64_t page = 0;
    std::uint64_t output = 0;
    std::uint16_t generation = 0;
  };

  [[gnu::always_inline]] FillResult put(const Words& words, const Owner& owner,
                                        const Generations& now) {
    const Ways ways = iotlb_.ways_from(slot_);
    // Relaxed, here and below: the lock orders these.
    Way* const same = ways.first(
        [&](const Way& way) { return way.page.load(std::memory_order_relaxed) == words.page; });
    // Mostly nothing is to be looked for: all ways are of this tag and alive. Then one makes room
    // and stays counted in the new one's stead.
    if (same == nullptr &&
        ways.first([&](const Way& way) { return !is_of(way, words); }) == nullptr) [[likely]] {
      const std::uint64_t sets = iotlb_.set_mask_ + 1;
      settle(first_, sets, choose_victim(first_, sets, ways), words);
      return FillResult::kEvicted;
    }
    return put_closely(iotlb_, slot_, words, owner, now);
  }

  // Takes the set only if it has something to remove: most invalidations name what is not there,
  // and then nothing is written that a lookup reads. After `overtaken`. Gives how many there were.
  static std::uint64_t remove(Iotlb& iotlb, std::uint64_t slot, const Invalidation& what) {
    return may_hold(iotlb, slot, what) ? Set(iotlb, slot).remove(what) : 0;
  }

  std::uint64_t remove(const Invalidation& what) {
    std::uint64_t removed = 0;
    for (std::size_t w = 0; w < kWays; ++w) {
      Way& way = way_at(w);
      if (const auto tag = covered_tag(way, what)) removed += remove(iotlb_, way, *tag) ? 1 : 0;
    }
    return removed;
  }

  void remove_dead() {
    for (std::size_t w = 0; w < kWays; ++w) {
      Way& way = way_at(w);
      const std::uint64_t tag = way.tag.load(std::memory_order_relaxed);
      if (tag != 0 && is_dead(iotlb_, way, words::tag_of(tag)))
        way.tag.store(0, std::memory_order_release);
    }
  }

 private:
  // False: nothing that `what` covers is there, nor will be.
  [[nodiscard]] static bool may_hold(Iotlb& iotlb, std::uint64_t slot, const Invalidation& what) {
    // Sequentially consistent: a fill that takes the set later looks for our number later still and
    // is refused; what an earlier one has written is read below.
    const Way* const set = &iotlb.ways_[slot & iotlb.set_mask_];
    if (set->of_set.load(std::memory_order_seq_cst) != 0 && !WEIR_BUG(kSetNotLookedAt)) return true;
    const std::uint64_t sets = iotlb.set_mask_ + 1;
    for (std::size_t w = 0; w < kWays; ++w)
      if (covered_tag(set[w * sets], what)) return true;
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

  // Whether a way is of the same tag and generation.
  [[nodiscard, gnu::always_inline]] static bool is_of(const Way& way, const Words& words) {
    return way.tag.load(std::memory_order_relaxed) == words.tag &&
           way.generation.load(std::memory_order_relaxed) == words.generation;
  }

  // Wherever there is something to be looked for. By value, so that put() keeps all in registers.
  [[nodiscard, gnu::noinline]] static FillResult put_closely(Iotlb& iotlb, std::uint64_t slot,
                                                             Words words, Owner owner,
                                                             Generations now) {
    const Ways ways = iotlb.ways_from(slot);
    Way* const set = &iotlb.ways_[slot & iotlb.set_mask_];
    const std::uint64_t sets = iotlb.set_mask_ + 1;
    Way* to = ways.first([&](const Way& way) {
      return ((way.tag.load(std::memory_order_relaxed) ^ words.tag) |
              (way.page.load(std::memory_order_relaxed) ^ words.page)) == 0;
    });
    if (to != nullptr && is_of(*to, words)) {
      rewrite(*to, words);
      return FillResult::kReplaced;
    }
    // Else it died with its generation.
    if (to == nullptr)
      to = ways.first([](const Way& way) { return way.tag.load(std::memory_order_relaxed) == 0; });
    if (to == nullptr) to = find_dead(iotlb, ways, words);
    // Counted before it can be found: a flush that takes the entry has then counted it.
    if (to != nullptr) {
      if (!iotlb.count_in(owner, now)) return FillResult::kRefused;
      settle(set, sets, *to, words);
      return FillResult::kFilled;
    }
    to = &choose_victim(set, sets, ways);
    if (!is_of(*to, words)) {
      if (!iotlb.count_in(owner, now)) return FillResult::kRefused;
      (void)remove(iotlb, *to, words::tag_of(to->tag.load(std::memory_order_relaxed)));
    }
    settle(set, sets, *to, words);
    return FillResult::kEvicted;
  }

  // `set` is its first way, and `sets` the distance of the others.
  static void settle(Way* set, std::uint64_t sets, Way& to, const Words& words) {
    rewrite(to, words);
    // Nobody has used it yet: what is only passing through pushes out its own kind.
    to.used.store(0, std::memory_order_relaxed);
    const auto distance = static_cast<std::uint64_t>(&to - set);
    const unsigned number = (distance >= sets ? 1U : 0U) + (distance >= 2 * sets ? 1U : 0U) +
                            (distance >= 3 * sets ? 1U : 0U);
    filled_last(set, sets).store(static_cast<std::uint8_t>(number), std::memory_order_relaxed);
  }

  static void rewrite(Way& way, const Words& words) {
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
  static bool remove(Iotlb& iotlb, Way& way, Tag tag) {
    const auto owner = iotlb.owner_of(tag);
    // Release: who sees it gone sees why.
    way.tag.store(0, std::memory_order_release);
    if (!owner) return false;
    const Generations now = iotlb.generations_of(*owner);
    const bool alive =
        way.generation.load(std::memory_order_relaxed) == (now.tag & iotlb.generation_mask_);
    return alive && iotlb.count_out(*owner, now);
  }

  // Without an owner nobody can ask for it: its PASID was wider than a PASID is.
  [[nodiscard]] static bool is_dead(const Iotlb& iotlb, const Way& way, Tag tag) {
    const auto owner = iotlb.owner_of(tag);
    return !owner || iotlb.is_dead(way, *owner);
  }
  // Null: all are alive.
  [[nodiscard]] static Way* find_dead(const Iotlb& iotlb, const Ways& ways, const Words& mine) {
    return ways.first([&](const Way& way) {
      const std::uint64_t tag = way.tag.load(std::memory_order_relaxed);
      return tag == mine.tag ? !is_of(way, mine) : is_dead(iotlb, way, words::tag_of(tag));
    });
  }

  // The one to go: in the order of preference, the first that was not used since it came. If all
  // were, the one that came last: a device that uses what it fills must not get at another's, one
  // way after the other. Then, and after so many that nobody may want the used ones any more, all
  // begin anew.
  [[nodiscard, gnu::always_inline]] static Way& choose_victim(Way* set, std::uint64_t sets,
                                                              const Ways& ways) {
    std::atomic<std::uint8_t>& evictions = set[sets].of_set;
    const auto count = static_cast<std::uint8_t>(evictions.load(std::memory_order_relaxed) + 1);
    Way* const unused =
        ways.first([](const Way& way) { return way.used.load(std::memory_order_relaxed) == 0; });
    const bool forget = unused == nullptr || count >= kEvictionsToForget;
    evictions.store(forget ? 0 : count, std::memory_order_relaxed);
    if (forget)
      for (std::size_t w = 0; w < kWays; ++w)
        set[w * sets].used.store(0, std::memory_order_relaxed);
    return unused != nullptr ? *unused
                             : set[filled_last(set, sets).load(std::memory_order_relaxed) * sets];
  }

  [[nodiscard]] Way& way_at(std::uint64_t number) const {
    return first_[number * (iotlb_.set_mask_ + 1)];
  }
  // Spread over the ways: the lock, how many were pushed out, which way was filled last.
  [[nodiscard]] std::atomic<std::uint8_t>& lock() const { return first_->of_set; }
  [[nodiscard]] static std::atomic<std::uint8_t>& filled_last(Way* set, std::uint64_t sets) {
    return set[2 * sets].of_set;
  }

  Iotlb& iotlb_;
  const std::uint64_t slot_;
  Way* const first_;
};

}  // namespace weir::iotlb
