// SPDX-License-Identifier: Apache-2.0
//
// The split format of a virtqueue (virtio 1.4, 2.7). For Queue only, which says what is promised.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "vendors/common/virtio/chain.h"
#include "vendors/common/virtio/queue_error.h"
#include "vendors/common/virtio/queue_memory.h"
#include "vendors/common/virtio/ring_layout.h"

namespace weir::virtio {

class SplitRing {
 public:
  SplitRing(const QueueConfig& config, QueueMemory& memory) : config_(config), memory_(&memory) {}

  [[nodiscard]] Result<bool, QueueError> available();
  [[nodiscard]] Result<bool, QueueError> pop(Chain& chain);
  [[nodiscard]] Result<Done, QueueError> use(std::span<const Used> chains);
  [[nodiscard]] Result<bool, QueueError> interrupt_wanted();
  [[nodiscard]] Result<Done, QueueError> suppress_kicks();
  [[nodiscard]] Result<Done, QueueError> ask_for_kick();

 private:
  [[nodiscard]] Result<Done, QueueError> collect(std::uint16_t head, Chain& chain);

  QueueConfig config_;
  QueueMemory* memory_;
  std::uint16_t next_available_ = 0;  // free-running, as the ring's own
  std::uint16_t seen_available_ = 0;  // the driver's index when it was read last
  std::uint16_t next_used_ = 0;
  std::uint16_t asked_used_ = 0;  // next_used_ when interrupt_wanted was asked last
  bool suppressed_ = false;       // flags of the used ring as written last
};

}  // namespace weir::virtio
