// SPDX-License-Identifier: Apache-2.0
#include "plugs/virtio_blk/request.h"

#include <span>

namespace weir::virtio_blk {
namespace {

using Kind = BlockRequest::Kind;

void refuse(BlockRequest& request, Status why) {
  request.kind = Kind::kRefused;
  request.refusal = why;
}

// 5.2.6.2: whole sectors, inside the disk.
[[nodiscard]] bool is_place(std::uint64_t sector, std::uint64_t bytes, std::uint64_t disk_bytes) {
  return bytes != 0 && bytes % kSectorBytes == 0 && bytes <= kMostBytes && bytes <= disk_bytes &&
         sector <= (disk_bytes - bytes) / kSectorBytes;
}

void place(BlockRequest& request, Kind kind, std::uint64_t sector, std::uint64_t bytes,
           std::uint64_t disk_bytes) {
  if (!is_place(sector, bytes, disk_bytes)) return refuse(request, Status::kIoError);
  request.kind = kind;
  request.at = sector * kSectorBytes;
  request.bytes = bytes;
}

// One range each, as the configuration says.
void read_range(BlockRequest& request, std::uint32_t type, virtio::QueueMemory& memory,
                const virtio::Chain& chain, std::uint64_t disk_bytes) {
  ZeroRange range;
  if (chain.readable_bytes != request.data_at + sizeof range)
    return refuse(request, Status::kIoError);
  if (!copy_from(memory, chain.readable, request.data_at,
                 std::as_writable_bytes(std::span(&range, 1))))
    return refuse(request, Status::kIoError);
  // 5.2.6.2: the flag means nothing for a discard, and the others are reserved.
  const std::uint32_t known = type == request_type::kWriteZeroes ? 1 : 0;
  if ((range.flags & ~known) != 0) return refuse(request, Status::kUnsupported);
  place(request, Kind::kZero, range.sector, range.sectors * kSectorBytes, disk_bytes);
}

}  // namespace

std::optional<BlockRequest> read_request(virtio::QueueMemory& memory, const virtio::Chain& chain,
                                         std::uint64_t disk_bytes) {
  RequestHeader header;
  if (chain.writable_bytes == 0 ||
      !copy_from(memory, chain.readable, 0, std::as_writable_bytes(std::span(&header, 1))))
    return std::nullopt;
  BlockRequest request{.status_at = chain.writable_bytes - 1};
  switch (header.type) {
    case request_type::kIn:
      place(request, Kind::kIn, header.sector, request.status_at, disk_bytes);
      break;
    case request_type::kOut:
      request.data_at = sizeof header;
      place(request, Kind::kOut, header.sector, chain.readable_bytes - sizeof header, disk_bytes);
      break;
    case request_type::kFlush:
      request.kind = Kind::kFlush;
      break;
    case request_type::kGetId:
      request.kind = Kind::kId;
      break;
    case request_type::kDiscard:
    case request_type::kWriteZeroes:
      request.data_at = sizeof header;
      read_range(request, header.type, memory, chain, disk_bytes);
      break;
    default:
      refuse(request, Status::kUnsupported);
  }
  return request;
}

}  // namespace weir::virtio_blk
