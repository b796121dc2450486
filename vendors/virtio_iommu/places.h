// SPDX-License-Identifier: Apache-2.0
//
// Where the unit's runner can be held up.
#pragma once

#include <cstdint>

#include "vendors/common/parking.h"

namespace weir::virtio_iommu {

enum class Place : std::uint8_t { kReset, kBypass, kBatch, kGraveyard };

using Parking = weir::Parking<Place, 4>;

}  // namespace weir::virtio_iommu
