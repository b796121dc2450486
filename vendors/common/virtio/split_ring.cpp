// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/split_ring.h"

#include "vendors/common/virtio/descriptor_walk.h"

namespace weir::virtio {
namespace {

// The difference of two free-running indices.
[[nodiscard]] std::uint16_t ahead(std::uint16_t index, std::uint16_t of) {
  return static_cast<std::uint16_t>(index - of);
}

// Whether an index went past `event` on its way from `from` to `to` (2.7.7.2).
[[nodiscard]] bool went_past(std::uint16_t event, std::uint16_t from, std::uint16_t to) {
  return ahead(ahead(to, event), 1) < ahead(to, from);
}

}  // namespace

Result<bool, QueueError> SplitRing::available() {
  if (next_available_ != seen_available_) return true;
  const auto index = memory_->load<std::uint16_t>(config_.driver + split::available::kIndex);
  if (!index) return Failure{QueueError::kRingUnreadable};
  if (ahead(*index, next_available_) > config_.size) return Failure{QueueError::kTooManyAvailable};
  seen_available_ = *index;
  full_barrier();  // the entries and descriptors are read after the index that publishes them
  return next_available_ != seen_available_;
}

Result<bool, QueueError> SplitRing::pop(Chain& chain) {
  const auto more = available();
  if (!more || !*more) return more;
  const std::uint64_t entry = next_available_ % config_.size;
  const auto head = memory_->load<std::uint16_t>(config_.driver + split::available::kEntries +
                                                 entry * split::available::kEntryBytes);
  if (!head) return Failure{QueueError::kRingUnreadable};
  if (const auto collected = collect(*head, chain); !collected) return Failure{collected.error()};
  chain.id = *head;
  chain.slots = 1;
  ++next_available_;
  return true;
}

// Follows the links. A loop ends at the limit of parts.
Result<Done, QueueError> SplitRing::collect(std::uint16_t head, Chain& chain) {
  namespace flag = descriptor_flag;
  Gpa table = config_.descriptors;
  std::uint32_t entries = config_.size;
  std::uint32_t next = head;
  bool inside_table = false;
  for (;;) {
    if (next >= entries) return Failure{QueueError::kBadDescriptor};
    const auto words = memory_->load<DescriptorWords>(table + next * kDescriptorBytes);
    if (!words) return Failure{QueueError::kRingUnreadable};
    const std::uint64_t flags = split::descriptor::kFlags.get(words->rest);
    const auto bytes = static_cast<std::uint32_t>(split::descriptor::kLength.get(words->rest));
    if (flag::kIndirect.is_set(flags)) {
      // 2.7.5.3.1: negotiated, not nested, the last of its chain.
      if (!config_.indirect || inside_table || flag::kNext.is_set(flags))
        return Failure{QueueError::kBadIndirect};
      const auto in_table = table_entries(bytes);
      if (!in_table) return Failure{in_table.error()};
      table = Gpa(words->address);
      entries = *in_table;
      next = 0;
      inside_table = true;
      continue;
    }
    const Part part{Gpa(words->address), bytes};
    if (const auto added = add_part(chain, part, flags, config_.max_parts); !added) return added;
    if (!flag::kNext.is_set(flags)) return Done{};
    next = static_cast<std::uint32_t>(split::descriptor::kNext.get(words->rest));
  }
}

Result<Done, QueueError> SplitRing::use(std::span<const Used> chains) {
  for (const Used& chain : chains) {
    const std::uint64_t entry = next_used_ % config_.size;
    const std::uint64_t word =
        split::used::kId.of(chain.id) | split::used::kLength.of(chain.written);
    // Entries are aligned to 4 only: two words.
    if (!memory_->store(config_.device + split::used::kEntries + entry * split::used::kEntryBytes,
                        word))
      return Failure{QueueError::kRingUnwritable};
    ++next_used_;
  }
  // After the entries, because writes become visible in their order.
  if (!memory_->store(config_.device + split::used::kIndex, next_used_))
    return Failure{QueueError::kRingUnwritable};
  return Done{};
}

Result<bool, QueueError> SplitRing::interrupt_wanted() {
  const std::uint16_t from = asked_used_;
  asked_used_ = next_used_;
  if (from == next_used_) return false;
  if (config_.event_index) {
    const auto event =
        memory_->load<std::uint16_t>(config_.driver + split::available::used_event(config_.size));
    if (!event) return Failure{QueueError::kRingUnreadable};
    return went_past(*event, from, next_used_);
  }
  const auto flags = memory_->load<std::uint16_t>(config_.driver + split::available::kFlags);
  if (!flags) return Failure{QueueError::kRingUnreadable};
  return !split::available::kNoInterrupt.is_set(*flags);
}

Result<Done, QueueError> SplitRing::suppress_kicks() {
  // With an event index: the driver stays silent until the index that was asked for comes by.
  if (config_.event_index || suppressed_) return Done{};
  suppressed_ = true;
  const auto flags = static_cast<std::uint16_t>(split::used::kNoNotify.of(1));
  if (!memory_->store(config_.device + split::used::kFlags, flags))
    return Failure{QueueError::kRingUnwritable};
  return Done{};
}

Result<Done, QueueError> SplitRing::ask_for_kick() {
  bool written = true;
  if (config_.event_index) {
    written = memory_->store(config_.device + split::used::available_event(config_.size),
                             next_available_);
  } else if (suppressed_) {
    suppressed_ = false;
    written = memory_->store(config_.device + split::used::kFlags, std::uint16_t{0});
  }
  if (!written) return Failure{QueueError::kRingUnwritable};
  return Done{};
}

}  // namespace weir::virtio
