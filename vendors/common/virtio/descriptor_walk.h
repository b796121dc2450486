// SPDX-License-Identifier: Apache-2.0
//
// What both ring formats ask of every descriptor before it becomes a part of a chain, and of every
// indirect table. For the rings only; one thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "vendors/common/virtio/chain.h"
#include "vendors/common/virtio/queue_error.h"
#include "vendors/common/virtio/ring_layout.h"

namespace weir::virtio {

// Appends one part; `flags` are the descriptor's.
[[nodiscard]] inline Result<Done, QueueError> add_part(Chain& chain, Part part, std::uint64_t flags,
                                                       std::size_t max_parts) {
  constexpr std::uint64_t kMostBytes = split::descriptor::kLength.kMask;  // 2.7.5: below 2^32
  if (chain.readable.size() + chain.writable.size() >= max_parts)
    return Failure{QueueError::kTooLong};
  const bool writable = descriptor_flag::kWrite.is_set(flags);
  if (!writable && !chain.writable.empty()) return Failure{QueueError::kReadAfterWrite};
  (writable ? chain.writable : chain.readable).push_back(part);
  (writable ? chain.writable_bytes : chain.readable_bytes) += part.bytes;
  if (chain.readable_bytes + chain.writable_bytes > kMostBytes)
    return Failure{QueueError::kTooLong};
  return Done{};
}

// How many descriptors an indirect table of `bytes` holds (2.7.5.3.1). One longer than a chain may
// be is refused later, when a chain in it gets that long.
[[nodiscard]] inline Result<std::uint32_t, QueueError> table_entries(std::uint32_t bytes) {
  if (bytes == 0 || bytes % kDescriptorBytes != 0) return Failure{QueueError::kBadIndirect};
  return static_cast<std::uint32_t>(bytes / kDescriptorBytes);
}

}  // namespace weir::virtio
