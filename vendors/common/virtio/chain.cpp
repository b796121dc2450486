// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/chain.h"

#include <algorithm>

namespace weir::virtio {
namespace {

// Calls copy(where, first, count) for each piece of [offset, offset + bytes).
template <typename Copy>
[[nodiscard]] bool for_pieces(std::span<const Part> parts, std::uint64_t offset,
                              std::uint64_t bytes, Copy copy) {
  std::uint64_t done = 0;
  for (const Part& part : parts) {
    if (done == bytes) break;
    if (offset >= part.bytes) {
      offset -= part.bytes;
      continue;
    }
    const std::uint64_t count = std::min<std::uint64_t>(part.bytes - offset, bytes - done);
    if (!copy(part.at + offset, done, count)) return false;
    offset = 0;
    done += count;
  }
  return done == bytes;
}

}  // namespace

bool copy_from(QueueMemory& memory, std::span<const Part> parts, std::uint64_t offset,
               std::span<std::byte> to) {
  return for_pieces(parts, offset, to.size(),
                    [&](Gpa at, std::uint64_t first, std::uint64_t count) {
                      return memory.read(at, to.subspan(first, count));
                    });
}

bool copy_to(QueueMemory& memory, std::span<const Part> parts, std::uint64_t offset,
             std::span<const std::byte> from) {
  return for_pieces(parts, offset, from.size(),
                    [&](Gpa at, std::uint64_t first, std::uint64_t count) {
                      return memory.write(at, from.subspan(first, count));
                    });
}

}  // namespace weir::virtio
