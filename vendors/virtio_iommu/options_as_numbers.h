// SPDX-License-Identifier: Apache-2.0
//
// The options of a virtio-iommu as a list of numbers and back, in the order of options.h: what a
// recording keeps of them. The interrupt sink is nobody's but the embedder's and is not among them.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vendors/virtio_iommu/options.h"

namespace weir::virtio_iommu {

[[nodiscard]] std::vector<std::uint64_t> numbers_of(const Options& options);

// Nothing where a number does not fit, or there are too few or too many.
[[nodiscard]] std::optional<Options> options_from(std::span<const std::uint64_t> numbers);

}  // namespace weir::virtio_iommu
