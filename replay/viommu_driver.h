// SPDX-License-Identifier: Apache-2.0
//
// A model of a guest's virtio-iommu driver: it brings the device up through its virtio-mmio
// registers, sends requests, singly or many to a kick, waits for them as Linux does (by looking at
// the used ring, without interrupts), and takes fault reports off the event queue. It never looks
// inside the unit.
//
// One thread. Device and memory must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "pagetables/physical_memory.h"
#include "replay/virtio_driver_ring.h"
#include "vendors/common/virtio/mmio.h"

namespace weir::replay {

struct ViommuDriverOptions {
  RingShape ring{};               // of both queues
  std::uint64_t features = 0x77;  // of the device type, as far as they are offered
  std::uint32_t read_parts = 1;   // pieces that a request's readable part is cut into, 1…4
  bool event_buffers = true;
};

class ViommuDriver {
 public:
  struct Reply {
    std::uint32_t written = 0;     // as the device said
    std::uint8_t status = 0xff;    // 0xff: the device wrote nothing
    std::vector<std::byte> bytes;  // the writable part
  };
  struct Event {
    std::uint8_t reason = 0;
    std::uint32_t flags = 0;
    std::uint32_t endpoint = 0;
    std::uint64_t address = 0;
  };

  // Guest memory that it takes up, from a page-aligned `area` on.
  [[nodiscard]] static std::uint64_t bytes_needed(const ViommuDriverOptions& options);
  // The failure says what the device did not do.
  [[nodiscard]] static Result<std::unique_ptr<ViommuDriver>, std::string> create(
      virtio::Device& device, const pagetables::PhysicalMemory& memory, Gpa area,
      const ViommuDriverOptions& options = {});

  // --- requests, one at a time; each returns its status
  std::uint8_t attach(std::uint32_t domain, std::uint32_t endpoint, std::uint32_t flags = 0,
                      std::uint32_t reserved = 0);
  std::uint8_t detach(std::uint32_t domain, std::uint32_t endpoint);
  std::uint8_t map(std::uint32_t domain, std::uint64_t first, std::uint64_t last,
                   std::uint64_t output, std::uint32_t flags = 3);
  std::uint8_t unmap(std::uint32_t domain, std::uint64_t first, std::uint64_t last,
                     std::uint32_t reserved = 0);
  // With room for `properties` bytes; the device's probe_size by default.
  Reply probe(std::uint32_t endpoint, std::optional<std::uint32_t> properties = {});
  Reply call(std::span<const std::byte> request, std::uint32_t writable);

  // --- several to a kick
  [[nodiscard]] static std::vector<std::byte> attach_bytes(std::uint32_t domain,
                                                           std::uint32_t endpoint,
                                                           std::uint32_t flags = 0,
                                                           std::uint32_t reserved = 0);
  [[nodiscard]] static std::vector<std::byte> detach_bytes(std::uint32_t domain,
                                                           std::uint32_t endpoint);
  [[nodiscard]] static std::vector<std::byte> map_bytes(std::uint32_t domain, std::uint64_t first,
                                                        std::uint64_t last, std::uint64_t output,
                                                        std::uint32_t flags = 3);
  [[nodiscard]] static std::vector<std::byte> unmap_bytes(std::uint32_t domain, std::uint64_t first,
                                                          std::uint64_t last,
                                                          std::uint32_t reserved = 0);
  [[nodiscard]] static std::vector<std::byte> probe_bytes(std::uint32_t endpoint);
  // False: the ring is full.
  [[nodiscard]] bool post(std::span<const std::byte> request, std::uint32_t writable = 4);
  // Makes visible what was posted and kicks if the device wants it.
  void kick();
  // Takes what has come back. True: everything that was posted has.
  bool collect();
  // Of what was posted since the last forget_replies(), in that order; those that have not come
  // back have status 0xff.
  [[nodiscard]] const std::vector<Reply>& replies() const { return replies_; }
  void forget_replies() { replies_.clear(); }

  // --- events
  [[nodiscard]] std::vector<Event> take_events();

  // --- registers
  [[nodiscard]] std::uint32_t read32(std::uint64_t offset) {
    return static_cast<std::uint32_t>(mmio_.read(offset, 4));
  }
  void write32(std::uint64_t offset, std::uint32_t value) { mmio_.write(offset, 4, value); }
  [[nodiscard]] std::uint8_t config8(std::uint64_t offset);
  void set_bypass(std::uint8_t value);
  [[nodiscard]] std::uint8_t bypass() { return config8(36); }
  [[nodiscard]] std::uint32_t probe_size() { return read32(0x100 + 32); }
  [[nodiscard]] std::uint64_t features() const { return features_; }
  virtio::MmioTransport& registers() { return mmio_; }
  VirtioDriverRing& request_ring() { return requests_; }
  // How often the register that kicks was written.
  [[nodiscard]] std::uint64_t kicks() const { return kicks_; }

 private:
  struct Slot {
    bool busy = false;
    std::uint32_t writable = 0;
    std::size_t reply = 0;
  };

  ViommuDriver(virtio::Device& device, const pagetables::PhysicalMemory& memory, Gpa area,
               const ViommuDriverOptions& options);
  [[nodiscard]] Result<Done, std::string> bring_up();
  void set_up_queue(std::uint32_t index, const VirtioDriverRing& ring);
  void give_event_buffers();
  void give_event_buffer(std::uint16_t number);

  virtio::MmioTransport mmio_;
  const pagetables::PhysicalMemory& memory_;
  const ViommuDriverOptions options_;
  VirtioDriverRing requests_;
  VirtioDriverRing events_;
  Gpa request_buffers_;
  Gpa event_buffers_;
  std::uint64_t features_ = 0;
  std::vector<std::uint16_t> event_of_;   // buffer number by token
  std::vector<std::uint16_t> free_;       // request buffers
  std::vector<std::uint16_t> buffer_of_;  // by token
  std::vector<Slot> slots_;               // by buffer
  std::vector<Reply> replies_;
  std::size_t outstanding_ = 0;
  std::uint64_t kicks_ = 0;
};

}  // namespace weir::replay
