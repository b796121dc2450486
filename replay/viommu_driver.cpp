// SPDX-License-Identifier: Apache-2.0
#include "replay/viommu_driver.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "replay/virtio_driver_numbers.h"

namespace weir::replay {
namespace {

namespace number = virtio_driver;

constexpr std::uint64_t kRequestBytes = 2048;  // a request's two parts
constexpr std::uint64_t kWritableAt = 512;
constexpr std::uint64_t kEventBytes = 32;
constexpr std::uint32_t kEventReportBytes = 24;

[[nodiscard]] RingShape event_shape(RingShape shape) {
  shape.size = std::min<std::uint16_t>(shape.size, 64);
  shape.indirect = false;
  return shape;
}

// One after the other, without gaps.
template <typename... Words>
[[nodiscard]] std::vector<std::byte> bytes_of(Words... words) {
  std::vector<std::byte> bytes((sizeof words + ...));
  std::size_t at = 0;
  const auto append = [&](auto word) {
    std::memcpy(bytes.data() + at, &word, sizeof word);
    at += sizeof word;
  };
  (append(words), ...);
  return bytes;
}

}  // namespace

std::uint64_t ViommuDriver::bytes_needed(const ViommuDriverOptions& options) {
  return VirtioDriverRing::bytes_needed(options.ring) +
         VirtioDriverRing::bytes_needed(event_shape(options.ring)) +
         kRequestBytes * options.ring.size + kPageSize;
}

ViommuDriver::ViommuDriver(virtio::Device& device, const pagetables::PhysicalMemory& memory,
                           Gpa area, const ViommuDriverOptions& options)
    : mmio_(device),
      memory_(memory),
      options_(options),
      requests_(memory, area, options.ring),
      events_(memory, area + VirtioDriverRing::bytes_needed(options.ring),
              event_shape(options.ring)),
      request_buffers_(area + VirtioDriverRing::bytes_needed(options.ring) +
                       VirtioDriverRing::bytes_needed(event_shape(options.ring))),
      event_buffers_(request_buffers_ + kRequestBytes * options.ring.size),
      event_of_(event_shape(options.ring).size),
      free_(options.ring.size),
      buffer_of_(options.ring.size),
      slots_(options.ring.size) {
  std::iota(free_.rbegin(), free_.rend(), std::uint16_t{0});
}

Result<std::unique_ptr<ViommuDriver>, std::string> ViommuDriver::create(
    virtio::Device& device, const pagetables::PhysicalMemory& memory, Gpa area,
    const ViommuDriverOptions& options) {
  std::unique_ptr<ViommuDriver> driver(new ViommuDriver(device, memory, area, options));
  const auto up = driver->bring_up();
  if (!up) return Failure{up.error()};
  return driver;
}

// virtio 1.4, 3.1.1, in Linux' order.
Result<Done, std::string> ViommuDriver::bring_up() {
  if (read32(number::kMagic) != 0x74726976 || read32(number::kVersion) != 2)
    return Failure{std::string("this is no virtio-mmio device")};
  if (read32(number::kDeviceId) != 23) return Failure{std::string("this is no IOMMU device")};
  write32(number::kStatus, 0);
  if (read32(number::kStatus) != 0) return Failure{std::string("the reset does not end")};
  std::uint32_t status = number::kAcknowledge;
  write32(number::kStatus, status);
  write32(number::kStatus, status |= number::kDriver);
  std::uint64_t offered = 0;
  for (std::uint32_t word = 0; word < 2; ++word) {
    write32(number::kDeviceFeaturesSel, word);
    offered |= std::uint64_t{read32(number::kDeviceFeatures)} << (32 * word);
  }
  std::uint64_t wanted = options_.features | number::kFeatureVersion1;
  if (options_.ring.indirect) wanted |= number::kFeatureIndirect;
  if (options_.ring.event_index) wanted |= number::kFeatureEventIndex;
  if (options_.ring.packed) wanted |= number::kFeaturePacked;
  features_ = wanted & offered;
  for (std::uint32_t word = 0; word < 2; ++word) {
    write32(number::kDriverFeaturesSel, word);
    write32(number::kDriverFeatures, static_cast<std::uint32_t>(features_ >> (32 * word)));
  }
  write32(number::kStatus, status |= number::kFeaturesOk);
  if ((read32(number::kStatus) & number::kFeaturesOk) == 0)
    return Failure{std::string("the device does not take the features that it offers")};
  set_up_queue(0, requests_);
  set_up_queue(1, events_);
  // Linux' request queue has no callback; the event queue has.
  requests_.want_interrupts(false);
  events_.want_interrupts(true);
  write32(number::kStatus, status |= number::kDriverOk);
  if (options_.event_buffers) give_event_buffers();
  if ((read32(number::kStatus) & number::kNeedsReset) != 0)
    return Failure{std::string("the device needs a reset before it was used")};
  return Done{};
}

void ViommuDriver::set_up_queue(std::uint32_t index, const VirtioDriverRing& ring) {
  const std::uint16_t size = index == 0 ? options_.ring.size : event_shape(options_.ring).size;
  write32(number::kQueueSel, index);
  write32(number::kQueueNum, size);
  const auto area = [this](std::uint64_t at, Gpa where) {
    write32(at, static_cast<std::uint32_t>(where.value()));
    write32(at + 4, static_cast<std::uint32_t>(where.value() >> 32));
  };
  area(number::kQueueDesc, ring.descriptors());
  area(number::kQueueAvail, ring.driver_area());
  area(number::kQueueUsed, ring.device_area());
  write32(number::kQueueReady, 1);
}

void ViommuDriver::give_event_buffer(std::uint16_t at) {
  const VirtioDriverRing::Part part{event_buffers_ + at * kEventBytes, kEventReportBytes};
  if (const auto token = events_.add({}, {&part, 1})) event_of_[*token] = at;
}

void ViommuDriver::give_event_buffers() {
  for (std::uint16_t i = 0; i < event_of_.size(); ++i) give_event_buffer(i);
  if (events_.publish()) write32(number::kQueueNotify, 1);
}

std::vector<std::byte> ViommuDriver::attach_bytes(std::uint32_t domain, std::uint32_t endpoint,
                                                  std::uint32_t flags, std::uint32_t reserved) {
  return bytes_of(std::uint32_t{number::kAttach}, domain, endpoint, flags, reserved);
}
std::vector<std::byte> ViommuDriver::detach_bytes(std::uint32_t domain, std::uint32_t endpoint) {
  return bytes_of(std::uint32_t{number::kDetach}, domain, endpoint, std::uint64_t{0});
}
std::vector<std::byte> ViommuDriver::map_bytes(std::uint32_t domain, std::uint64_t first,
                                               std::uint64_t last, std::uint64_t output,
                                               std::uint32_t flags) {
  return bytes_of(std::uint32_t{number::kMap}, domain, first, last, output, flags);
}
std::vector<std::byte> ViommuDriver::unmap_bytes(std::uint32_t domain, std::uint64_t first,
                                                 std::uint64_t last, std::uint32_t reserved) {
  return bytes_of(std::uint32_t{number::kUnmap}, domain, first, last, reserved);
}
std::vector<std::byte> ViommuDriver::probe_bytes(std::uint32_t endpoint) {
  auto bytes = bytes_of(std::uint32_t{number::kProbe}, endpoint);
  bytes.resize(72);
  return bytes;
}

std::uint8_t ViommuDriver::attach(std::uint32_t domain, std::uint32_t endpoint, std::uint32_t flags,
                                  std::uint32_t reserved) {
  return call(attach_bytes(domain, endpoint, flags, reserved), 4).status;
}
std::uint8_t ViommuDriver::detach(std::uint32_t domain, std::uint32_t endpoint) {
  return call(detach_bytes(domain, endpoint), 4).status;
}
std::uint8_t ViommuDriver::map(std::uint32_t domain, std::uint64_t first, std::uint64_t last,
                               std::uint64_t output, std::uint32_t flags) {
  return call(map_bytes(domain, first, last, output, flags), 4).status;
}
std::uint8_t ViommuDriver::unmap(std::uint32_t domain, std::uint64_t first, std::uint64_t last,
                                 std::uint32_t reserved) {
  return call(unmap_bytes(domain, first, last, reserved), 4).status;
}
ViommuDriver::Reply ViommuDriver::probe(std::uint32_t endpoint,
                                        std::optional<std::uint32_t> properties) {
  return call(probe_bytes(endpoint), properties.value_or(probe_size()) + 4);
}

ViommuDriver::Reply ViommuDriver::call(std::span<const std::byte> request, std::uint32_t writable) {
  Reply nothing;
  forget_replies();
  if (!post(request, writable)) return nothing;
  kick();
  (void)collect();
  return replies_.empty() ? nothing : replies_.front();
}

bool ViommuDriver::post(std::span<const std::byte> request, std::uint32_t writable) {
  if (free_.empty() || request.size() > kWritableAt || writable > kRequestBytes - kWritableAt)
    return false;
  const std::uint16_t buffer = free_.back();
  const Gpa at = request_buffers_ + buffer * kRequestBytes;
  (void)memory_.write(at, request);
  const std::vector<std::byte> unwritten(writable, std::byte{0xff});
  (void)memory_.write(at + kWritableAt, unwritten);
  std::vector<VirtioDriverRing::Part> readable;
  const auto whole = static_cast<std::uint32_t>(request.size());
  std::uint32_t done = 0;
  for (std::uint32_t left = options_.read_parts; done < whole && left > 0; --left) {
    const std::uint32_t bytes = left == 1 ? whole - done : (whole - done) / left;
    if (bytes == 0) continue;
    readable.push_back({at + done, bytes});
    done += bytes;
  }
  const VirtioDriverRing::Part answer{at + kWritableAt, writable};
  const auto token = requests_.add(readable, {&answer, writable == 0 ? 0U : 1U});
  if (!token) return false;
  free_.pop_back();
  buffer_of_[*token] = buffer;
  slots_[buffer] = {.busy = true, .writable = writable, .reply = replies_.size()};
  replies_.emplace_back();
  ++outstanding_;
  return true;
}

void ViommuDriver::kick() {
  if (!requests_.publish()) return;
  ++kicks_;
  write32(number::kQueueNotify, 0);
}

bool ViommuDriver::collect() {
  while (const auto returned = requests_.take_used()) {
    const std::uint16_t buffer = buffer_of_.at(returned->token);
    Slot& slot = slots_[buffer];
    if (!slot.busy) continue;
    slot.busy = false;
    free_.push_back(buffer);
    --outstanding_;
    if (slot.reply >= replies_.size()) continue;
    Reply& reply = replies_[slot.reply];
    reply.written = returned->written;
    reply.bytes.resize(slot.writable);
    (void)memory_.read(request_buffers_ + buffer * kRequestBytes + kWritableAt, reply.bytes);
    if (reply.written >= 4)
      reply.status = static_cast<std::uint8_t>(reply.bytes[reply.written - 4]);
  }
  return outstanding_ == 0;
}

std::vector<ViommuDriver::Event> ViommuDriver::take_events() {
  std::vector<Event> all;
  while (const auto returned = events_.take_used()) {
    const std::uint16_t buffer = event_of_.at(returned->token);
    std::array<std::byte, kEventReportBytes> bytes{};
    (void)memory_.read(event_buffers_ + buffer * kEventBytes, bytes);
    Event event;
    event.reason = static_cast<std::uint8_t>(bytes[0]);
    std::memcpy(&event.flags, bytes.data() + 4, 4);
    std::memcpy(&event.endpoint, bytes.data() + 8, 4);
    std::memcpy(&event.address, bytes.data() + 16, 8);
    if (returned->written == kEventReportBytes) all.push_back(event);
    give_event_buffer(buffer);
  }
  if (!all.empty()) {
    events_.want_interrupts(true);
    if (events_.publish()) write32(number::kQueueNotify, 1);
  }
  return all;
}

std::uint8_t ViommuDriver::config8(std::uint64_t offset) {
  return static_cast<std::uint8_t>(mmio_.read(number::kConfig + offset, 1));
}

void ViommuDriver::set_bypass(std::uint8_t value) { mmio_.write(number::kConfig + 36, 1, value); }

}  // namespace weir::replay
