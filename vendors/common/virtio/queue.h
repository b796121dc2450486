// SPDX-License-Identifier: Apache-2.0
//
// Start here for virtqueues. The device's side of one queue in either format: takes the chains that
// a driver has made available, in their order, and returns them, singly or many at once. It knows
// nothing of what is in them, so any virtio device can stand on it.
//
// One thread at a time; whoever owns the queue sees to that. Everything in the rings is the guest's
// and hostile: what breaks the protocol is a QueueError, found in bounded time (a chain is at most
// `max_parts` long, whatever its links say), after which the queue must not be used again. Nothing
// here waits, locks or throws (but for std::bad_alloc when a chain is longer than any before it).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "base/address.h"
#include "base/result.h"
#include "vendors/common/virtio/chain.h"
#include "vendors/common/virtio/packed_ring.h"
#include "vendors/common/virtio/queue_error.h"
#include "vendors/common/virtio/queue_memory.h"
#include "vendors/common/virtio/split_ring.h"

namespace weir::virtio {

class Queue {
 public:
  // Refuses sizes and alignments that the format does not have. `memory` must outlive the queue.
  [[nodiscard]] static Result<Queue, QueueError> create(const QueueConfig& config,
                                                        QueueMemory& memory);

  // The next chain into `chain`; false: nothing is available.
  [[nodiscard]] Result<bool, QueueError> pop(Chain& chain);
  // Returns chains; the driver sees all of them once the call is over, in their order.
  [[nodiscard]] Result<Done, QueueError> use(std::span<const Used> chains);
  // Whether the driver wants to hear of what was returned since it was asked last (2.7.7, 2.8.10).
  [[nodiscard]] Result<bool, QueueError> interrupt_wanted();

  // Tells the driver not to kick (2.7.10, 2.8.10); it may do so nevertheless.
  [[nodiscard]] Result<Done, QueueError> suppress_kicks();
  // Asks for a kick of the next chain. True: one is there already, and no kick will come for it.
  [[nodiscard]] Result<bool, QueueError> want_kicks();

 private:
  using Ring = std::variant<SplitRing, PackedRing>;
  explicit Queue(Ring ring) : ring_(std::move(ring)) {}

  Ring ring_;
};

}  // namespace weir::virtio
