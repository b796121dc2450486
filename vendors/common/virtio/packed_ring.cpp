// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/packed_ring.h"

#include <algorithm>

#include "vendors/common/virtio/descriptor_walk.h"

namespace weir::virtio {
namespace {

namespace flag = descriptor_flag;

// Made available in the round of `wrap`, and not used since (2.8.1).
[[nodiscard]] bool is_available(std::uint64_t rest, bool wrap) {
  const std::uint64_t flags = packed::descriptor::kFlags.get(rest);
  return flag::kAvailable.is_set(flags) == wrap && flag::kUsed.is_set(flags) != wrap;
}

}  // namespace

void PackedRing::Place::move_on(std::uint16_t slots, std::uint16_t size) {
  const unsigned next = unsigned{slot} + slots;
  if (next >= size) wrap = !wrap;
  slot = static_cast<std::uint16_t>(next >= size ? next - size : next);
}

Result<bool, QueueError> PackedRing::available() {
  if (taken_ >= config_.size) return false;  // all of the ring is in the device's hands
  const auto rest = memory_->load<std::uint64_t>(descriptor_at(next_available_.slot) +
                                                 packed::descriptor::kRestAt);
  if (!rest) return Failure{QueueError::kRingUnreadable};
  return is_available(*rest, next_available_.wrap);
}

Result<bool, QueueError> PackedRing::pop(Chain& chain) {
  const auto more = available();
  if (!more || !*more) return more;
  full_barrier();  // everything else of the list is read after the flags that publish it
  Place place = next_available_;
  std::uint16_t slots = 0;
  for (;;) {
    // A list that would take up more than what is free of the ring has a loop in it.
    if (taken_ + slots >= config_.size) return Failure{QueueError::kTooLong};
    const auto words = memory_->load<DescriptorWords>(descriptor_at(place.slot));
    if (!words) return Failure{QueueError::kRingUnreadable};
    const std::uint64_t flags = packed::descriptor::kFlags.get(words->rest);
    chain.id = static_cast<std::uint16_t>(packed::descriptor::kId.get(words->rest));
    ++slots;
    place.move_on(1, config_.size);
    if (flag::kIndirect.is_set(flags)) {
      // 2.8.8: a table is a list of its own.
      if (slots != 1 || flag::kNext.is_set(flags)) return Failure{QueueError::kBadIndirect};
      if (const auto collected = collect_table(*words, chain); !collected)
        return Failure{collected.error()};
      break;
    }
    const Part part{Gpa(words->address),
                    static_cast<std::uint32_t>(packed::descriptor::kLength.get(words->rest))};
    if (const auto added = add_part(chain, part, flags, config_.max_parts); !added)
      return Failure{added.error()};
    if (!flag::kNext.is_set(flags)) break;
  }
  chain.slots = slots;
  taken_ += slots;
  next_available_ = place;
  return true;
}

// One after the other; of their flags only WRITE counts (2.8.8).
Result<Done, QueueError> PackedRing::collect_table(const DescriptorWords& words, Chain& chain) {
  if (!config_.indirect) return Failure{QueueError::kBadIndirect};
  const auto entries =
      table_entries(static_cast<std::uint32_t>(packed::descriptor::kLength.get(words.rest)));
  if (!entries) return Failure{entries.error()};
  for (std::uint64_t i = 0; i < *entries; ++i) {
    const auto inner = memory_->load<DescriptorWords>(Gpa(words.address) + i * kDescriptorBytes);
    if (!inner) return Failure{QueueError::kRingUnreadable};
    const Part part{Gpa(inner->address),
                    static_cast<std::uint32_t>(packed::descriptor::kLength.get(inner->rest))};
    const std::uint64_t flags = packed::descriptor::kFlags.get(inner->rest);
    if (const auto added = add_part(chain, part, flags, config_.max_parts); !added) return added;
  }
  return Done{};
}

Result<Done, QueueError> PackedRing::use(std::span<const Used> chains) {
  // The first comes last, so that the driver, which waits for that one, finds all of them or none.
  const Gpa first = descriptor_at(next_used_.slot);
  std::uint64_t first_word = 0;
  for (const Used& chain : chains) {
    const Gpa at = descriptor_at(next_used_.slot);
    const std::uint64_t flags = flag::kAvailable.of(next_used_.wrap ? 1 : 0) |
                                flag::kUsed.of(next_used_.wrap ? 1 : 0) |
                                flag::kWrite.of(chain.written != 0 ? 1 : 0);
    const std::uint64_t word = packed::descriptor::kLength.of(chain.written) |
                               packed::descriptor::kId.of(chain.id) |
                               packed::descriptor::kFlags.of(flags);
    if (at == first)
      first_word = word;
    else if (!memory_->store(at + packed::descriptor::kRestAt, word))
      return Failure{QueueError::kRingUnwritable};
    next_used_.move_on(chain.slots, config_.size);
    used_slots_ += chain.slots;
    taken_ -= std::min<std::uint32_t>(taken_, chain.slots);
  }
  if (!memory_->store(first + packed::descriptor::kRestAt, first_word))
    return Failure{QueueError::kRingUnwritable};
  return Done{};
}

// Whether the used descriptors written since the last question include the one at `event`.
bool PackedRing::went_past(Place event) const {
  if (event.slot >= config_.size) return false;
  const unsigned ahead = event.wrap == asked_used_.wrap
                             ? unsigned{event.slot} - asked_used_.slot
                             : unsigned{event.slot} + config_.size - asked_used_.slot;
  return ahead < used_slots_;
}

Result<bool, QueueError> PackedRing::interrupt_wanted() {
  if (used_slots_ == 0) return false;
  const auto word = memory_->load<std::uint32_t>(config_.driver);
  if (!word) return Failure{QueueError::kRingUnreadable};
  const std::uint64_t flags = packed::event::kFlags.get(*word);
  bool wanted = flags != packed::event::kDisable;
  if (config_.event_index && flags == packed::event::kSpecific)
    wanted = went_past({static_cast<std::uint16_t>(packed::event::kOffset.get(*word)),
                        packed::event::kWrap.is_set(*word)});
  asked_used_ = next_used_;
  used_slots_ = 0;
  return wanted;
}

Result<Done, QueueError> PackedRing::set_event(std::uint64_t word) {
  if (!memory_->store(config_.device, static_cast<std::uint32_t>(word)))
    return Failure{QueueError::kRingUnwritable};
  return Done{};
}

Result<Done, QueueError> PackedRing::suppress_kicks() {
  if (suppressed_) return Done{};
  suppressed_ = true;
  return set_event(packed::event::kFlags.of(packed::event::kDisable));
}

Result<Done, QueueError> PackedRing::ask_for_kick() {
  if (config_.event_index) {
    suppressed_ = false;
    return set_event(packed::event::kOffset.of(next_available_.slot) |
                     packed::event::kWrap.of(next_available_.wrap ? 1 : 0) |
                     packed::event::kFlags.of(packed::event::kSpecific));
  }
  if (!suppressed_) return Done{};
  suppressed_ = false;
  return set_event(packed::event::kFlags.of(packed::event::kEnable));
}

}  // namespace weir::virtio
