// SPDX-License-Identifier: Apache-2.0
//
// Who is in the middle of something. Every thread that uses an Iommu has one slot here; while it is
// inside a burst the slot shows the epoch in which the burst began. A completion advances the epoch
// and may be published once no slot shows an older one (L1). Nobody waits for anybody: the question
// is asked, and asked again by whoever ends a burst.
//
// enter and leave: the slot's own thread. Everything else: any thread. Slots are made on a thread's
// first use, reused after its end, and freed with the registry.
//
// This guard is symmetric: a burst publishes itself with one sequentially consistent store. The
// cheaper, asymmetric kinds fit behind the same calls.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/seam.h"

namespace weir::iotlb {

class BurstRegistry {
 public:
  static constexpr std::uint64_t kIdle = 0;
  static constexpr std::size_t kCounters = 32;

  // One thread's place. Counters have one writer, so counting is a load and a store (L9).
  class alignas(64) Slot {
   public:
    [[nodiscard]] std::uint64_t epoch() const {
      // Relaxed: asked by the slot's own thread.
      return epoch_.load(std::memory_order_relaxed);
    }
    void count(std::size_t counter, std::uint64_t by = 1) {
      std::atomic<std::uint64_t>& c = counters_[counter];
      // Relaxed: a book-keeping sum; readers want it complete only when nothing runs.
      c.store(c.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    // Takes one back that this thread has counted.
    void uncount(std::size_t counter) { count(counter, ~std::uint64_t{0}); }

   private:
    friend class BurstRegistry;
    // A line for what scans read, and others for what every request writes: a guest that waits for
    // this burst may ask again and again.
    std::atomic<std::uint64_t> epoch_{kIdle};
    Slot* next_ = nullptr;  // constant once the slot is in the list
    std::atomic<bool> taken_{true};
    // The slot's own thread only.
    alignas(64) std::uint64_t oldest_ = kIdle;  // the oldest epoch that this burst has shown
    std::uint32_t depth_ = 0;                   // nested bursts
    std::array<std::atomic<std::uint64_t>, kCounters> counters_{};
  };

  BurstRegistry();
  ~BurstRegistry();
  BurstRegistry(const BurstRegistry&) = delete;
  BurstRegistry& operator=(const BurstRegistry&) = delete;

  // The calling thread's slot.
  [[nodiscard]] Slot& slot();

  void enter(Slot& slot) {
    if (slot.depth_++ != 0) return;
    // Sequentially consistent store, then load: either a completion's scan sees this slot, or this
    // load sees the epoch that the completion advanced, and with it everything it dropped before.
    slot.oldest_ = epoch_.load(std::memory_order_relaxed);
    if (WEIR_BUG(kBurstShownLate)) return;
    slot.epoch_.store(slot.oldest_, std::memory_order_seq_cst);
    const std::uint64_t now = epoch_.load(std::memory_order_seq_cst);
    // Release: pairs with the scan's acquire; a later epoch only says that less must be waited for.
    slot.epoch_.store(now, std::memory_order_release);
  }
  // Gives the oldest epoch that the burst has shown (a scan may have seen that one and waits), or
  // kIdle if an outer burst of the thread goes on.
  std::uint64_t leave(Slot& slot) {
    if (--slot.depth_ != 0) return kIdle;
    // Sequentially consistent: pairs with the waiters' count in FlushTracker; either we see a
    // waiter, or its scan sees us gone. As a release it also ends every access made inside.
    slot.epoch_.store(kIdle, std::memory_order_seq_cst);
    return slot.oldest_;
  }

  // Begins a new epoch and gives it. What was dropped from the caches before this call cannot be
  // found by bursts of this epoch or later.
  [[nodiscard]] std::uint64_t advance() {
    // Sequentially consistent: pairs with enter().
    return epoch_.fetch_add(1, std::memory_order_seq_cst) + 1;
  }
  [[nodiscard]] std::uint64_t now() const {
    // Sequentially consistent: as the second load of enter().
    return epoch_.load(std::memory_order_seq_cst);
  }
  // True once every burst that began before `epoch` has ended.
  [[nodiscard]] bool ended_before(std::uint64_t epoch) const;
  // The same, asked a bounded number of times if need be: bursts are short, and whoever gives up
  // has to be resumed by another thread, which costs both far more than a moment. Looks once where
  // the calling thread would wait for itself.
  [[nodiscard]] bool ended_soon(std::uint64_t epoch) const;

  // The sum of a counter over all threads.
  [[nodiscard]] std::uint64_t sum(std::size_t counter) const;

 private:
  struct Slots;  // shared with the threads' own records, which may outlive this registry

  // One or two microseconds, some of the longest bursts that hit.
  static constexpr int kLooks = 100;

  [[nodiscard]] Slot& find_slot();
  [[nodiscard]] bool is_inside_before(std::uint64_t epoch) const;

  const std::uint64_t id_;  // never reused, unlike an address
  const std::shared_ptr<Slots> slots_;
  // Alone in its line: every burst reads it, and only completions write it.
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
};

}  // namespace weir::iotlb
