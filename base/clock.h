// SPDX-License-Identifier: Apache-2.0
//
// Time as the embedder tells it. weir owns no clock and no thread: whatever must time out (a pin
// held too long, a silent device TLB) is looked at in Iommu::poll() against this clock. Simulated
// time is as good as real time.
//
// now() may be called from any thread and must never go back.
#pragma once

#include <atomic>
#include <chrono>

namespace weir {

class Clock {
 public:
  using Duration = std::chrono::nanoseconds;

  virtual ~Clock() = default;
  [[nodiscard]] virtual Duration now() const = 0;  // since an origin of the embedder's choice
};

// A clock that moves only when told to: tests, replay, simulated machines.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] Duration now() const override {
    // Relaxed: a time stamp orders nothing.
    return Duration(now_ns_.load(std::memory_order_relaxed));
  }
  void advance(Duration by) {
    // Relaxed: as above; concurrent advances add up.
    now_ns_.fetch_add(by.count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<Duration::rep> now_ns_{0};
};

// The host's monotonic clock.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] Duration now() const override {
    return std::chrono::duration_cast<Duration>(
        std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace weir
