// SPDX-License-Identifier: Apache-2.0
//
// The packed format of a virtqueue (virtio 1.4, 2.8). For Queue only, which says what is promised.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "vendors/common/virtio/chain.h"
#include "vendors/common/virtio/queue_error.h"
#include "vendors/common/virtio/queue_memory.h"
#include "vendors/common/virtio/ring_layout.h"

namespace weir::virtio {

class PackedRing {
 public:
  PackedRing(const QueueConfig& config, QueueMemory& memory) : config_(config), memory_(&memory) {}

  [[nodiscard]] Result<bool, QueueError> available();
  [[nodiscard]] Result<bool, QueueError> pop(Chain& chain);
  [[nodiscard]] Result<Done, QueueError> use(std::span<const Used> chains);
  [[nodiscard]] Result<bool, QueueError> interrupt_wanted();
  [[nodiscard]] Result<Done, QueueError> suppress_kicks();
  [[nodiscard]] Result<Done, QueueError> ask_for_kick();

 private:
  // A place in the ring and the wrap counter it goes with (2.8.2).
  struct Place {
    std::uint16_t slot = 0;
    bool wrap = true;

    void move_on(std::uint16_t slots, std::uint16_t size);
  };

  [[nodiscard]] Gpa descriptor_at(std::uint16_t slot) const {
    return config_.descriptors + slot * kDescriptorBytes;
  }
  [[nodiscard]] Result<Done, QueueError> collect_table(const DescriptorWords& words, Chain& chain);
  [[nodiscard]] Result<Done, QueueError> set_event(std::uint64_t word);
  [[nodiscard]] bool went_past(Place event) const;

  QueueConfig config_;
  QueueMemory* memory_;
  Place next_available_;
  Place next_used_;
  Place asked_used_;              // next_used_ when interrupt_wanted was asked last
  std::uint32_t used_slots_ = 0;  // and how many slots it has moved since
  std::uint32_t taken_ = 0;       // slots popped and not used yet
  bool suppressed_ = false;
};

}  // namespace weir::virtio
