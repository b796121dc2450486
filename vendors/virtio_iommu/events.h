// SPDX-License-Identifier: Apache-2.0
//
// The event queue: faults on their way to the driver, one buffer each (virtio 1.4, 5.13.6.9). While
// the driver has given no buffers, the first kMostWaiting faults wait for some and the rest are
// dropped and counted; without a queue all are.
//
// Any thread. A fault is noted under a lock and written without one, by whoever is at the queue; no
// call waits for a buffer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "base/fault.h"
#include "base/mutex.h"
#include "vendors/common/turn.h"
#include "vendors/common/virtio/device.h"
#include "vendors/common/virtio/queue.h"
#include "vendors/virtio_iommu/guest_access.h"
#include "vendors/virtio_iommu/layout.h"

namespace weir::virtio_iommu {

using FaultReport = std::array<std::byte, fault::kBytes>;

[[nodiscard]] FaultReport report_of(const Fault& fault, std::uint32_t endpoint);

struct EventCounts {
  std::uint64_t reported = 0;
  std::uint64_t dropped = 0;  // no buffer, or one that was too small or nowhere
};

class Events {
 public:
  static constexpr std::size_t kMostWaiting = 64;

  // `forgotten` is called with the number of the last reset() when the rings of before it are no
  // longer touched.
  Events(UnitHost& host, virtio::Device& device, std::function<void(std::uint64_t)> forgotten)
      : memory_(host), device_(device), forgotten_(std::move(forgotten)) {}

  void report(const FaultReport& report);
  void start(const virtio::QueueConfig& config);
  void stop();  // says queue_stopped to the device
  void kick() { run(); }
  // Forgets queue and faults.
  void reset(std::uint64_t number);
  [[nodiscard]] EventCounts counts() const;

 private:
  struct Orders {
    std::optional<std::uint64_t> forget{};  // number of the reset
    bool stop = false;
    std::optional<virtio::QueueConfig> start{};
  };

  void run() {
    turn_.run([this] { pass(); });
  }
  void pass() WEIR_EXCLUDES(mutex_);
  void obey(const Orders& orders);
  // False, both: there is no buffer.
  [[nodiscard]] bool take_buffer();
  [[nodiscard]] bool deliver(const FaultReport& report);
  void fail(virtio::QueueError error);
  [[nodiscard]] std::optional<FaultReport> next() WEIR_EXCLUDES(mutex_);

  GuestAccess memory_;
  virtio::Device& device_;
  const std::function<void(std::uint64_t)> forgotten_;
  Turn turn_;

  // The turn's.
  std::optional<virtio::Queue> queue_;
  virtio::Chain chain_;

  mutable Mutex mutex_;
  bool started_ WEIR_GUARDED_BY(mutex_) = false;  // there is, or will soon be, a queue
  std::deque<FaultReport> waiting_ WEIR_GUARDED_BY(mutex_);
  Orders orders_ WEIR_GUARDED_BY(mutex_);
  EventCounts counts_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::virtio_iommu
