// SPDX-License-Identifier: Apache-2.0
//
// Little-endian fields of a structure in bytes. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace weir::virtio_iommu {

// REQUIRES, both: the field lies inside `bytes`.
template <typename Word>
[[nodiscard]] Word get(std::span<const std::byte> bytes, std::size_t at) {
  Word word{};
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}
template <typename Word>
void put(std::span<std::byte> bytes, std::size_t at, Word word) {
  std::memcpy(bytes.data() + at, &word, sizeof word);
}

}  // namespace weir::virtio_iommu
