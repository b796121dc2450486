// SPDX-License-Identifier: Apache-2.0
//
// The properties of an endpoint as a PROBE request is answered with them (virtio 1.4, 5.13.6.8):
// its reserved regions. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vendors/virtio_iommu/options.h"

namespace weir::virtio_iommu {

// Whether they can be told in `bytes`, and are such as may be told: at most one MSI region, no two
// that overlap.
[[nodiscard]] bool properties_fit(std::span<const ReservedRegion> regions, std::size_t bytes);

// Exactly `bytes` long, what is left of them zero. REQUIRES: properties_fit.
[[nodiscard]] std::vector<std::byte> properties_of(std::span<const ReservedRegion> regions,
                                                   std::size_t bytes);

}  // namespace weir::virtio_iommu
