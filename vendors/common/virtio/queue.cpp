// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/queue.h"

#include <bit>
#include <utility>

#include "base/bits.h"
#include "vendors/common/virtio/features.h"
#include "vendors/common/virtio/ring_layout.h"

namespace weir::virtio {
namespace {

[[nodiscard]] bool areas_are_aligned(const QueueConfig& config, unsigned driver_lg2,
                                     unsigned device_lg2) {
  return is_aligned(config.descriptors.value(), kDescriptorAlignLg2) &&
         is_aligned(config.driver.value(), driver_lg2) &&
         is_aligned(config.device.value(), device_lg2);
}

}  // namespace

std::string_view to_string(QueueError error) {
  switch (error) {
    case QueueError::kBadSize:
      return "a size that no ring has";
    case QueueError::kMisaligned:
      return "a misaligned ring";
    case QueueError::kRingUnreadable:
      return "no memory behind the ring";
    case QueueError::kRingUnwritable:
      return "no memory to write behind the ring";
    case QueueError::kTooManyAvailable:
      return "more chains available than the ring holds";
    case QueueError::kBadDescriptor:
      return "a descriptor outside the table";
    case QueueError::kTooLong:
      return "a chain without end";
    case QueueError::kReadAfterWrite:
      return "a part to be read after one to be written";
    case QueueError::kBadIndirect:
      return "a bad indirect descriptor";
  }
  return "unknown";
}

Result<Queue, QueueError> Queue::create(const QueueConfig& config, QueueMemory& memory) {
  if (config.size == 0 || config.size > kMostEntries) return Failure{QueueError::kBadSize};
  if (config.packed) {
    if (!areas_are_aligned(config, packed::event::kAlignLg2, packed::event::kAlignLg2))
      return Failure{QueueError::kMisaligned};
    return Queue(Ring(std::in_place_type<PackedRing>, config, memory));
  }
  if (!std::has_single_bit(config.size)) return Failure{QueueError::kBadSize};
  if (!areas_are_aligned(config, split::available::kAlignLg2, split::used::kAlignLg2))
    return Failure{QueueError::kMisaligned};
  return Queue(Ring(std::in_place_type<SplitRing>, config, memory));
}

Result<bool, QueueError> Queue::pop(Chain& chain) {
  chain.clear();
  return std::visit([&](auto& ring) { return ring.pop(chain); }, ring_);
}

Result<Done, QueueError> Queue::use(std::span<const Used> chains) {
  if (chains.empty()) return Done{};
  return std::visit([&](auto& ring) { return ring.use(chains); }, ring_);
}

Result<bool, QueueError> Queue::interrupt_wanted() {
  full_barrier();
  return std::visit([](auto& ring) { return ring.interrupt_wanted(); }, ring_);
}

Result<Done, QueueError> Queue::suppress_kicks() {
  return std::visit([](auto& ring) { return ring.suppress_kicks(); }, ring_);
}

Result<bool, QueueError> Queue::want_kicks() {
  return std::visit(
      [](auto& ring) -> Result<bool, QueueError> {
        if (auto asked = ring.ask_for_kick(); !asked) return Failure{asked.error()};
        full_barrier();
        return ring.available();
      },
      ring_);
}

}  // namespace weir::virtio
