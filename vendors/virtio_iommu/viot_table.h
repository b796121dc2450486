// SPDX-License-Identifier: Apache-2.0
//
// A VIOT as values, field by field and in the order of its bytes (ACPI 6.5, 5.2.34): what
// viot_parse.cpp reads and viot_build.cpp writes, without loss. Lengths, the count of nodes and the
// checksum are worked out; reserved fields are kept. `offset` is where a node lay, by which others
// refer to it; it is not written.
//
// Plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "vendors/common/acpi/header.h"
#include "vendors/virtio_iommu/viot_layout.h"

namespace weir::virtio_iommu::viot {

struct PciRange {
  std::size_t offset = 0;
  std::uint8_t reserved1 = 0;
  std::uint32_t endpoint_start = 0;
  std::uint16_t segment_start = 0;
  std::uint16_t segment_end = 0;
  std::uint16_t bdf_start = 0;
  std::uint16_t bdf_end = 0;
  std::uint16_t output_node = 0;  // offset of its unit's node
  std::array<std::byte, 6> reserved{};
  std::vector<std::byte> rest{};
};

struct MmioEndpoint {
  std::size_t offset = 0;
  std::uint8_t reserved1 = 0;
  std::uint32_t endpoint = 0;
  std::uint64_t base = 0;
  std::uint16_t output_node = 0;
  std::array<std::byte, 6> reserved{};
  std::vector<std::byte> rest{};
};

struct PciUnit {
  std::size_t offset = 0;
  std::uint8_t reserved1 = 0;
  std::uint16_t segment = 0;
  std::uint16_t bdf = 0;
  std::array<std::byte, 8> reserved{};
  std::vector<std::byte> rest{};
};

struct MmioUnit {
  std::size_t offset = 0;
  std::uint8_t reserved1 = 0;
  std::array<std::byte, 4> reserved{};
  std::uint64_t base = 0;
  std::vector<std::byte> rest{};
};

// Of a type to come: stepped over, and kept.
struct Unknown {
  std::size_t offset = 0;
  std::uint8_t type = 0;
  std::uint8_t reserved1 = 0;
  std::vector<std::byte> rest{};
};

using Node = std::variant<PciRange, MmioEndpoint, PciUnit, MmioUnit, Unknown>;

struct Table {
  acpi::Header header = acpi::header_for("VIOT", 0);
  std::size_t node_count = 0;  // as parsed; writing counts anew
  std::uint16_t node_offset = header::kBytes;
  std::array<std::byte, 8> reserved{};
  std::vector<std::byte> gap{};  // before the nodes
  std::vector<Node> nodes{};
  std::vector<std::byte> rest{};  // after them
};

}  // namespace weir::virtio_iommu::viot
