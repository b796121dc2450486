// SPDX-License-Identifier: Apache-2.0
#include "replay/virtio_driver_ring.h"

#include <numeric>

#include "replay/virtio_driver_numbers.h"
#include "vendors/common/virtio/queue_memory.h"

namespace weir::replay {
namespace {

namespace number = virtio_driver;

constexpr std::uint64_t kDescriptorBytes = 16;

[[nodiscard]] std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + kPageSize - 1) / kPageSize * kPageSize;
}
[[nodiscard]] std::uint64_t descriptor_bytes(const RingShape& shape) {
  return whole_pages(kDescriptorBytes * shape.size);
}
[[nodiscard]] std::uint64_t driver_bytes(const RingShape& shape) {
  return whole_pages(6 + std::uint64_t{2} * shape.size);
}
[[nodiscard]] std::uint64_t device_bytes(const RingShape& shape) {
  return whole_pages(6 + std::uint64_t{8} * shape.size);
}
[[nodiscard]] std::uint64_t table_bytes(const RingShape& shape) {
  return whole_pages(kDescriptorBytes * VirtioDriverRing::kMostParts * shape.size);
}

// Whether the step from `old` to `now` passes `event` (virtio_ring.h: vring_need_event).
[[nodiscard]] bool need_event(std::uint16_t event, std::uint16_t now, std::uint16_t old) {
  return static_cast<std::uint16_t>(now - event - 1) < static_cast<std::uint16_t>(now - old);
}

}  // namespace

std::uint64_t VirtioDriverRing::bytes_needed(const RingShape& shape) {
  return descriptor_bytes(shape) + driver_bytes(shape) + device_bytes(shape) + table_bytes(shape);
}

VirtioDriverRing::VirtioDriverRing(const pagetables::PhysicalMemory& memory, Gpa area,
                                   const RingShape& shape)
    : memory_(memory),
      shape_(shape),
      descriptors_(area),
      driver_(descriptors_ + descriptor_bytes(shape)),
      device_(driver_ + driver_bytes(shape)),
      tables_(device_ + device_bytes(shape)),
      free_tokens_(shape.size),
      slots_of_(shape.size),
      chain_(shape.size),
      free_descriptors_(shape.size),
      free_slots_(shape.size) {
  std::iota(free_tokens_.rbegin(), free_tokens_.rend(), std::uint16_t{0});
  std::iota(free_descriptors_.rbegin(), free_descriptors_.rend(), std::uint16_t{0});
  const std::vector<std::byte> zero(descriptor_bytes(shape) + driver_bytes(shape) +
                                    device_bytes(shape));
  (void)memory_.write(area, zero);
}

void VirtioDriverRing::store16(Gpa at, std::uint16_t value) {
  (void)memory_.write(at, std::as_bytes(std::span(&value, 1)));
}

std::uint16_t VirtioDriverRing::load16(Gpa at) const {
  std::uint16_t value = 0;
  (void)memory_.read(at, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

// `low` and `high`: the two halves of a descriptor's last word, flags and next, or id and flags.
void VirtioDriverRing::write_descriptor(Gpa at, const Part& part, std::uint16_t low,
                                        std::uint16_t high) {
  const std::uint64_t address = part.at.value();
  (void)memory_.write(at, std::as_bytes(std::span(&address, 1)));
  (void)memory_.write(at + 8, std::as_bytes(std::span(&part.bytes, 1)));
  store16(at + 12, low);
  store16(at + 14, high);
}

std::optional<std::uint16_t> VirtioDriverRing::add(std::span<const Part> readable,
                                                   std::span<const Part> writable) {
  std::vector<Part> all(readable.begin(), readable.end());
  all.insert(all.end(), writable.begin(), writable.end());
  if (all.empty() || all.size() > kMostParts || free_tokens_.empty()) return std::nullopt;
  const std::size_t needed = shape_.indirect ? 1 : all.size();
  if (needed > (shape_.packed ? free_slots_ : free_descriptors_.size())) return std::nullopt;
  const std::uint16_t token = free_tokens_.back();
  free_tokens_.pop_back();
  if (shape_.packed)
    add_packed(token, all, readable.size());
  else
    add_split(token, all, readable.size());
  return token;
}

void VirtioDriverRing::add_split(std::uint16_t token, std::span<const Part> all,
                                 std::size_t readable) {
  std::vector<std::uint16_t>& chain = chain_[token];
  chain.clear();
  const auto flags_of = [&](std::size_t i) {
    return static_cast<std::uint16_t>((i < readable ? 0 : number::kDescWrite) |
                                      (i + 1 < all.size() ? number::kDescNext : 0));
  };
  const auto take = [&] {
    chain.push_back(free_descriptors_.back());
    free_descriptors_.pop_back();
  };
  if (shape_.indirect) {
    const Gpa table = tables_ + std::uint64_t{token} * kMostParts * kDescriptorBytes;
    for (std::size_t i = 0; i < all.size(); ++i)
      write_descriptor(table + i * kDescriptorBytes, all[i], flags_of(i),
                       static_cast<std::uint16_t>(i + 1));
    take();
    write_descriptor(descriptors_ + chain[0] * kDescriptorBytes,
                     {table, static_cast<std::uint32_t>(all.size() * kDescriptorBytes)},
                     number::kDescIndirect, 0);
  } else {
    for (std::size_t i = 0; i < all.size(); ++i) take();
    for (std::size_t i = 0; i < all.size(); ++i)
      write_descriptor(descriptors_ + chain[i] * kDescriptorBytes, all[i], flags_of(i),
                       i + 1 < all.size() ? chain[i + 1] : std::uint16_t{0});
  }
  // The head names the buffer in the used ring, so it must lead back to the token.
  slots_of_[chain[0]] = token;
  store16(driver_ + 4 + std::uint64_t{2} * (next_available_ % shape_.size), chain[0]);
  ++next_available_;
}

void VirtioDriverRing::add_packed(std::uint16_t token, std::span<const Part> all,
                                  std::size_t readable) {
  const auto write = [&](const Part& part, std::uint16_t extra, bool first) {
    const Gpa at = descriptors_ + next_available_ * kDescriptorBytes;
    const auto flags = static_cast<std::uint16_t>(
        extra | (available_wrap_ ? number::kDescAvail : number::kDescUsed));
    // The old flags stay in the first one until it is published.
    write_descriptor(at, part, token, first ? load16(at + 14) : flags);
    if (first) heads_.push_back({at, flags});
    if (++next_available_ == shape_.size) {
      next_available_ = 0;
      available_wrap_ = !available_wrap_;
    }
  };
  const auto write_flag = [&](std::size_t i) {
    return i < readable ? std::uint16_t{0} : number::kDescWrite;
  };
  std::uint16_t slots = 1;
  if (shape_.indirect) {
    const Gpa table = tables_ + std::uint64_t{token} * kMostParts * kDescriptorBytes;
    for (std::size_t i = 0; i < all.size(); ++i)
      write_descriptor(table + i * kDescriptorBytes, all[i], 0, write_flag(i));
    write({table, static_cast<std::uint32_t>(all.size() * kDescriptorBytes)}, number::kDescIndirect,
          true);
  } else {
    slots = static_cast<std::uint16_t>(all.size());
    for (std::size_t i = 0; i < all.size(); ++i)
      write(
          all[i],
          static_cast<std::uint16_t>(write_flag(i) | (i + 1 < all.size() ? number::kDescNext : 0)),
          i == 0);
  }
  slots_of_[token] = slots;
  free_slots_ = static_cast<std::uint16_t>(free_slots_ - slots);
  unpublished_ = static_cast<std::uint16_t>(unpublished_ + slots);
}

bool VirtioDriverRing::publish() { return shape_.packed ? publish_packed() : publish_split(); }

bool VirtioDriverRing::publish_split() {
  const std::uint16_t old = published_;
  published_ = next_available_;
  store16(driver_ + 2, next_available_);
  virtio::full_barrier();
  if (old == published_) return false;
  if (shape_.event_index)
    return need_event(load16(device_ + 4 + std::uint64_t{8} * shape_.size), published_, old);
  return (load16(device_) & 1) == 0;
}

bool VirtioDriverRing::publish_packed() {
  if (heads_.empty()) return false;
  // The first comes last: the device waits for that one.
  for (std::size_t i = heads_.size(); i-- > 0;) store16(heads_[i].at + 14, heads_[i].flags);
  heads_.clear();
  virtio::full_barrier();
  const std::uint16_t moved = unpublished_;
  unpublished_ = 0;
  const std::uint16_t old = published_;
  const bool old_wrap = published_wrap_;
  published_ = next_available_;
  published_wrap_ = available_wrap_;
  const std::uint16_t flags = load16(device_ + 2) & 3;
  if (flags != number::kEventDesc) return flags != number::kEventDisable;
  const std::uint16_t event = load16(device_);
  const bool event_wrap = (event & 0x8000) != 0;
  const unsigned slot = event & 0x7fff;
  const unsigned ahead =
      event_wrap == old_wrap ? slot - old : slot + shape_.size - old;  // wraps: far away
  return ahead < moved;
}

std::optional<VirtioDriverRing::Returned> VirtioDriverRing::take_used() {
  Returned returned;
  if (!shape_.packed) {
    if (load16(device_ + 2) == next_used_) return std::nullopt;
    virtio::full_barrier();
    const Gpa entry = device_ + 4 + std::uint64_t{8} * (next_used_ % shape_.size);
    const std::uint16_t head = load16(entry);
    (void)memory_.read(entry + 4, std::as_writable_bytes(std::span(&returned.written, 1)));
    ++next_used_;
    if (head >= shape_.size) return Returned{.token = head};
    returned.token = slots_of_[head];
    for (const std::uint16_t descriptor : chain_[returned.token])
      free_descriptors_.push_back(descriptor);
  } else {
    const Gpa at = descriptors_ + next_used_ * kDescriptorBytes;
    const std::uint16_t flags = load16(at + 14);
    const bool available = (flags & number::kDescAvail) != 0;
    const bool used = (flags & number::kDescUsed) != 0;
    if (available != used || used != used_wrap_) return std::nullopt;
    virtio::full_barrier();
    returned.token = load16(at + 12);
    (void)memory_.read(at + 8, std::as_writable_bytes(std::span(&returned.written, 1)));
    if (returned.token >= shape_.size) return returned;
    const std::uint16_t slots = slots_of_[returned.token];
    free_slots_ = static_cast<std::uint16_t>(free_slots_ + slots);
    next_used_ = static_cast<std::uint16_t>(next_used_ + slots);
    if (next_used_ >= shape_.size) {
      next_used_ = static_cast<std::uint16_t>(next_used_ - shape_.size);
      used_wrap_ = !used_wrap_;
    }
  }
  free_tokens_.push_back(returned.token);
  return returned;
}

void VirtioDriverRing::want_interrupts(bool wanted) {
  if (shape_.packed) {
    if (wanted && shape_.event_index)
      store16(driver_, static_cast<std::uint16_t>(next_used_ | (used_wrap_ ? 0x8000 : 0)));
    const std::uint16_t how = shape_.event_index ? number::kEventDesc : number::kEventEnable;
    store16(driver_ + 2, wanted ? how : number::kEventDisable);
    return;
  }
  if (shape_.event_index)
    // Without: an index that has just gone by and will not come again soon.
    store16(driver_ + 4 + std::uint64_t{2} * shape_.size,
            wanted ? next_used_ : static_cast<std::uint16_t>(next_used_ - 1));
  else
    store16(driver_, wanted ? 0 : 1);
}

}  // namespace weir::replay
