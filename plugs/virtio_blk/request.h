// SPDX-License-Identifier: Apache-2.0
//
// One request to a block device, judged as a whole before a byte of its data moves: what is asked,
// of which bytes of the disk, and where in the chain its data and its status are. All of it is the
// guest's and hostile; what comes out obeys the disk's size and the limits below.
//
// Pure functions of a chain and guest memory; one thread.
#pragma once

#include <cstdint>
#include <optional>

#include "plugs/virtio_blk/layout.h"
#include "vendors/common/virtio/chain.h"
#include "vendors/common/virtio/queue_memory.h"

namespace weir::virtio_blk {

// What the device says of itself, and so the most that one request makes it do.
inline constexpr std::uint32_t kMostSegments = 126;
inline constexpr std::uint32_t kMostSegmentBytes = 65536;
inline constexpr std::uint64_t kMostBytes = std::uint64_t{kMostSegments} * kMostSegmentBytes;

struct BlockRequest {
  enum class Kind : std::uint8_t { kIn, kOut, kFlush, kId, kZero, kRefused };
  Kind kind = Kind::kRefused;
  Status refusal = Status::kOk;  // kRefused: why
  std::uint64_t at = 0;          // on the disk, in bytes; kIn, kOut, kZero
  std::uint64_t bytes = 0;       // of data; kZero: of the disk
  std::uint64_t data_at = 0;     // where the data begins in the chain's readable or writable bytes
  std::uint64_t status_at = 0;   // the same, of the status byte among the writable ones

  [[nodiscard]] bool touches(std::uint64_t sector) const {
    const bool has_place = kind == Kind::kIn || kind == Kind::kOut;
    return has_place && sector >= at / kSectorBytes && sector < (at + bytes) / kSectorBytes;
  }
};

// Nothing: there is no header to read, or no byte for a status.
[[nodiscard]] std::optional<BlockRequest> read_request(virtio::QueueMemory& memory,
                                                       const virtio::Chain& chain,
                                                       std::uint64_t disk_bytes);

}  // namespace weir::virtio_blk
