// SPDX-License-Identifier: Apache-2.0
//
// Layout of the block device: feature bits (virtio 1.4, 5.2.3), configuration (5.2.4), requests
// (5.2.6).
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::virtio_blk {

inline constexpr std::uint16_t kDeviceId = 2;
inline constexpr std::uint64_t kSectorBytes = 512;

namespace feature {
inline constexpr Bit<1> kSizeMax{"VIRTIO_BLK_F_SIZE_MAX", "longest segment", "5.2.3"};
inline constexpr Bit<2> kSegMax{"VIRTIO_BLK_F_SEG_MAX", "segments of a request", "5.2.3"};
inline constexpr Bit<6> kBlockSize{"VIRTIO_BLK_F_BLK_SIZE", "", "5.2.3"};
inline constexpr Bit<9> kFlush{"VIRTIO_BLK_F_FLUSH", "", "5.2.3"};
inline constexpr Bit<12> kMultiQueue{"VIRTIO_BLK_F_MQ", "several queues", "5.2.3"};
inline constexpr Bit<13> kDiscard{"VIRTIO_BLK_F_DISCARD", "", "5.2.3"};
inline constexpr Bit<14> kWriteZeroes{"VIRTIO_BLK_F_WRITE_ZEROES", "", "5.2.3"};
}  // namespace feature

// struct virtio_blk_config, as far as the features above fill it.
struct Config {
  std::uint64_t capacity = 0;  // sectors
  std::uint32_t size_max = 0;  // bytes
  std::uint32_t seg_max = 0;
  std::uint32_t geometry = 0;
  std::uint32_t blk_size = 0;
  std::uint64_t topology = 0;
  std::uint16_t writeback = 0;
  std::uint16_t num_queues = 0;
  std::uint32_t max_discard_sectors = 0;
  std::uint32_t max_discard_seg = 0;
  std::uint32_t discard_sector_alignment = 0;
  std::uint32_t max_write_zeroes_sectors = 0;
  std::uint32_t max_write_zeroes_seg = 0;
  std::uint32_t write_zeroes_may_unmap = 0;
};
static_assert(offsetof(Config, blk_size) == 20 && offsetof(Config, num_queues) == 34);
static_assert(offsetof(Config, write_zeroes_may_unmap) == 56);

// struct virtio_blk_req: this first, then the data, then one byte of status.
struct RequestHeader {
  std::uint32_t type = 0;
  std::uint32_t reserved = 0;
  std::uint64_t sector = 0;
};
static_assert(sizeof(RequestHeader) == 16);

namespace request_type {
inline constexpr std::uint32_t kIn = 0;
inline constexpr std::uint32_t kOut = 1;
inline constexpr std::uint32_t kFlush = 4;
inline constexpr std::uint32_t kGetId = 8;
inline constexpr std::uint32_t kDiscard = 11;
inline constexpr std::uint32_t kWriteZeroes = 13;
}  // namespace request_type

inline constexpr std::uint64_t kIdBytes = 20;

// struct virtio_blk_discard_write_zeroes
struct ZeroRange {
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
  std::uint32_t flags = 0;  // bit 0: write zeroes may unmap
};
static_assert(sizeof(ZeroRange) == 16);

enum class Status : std::uint8_t { kOk = 0, kIoError = 1, kUnsupported = 2 };

}  // namespace weir::virtio_blk
