// SPDX-License-Identifier: Apache-2.0
//
// Where the bytes of a block device are: in memory, gone when it ends, or in a file.
//
// One thread at a time. Nothing here throws; an error of the host is false.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::virtio_blk {

class Storage {
 public:
  virtual ~Storage() = default;

  [[nodiscard]] virtual std::uint64_t bytes() const = 0;  // constant; a multiple of 512
  // REQUIRES, of the three: all of it lies within bytes().
  [[nodiscard]] virtual bool read(std::uint64_t at, std::span<std::byte> to) = 0;
  [[nodiscard]] virtual bool write(std::uint64_t at, std::span<const std::byte> from) = 0;
  [[nodiscard]] virtual bool zero(std::uint64_t at, std::uint64_t bytes) = 0;
  // What was written before survives the host's failure.
  [[nodiscard]] virtual bool flush() = 0;
};

// Zeroes at first. `bytes` is rounded up to whole sectors.
[[nodiscard]] std::unique_ptr<Storage> memory_storage(std::uint64_t bytes);
// Refuses, in one sentence, what is no writable file, or has no whole sector; what lies beyond the
// last whole one is not shown.
[[nodiscard]] Result<std::unique_ptr<Storage>, std::string> file_storage(const std::string& path);

}  // namespace weir::virtio_blk
