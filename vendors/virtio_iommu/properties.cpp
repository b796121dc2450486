// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/properties.h"

#include "vendors/virtio_iommu/fields.h"
#include "vendors/virtio_iommu/layout.h"

namespace weir::virtio_iommu {
namespace {

namespace reserved = property::reserved_memory;

[[nodiscard]] std::uint8_t subtype_of(ReservedRegion::Kind kind) {
  switch (kind) {
    case ReservedRegion::Kind::kReserved:
      return reserved::kSubtypeReserved;
    case ReservedRegion::Kind::kMsi:
      return reserved::kSubtypeMsi;
  }
  return reserved::kSubtypeReserved;
}

}  // namespace

bool properties_fit(std::span<const ReservedRegion> regions, std::size_t bytes) {
  std::size_t doorbells = 0;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    if (regions[i].range.last < regions[i].range.first) return false;
    doorbells += regions[i].kind == ReservedRegion::Kind::kMsi ? 1 : 0;
    for (std::size_t j = 0; j < i; ++j)
      if (regions[i].range.overlaps(regions[j].range)) return false;
  }
  return doorbells <= 1 && regions.size() <= bytes / reserved::kBytes;
}

std::vector<std::byte> properties_of(std::span<const ReservedRegion> regions, std::size_t bytes) {
  std::vector<std::byte> all(bytes);
  std::span<std::byte> rest = all;
  for (const ReservedRegion& region : regions) {
    put(rest, property::kType, property::kReservedMemory);
    put(rest, property::kLength,
        static_cast<std::uint16_t>(reserved::kBytes - property::kHeadBytes));
    put(rest, reserved::kSubtype, subtype_of(region.kind));
    put(rest, reserved::kStart, region.range.first.value());
    put(rest, reserved::kEnd, region.range.last.value());
    rest = rest.subspan(reserved::kBytes);
  }
  return all;
}

}  // namespace weir::virtio_iommu
