// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/swiotlb_capability.h"

#include "vendors/common/virtio/pci_layout.h"

namespace weir::virtio {
namespace {

namespace layout = pci::capability;
constexpr std::size_t kIdAt = 5;  // between bar and padding (virtio 1.4, 4.1.4)
constexpr std::uint8_t kBars = 6;
constexpr unsigned kByteBits = 8;

[[nodiscard]] std::uint8_t byte_at(std::span<const std::byte> bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}
[[nodiscard]] std::uint32_t word_at(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t word = 0;
  for (std::size_t i = sizeof word; i-- > 0;) word = word << kByteBits | byte_at(bytes, at + i);
  return word;
}
void put(std::span<std::byte> bytes, std::size_t at, std::uint32_t word) {
  for (std::size_t i = 0; i < sizeof word; ++i)
    bytes[at + i] = static_cast<std::byte>(word >> kByteBits * i);
}

}  // namespace

WindowPlace SwiotlbCapability::place(FunctionId function) const {
  return {.name = "SWIOTLB buffer",
          .first = offset,
          .base = offset,
          .bytes = length,
          .bar = WindowPlace::InBar{.function = function, .index = bar}};
}

std::array<std::byte, SwiotlbCapability::kBytes> encode(const SwiotlbCapability& capability,
                                                        std::uint8_t next) {
  std::array<std::byte, SwiotlbCapability::kBytes> bytes{};
  bytes[layout::kId] = std::byte{layout::kVendorSpecific};
  bytes[layout::kNext] = std::byte{next};
  bytes[layout::kLength] = std::byte{SwiotlbCapability::kBytes};
  bytes[layout::kType] = std::byte{SwiotlbCapability::kType};
  bytes[layout::kBar] = std::byte{capability.bar};
  bytes[kIdAt] = std::byte{capability.id};
  put(bytes, layout::kOffset, capability.offset);
  put(bytes, layout::kStructureLength, capability.length);
  return bytes;
}

std::optional<SwiotlbCapability> decode_swiotlb(std::span<const std::byte> bytes) {
  if (bytes.size() < SwiotlbCapability::kBytes) return std::nullopt;
  if (byte_at(bytes, layout::kId) != layout::kVendorSpecific ||
      byte_at(bytes, layout::kLength) < SwiotlbCapability::kBytes ||
      byte_at(bytes, layout::kType) != SwiotlbCapability::kType)
    return std::nullopt;
  const SwiotlbCapability found{.bar = byte_at(bytes, layout::kBar),
                                .id = byte_at(bytes, kIdAt),
                                .offset = word_at(bytes, layout::kOffset),
                                .length = word_at(bytes, layout::kStructureLength)};
  constexpr std::uint64_t kReach = std::uint64_t{1} << 32;
  if (found.bar >= kBars || found.length == 0 ||
      std::uint64_t{found.offset} + found.length > kReach)
    return std::nullopt;
  return found;
}

}  // namespace weir::virtio
