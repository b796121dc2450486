// SPDX-License-Identifier: Apache-2.0
//
// What a driver has made available: the parts of one buffer, those that the device reads before
// those that it writes (virtio 1.4, 2.7.4.2), and how to copy from the one and to the other. Where
// a driver cuts a message into parts means nothing (2.7.4.1).
//
// Plain values, reused from one buffer to the next so that a busy queue does not allocate. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "vendors/common/virtio/queue_memory.h"

namespace weir::virtio {

struct Part {
  Gpa at;
  std::uint32_t bytes = 0;
};

struct Chain {
  std::uint16_t id = 0;     // what names it when it is returned
  std::uint16_t slots = 0;  // descriptors of the ring itself that it takes up
  std::vector<Part> readable;
  std::vector<Part> writable;
  std::uint64_t readable_bytes = 0;
  std::uint64_t writable_bytes = 0;

  void clear() {
    readable.clear();
    writable.clear();
    readable_bytes = writable_bytes = 0;
  }
};

// Copies `to.size()` bytes from `offset` on. False: there are not as many, or no memory behind
// them.
[[nodiscard]] bool copy_from(QueueMemory& memory, std::span<const Part> parts, std::uint64_t offset,
                             std::span<std::byte> to);
[[nodiscard]] bool copy_to(QueueMemory& memory, std::span<const Part> parts, std::uint64_t offset,
                           std::span<const std::byte> from);

// A chain on its way back.
struct Used {
  std::uint16_t id = 0;
  std::uint16_t slots = 0;
  std::uint32_t written = 0;  // bytes from the first writable one on
};

}  // namespace weir::virtio
