// SPDX-License-Identifier: Apache-2.0
//
// VIRTIO_PCI_CAP_SWIOTLB: a device names a window in one of its BARs, and its driver passes only
// addresses in there once it has accepted VIRTIO_F_SWIOTLB. As proposed (virtio-comment, "Add
// VIRTIO_F_SWIOTLB" and "Add VIRTIO_PCI_CAP_SWIOTLB", 2 April 2025; a plain struct virtio_pci_cap,
// virtio 1.4, 4.1.4); no release of the specification has it, and the numbers may change.
//
// Pure functions; any thread. Bytes that are no such capability are a value, never trouble.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bits.h"
#include "iommu/topology.h"

namespace weir::virtio {

namespace feature {
inline constexpr Bit<27> kSwiotlb{"VIRTIO_F_SWIOTLB", "addresses lie in the device's window",
                                  "proposed"};
}  // namespace feature

struct SwiotlbCapability {
  static constexpr std::uint8_t kType = 10;  // cfg_type; 1 to 5, 8 and 9 are taken
  static constexpr std::size_t kBytes = 16;

  std::uint8_t bar = 0;      // 0…5
  std::uint8_t id = 0;       // tells capabilities of one type apart
  std::uint32_t offset = 0;  // into the BAR
  std::uint32_t length = 0;  // bytes, not 0

  // As the window that a topology knows, which follows the BAR; what the driver passes are the
  // BAR's own addresses.
  [[nodiscard]] WindowPlace place(FunctionId function) const;

  friend bool operator==(const SwiotlbCapability&, const SwiotlbCapability&) = default;
};

// `next`: offset of the next capability in configuration space, 0 for none.
[[nodiscard]] std::array<std::byte, SwiotlbCapability::kBytes> encode(
    const SwiotlbCapability& capability, std::uint8_t next);
// From where the capability begins. Nothing: it is another one, cut off, names no BAR that there
// is, is empty, or leaves the 4 GiB that an offset can name.
[[nodiscard]] std::optional<SwiotlbCapability> decode_swiotlb(std::span<const std::byte> bytes);

// What of a device's offer contradicts itself: the feature MUST NOT be offered without a buffer.
[[nodiscard]] constexpr bool may_offer_swiotlb(std::uint64_t features, bool has_buffer) {
  return has_buffer || !feature::kSwiotlb.is_set(features);
}

}  // namespace weir::virtio
