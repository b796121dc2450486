// SPDX-License-Identifier: Apache-2.0
//
// What a device tree says of a restricted DMA pool: a node below /reserved-memory that is
// compatible with "restricted-dma-pool", named by the memory-region of every device that is
// confined to it. All those devices share it, at the addresses that it has: an identity window.
// Properties come and go as a flattened tree holds them (big-endian cells); reading and writing the
// tree itself is the embedder's.
//
// Pure functions; any thread. Sources: Linux, Documentation/devicetree/bindings/reserved-memory/
// shared-dma-pool.yaml, and rmem_swiotlb_setup in kernel/dma/swiotlb.c for what is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "iommu/window.h"

namespace weir::devicetree {

struct Property {
  std::string name;
  std::vector<std::byte> value{};

  friend bool operator==(const Property&, const Property&) = default;
};

// Of /reserved-memory: cells of an address and of a size in `reg` (1 or 2 each).
struct Cells {
  unsigned address = 2;
  unsigned size = 2;
};

inline constexpr std::string_view kCompatible = "restricted-dma-pool";

[[nodiscard]] bool is_restricted_pool(std::span<const Property> node);
// The window of such a node. Refuses, in one sentence: what Linux refuses (no-map, reusable,
// linux,cma-default, linux,dma-default), a reg that is missing or not one range, and a pool that is
// no window. (A node with `size` alone is placed by whoever loads the tree, who then writes reg.)
[[nodiscard]] Result<Window, std::string> read_pool(std::span<const Property> node, Cells cells);
// compatible, reg and phandle of a node for `window`. REQUIRES: it is identity and reads and
// writes, as all such pools are, and fits the cells.
[[nodiscard]] std::vector<Property> write_pool(const Window& window, Cells cells,
                                               std::uint32_t phandle);

// A device's memory-region: the phandles of its pools, in order. Refuses what is not whole cells.
[[nodiscard]] Result<std::vector<std::uint32_t>, std::string> read_memory_region(
    const Property& property);
[[nodiscard]] Property write_memory_region(std::span<const std::uint32_t> phandles);

}  // namespace weir::devicetree
