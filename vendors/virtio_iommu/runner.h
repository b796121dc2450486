// SPDX-License-Identifier: Apache-2.0
//
// What register writes set off, carried out by one thread at a time: resets, changes of the bypass
// byte, the start and stop of the request queue, and the queue itself. Writers leave orders under a
// lock; the runner takes them up with none.
//
// All members: any thread. No call waits; what has not drained goes on from poll().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/mutex.h"
#include "iommu/unit.h"
#include "vendors/common/turn.h"
#include "vendors/common/virtio/device.h"
#include "vendors/virtio_iommu/config_space.h"
#include "vendors/virtio_iommu/places.h"
#include "vendors/virtio_iommu/request_queue.h"

namespace weir::virtio_iommu {

class Runner {
 public:
  // `settled_reset` is called with the number of a reset when nothing rests on what was before it.
  Runner(UnitHost& host, const Options& options, Structures& structures, ConfigSpace& config,
         virtio::Device& device, std::function<void(std::uint64_t)> settled_reset);

  // Whether endpoints that are attached to nothing pass.
  [[nodiscard]] bool bypass() const {
    // Acquire: pairs with set_bypass; the invalidation that follows makes it take hold.
    return bypass_.load(std::memory_order_acquire);
  }

  enum class ResetKind : std::uint8_t { kDevice, kMachine };  // kMachine: `bypass` as at boot
  void reset(ResetKind kind, std::uint64_t number);
  void accept_features(std::uint64_t features);
  void set_bypass(bool on);
  void start(const virtio::QueueConfig& queue);
  void stop();
  void kick() { run(); }
  void poll() {
    if (parking_.can_go_on()) run();
  }
  [[nodiscard]] RequestCounts counts() const;

 private:
  // In the order in which they are obeyed.
  struct Orders {
    std::optional<ResetKind> reset{};
    std::uint64_t reset_number = 0;
    std::optional<std::uint64_t> features{};
    std::optional<bool> bypass{};
    bool stop = false;
    std::optional<virtio::QueueConfig> start{};
  };
  struct PendingReset {
    Ticket ticket;
    std::uint64_t number = 0;
  };
  struct PendingBypass {
    Ticket ticket;
    bool on = false;
  };

  template <typename Change>
  void order(Change change) WEIR_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      change(orders_);
    }
    run();
  }
  void run() {
    turn_.run([this] { pass(); });
  }
  void pass() WEIR_EXCLUDES(mutex_);
  void obey(const Orders& orders);
  void obey_reset(ResetKind kind, std::uint64_t number);
  void apply_bypass(bool on);
  // Lets go of what has drained.
  void settle();

  // Constant after construction.
  UnitHost& host_;
  const Options& options_;
  Structures& structures_;
  ConfigSpace& config_;
  virtio::Device& device_;
  const std::function<void(std::uint64_t)> settled_reset_;

  std::atomic<bool> bypass_;
  Parking parking_;
  Turn turn_;

  // The turn's.
  RequestQueue queue_;
  std::optional<PendingReset> pending_reset_;
  std::optional<PendingBypass> pending_bypass_;

  mutable Mutex mutex_;
  Orders orders_ WEIR_GUARDED_BY(mutex_);
  RequestCounts counts_ WEIR_GUARDED_BY(mutex_);  // as of the last pass
};

}  // namespace weir::virtio_iommu
