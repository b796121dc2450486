// SPDX-License-Identifier: Apache-2.0
//
// How a virtqueue is set up, and what a driver can break about it. Each error means that the rings
// cannot be trusted any more: the device answers with DEVICE_NEEDS_RESET (virtio 1.4, 2.1.2).
//
// Plain values; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"

namespace weir::virtio {

struct QueueConfig {
  std::uint16_t size = 0;  // entries
  Gpa descriptors;         // Descriptor Area
  Gpa driver;              // Driver Area: available ring, or driver event suppression
  Gpa device;              // Device Area: used ring, or device event suppression
  bool packed = false;     // negotiated, each
  bool indirect = false;
  bool event_index = false;
  std::uint16_t max_parts = 1024;  // of one chain
};

enum class QueueError : std::uint8_t {
  kBadSize,           // 0, too large, or not a power of two where it must be
  kMisaligned,        // an area
  kRingUnreadable,    // no memory behind an area or a descriptor table
  kRingUnwritable,    //
  kTooManyAvailable,  // the available index has run ahead by more than the ring holds
  kBadDescriptor,     // a number outside the table
  kTooLong,           // more parts than a chain may have: a loop, or nearly one; or 2^32 bytes
  kReadAfterWrite,    // a part to be read after one to be written
  kBadIndirect,       // not negotiated, nested, continued, or of a size that is no table
};

[[nodiscard]] std::string_view to_string(QueueError error);

}  // namespace weir::virtio
