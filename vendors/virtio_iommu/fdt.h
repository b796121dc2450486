// SPDX-License-Identifier: Apache-2.0
//
// A flattened device tree as nodes and properties (Devicetree Specification 0.4, chapter 5). The
// nodes point into the bytes.
//
// Pure functions; any thread. Work and memory are linear in the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "iommu/coverage.h"

namespace weir::virtio_iommu::fdt {

struct Property {
  std::string_view name;
  std::size_t offset = 0;  // of the value, into the tree
  std::span<const std::byte> value;

  [[nodiscard]] std::size_t cells() const { return value.size() / 4; }
  // REQUIRES: index < cells().
  [[nodiscard]] std::uint32_t cell(std::size_t index) const;
};

struct Node {
  std::optional<std::size_t> parent;  // index; none: the root
  std::string_view name;
  std::vector<Property> properties;

  [[nodiscard]] const Property* find(std::string_view property) const;
  // The first cell of a property, or `otherwise`.
  [[nodiscard]] std::uint32_t cell(std::string_view property, std::uint32_t otherwise) const;
};

// In the order of the bytes: parents before children.
[[nodiscard]] Result<std::vector<Node>, TableError> parse(std::span<const std::byte> tree);

}  // namespace weir::virtio_iommu::fdt
