// SPDX-License-Identifier: Apache-2.0
//
// A machine to measure: guest memory in three slots, one unit with the workload mapped for one
// domain, two functions behind it and three beside it. The IOTLB holds the whole workload once
// warm_up() has been through it.
//
// Construction and warm_up: one thread. The ports: as DmaPort says.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/pause.h"
#include "bench/workload.h"
#include "iommu/iommu.h"

namespace weir::vtd {
class Unit;
}

namespace weir::bench {

// Devices of one machine, each in a domain of its own; nothing is translated until they ask.
class Crowd {
 public:
  explicit Crowd(std::size_t devices);
  ~Crowd();
  void attach();
  // One request of each device. False: one of them was not translated.
  [[nodiscard]] bool everyone_asks();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

class Machine {
 public:
  static constexpr std::size_t kTranslated = 2;

  // `verified`: as if the guest's flushes were not heard of (G13).
  Machine(const Workload& workload, std::size_t entries, bool verified = false);
  ~Machine();

  // Function `index` behind the unit, 0…kTranslated-1; and the one that no unit covers.
  [[nodiscard]] DmaPort& translated(std::size_t index) { return *translated_[index]; }
  [[nodiscard]] DmaPort& bypassing() { return *bypassing_; }
  // As that one, of a virtio device that negotiated ACCESS_PLATFORM; and one with a window over the
  // highest slot.
  [[nodiscard]] DmaPort& offered() { return *offered_; }
  [[nodiscard]] DmaPort& windowed() { return *windowed_; }
  [[nodiscard]] Stats stats() const { return iommu_->stats(); }
  [[nodiscard]] const pagetables::PhysicalMemory& memory() const { return *memory_; }

  // As the guest does it: posts a page-selective invalidation for each of `count` pages, from index
  // `first` of the workload's on, and a wait after them, and returns when the wait's status is
  // there. Any thread.
  void flush_pages(std::uint64_t first, std::size_t count);

  // Asks every port for every page and compares all of the answer. Says what was wrong.
  [[nodiscard]] std::optional<std::string> warm_up(const Workload& workload);

 private:
  struct Ram;

  std::unique_ptr<Ram> ram_;
  std::unique_ptr<const pagetables::PhysicalMemory> memory_;
  std::unique_ptr<Iommu> iommu_;
  std::unique_ptr<DmaPort> translated_[kTranslated];
  std::unique_ptr<DmaPort> bypassing_;
  std::unique_ptr<DmaPort> offered_;
  std::unique_ptr<DmaPort> windowed_;
  vtd::Unit* unit_ = nullptr;
  Gpa queue_;

  // The guest's lock around its queue, as a kernel has it: who waits does not sleep.
  class SpinLock {
   public:
    class Held {
     public:
      explicit Held(SpinLock& lock) : lock_(lock) {
        // Acquire: pairs with the release below. Relaxed: only waits for a better moment.
        while (lock_.taken_.exchange(true, std::memory_order_acquire))
          while (lock_.taken_.load(std::memory_order_relaxed)) pause_briefly();
      }
      ~Held() { lock_.taken_.store(false, std::memory_order_release); }
      Held(const Held&) = delete;
      Held& operator=(const Held&) = delete;

     private:
      SpinLock& lock_;
    };

   private:
    std::atomic<bool> taken_{false};
  };

  // What stands below is guarded by the lock.
  SpinLock queue_lock_;
  std::uint64_t tail_ = 0;    // bytes
  std::uint32_t status_ = 0;  // of the newest wait
};

}  // namespace weir::bench
