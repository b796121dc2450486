// SPDX-License-Identifier: Apache-2.0
//
// The VIOT, the ACPI table by which a guest learns which functions are behind which virtio-iommu
// and under which endpoint ids (ACPI 6.5, 5.2.34; virtio 1.4, 5.13.1): its parser, and a builder
// for embedders that need one. Devices outside every range have no IOMMU.
//
// A unit is named by what the table names it by: the base address of its virtio-mmio registers, or
// its own PCI function, for which name_of_pci makes the number that Iommu::add_unit takes.
//
// Pure functions; any thread. A table is hostile input: every length is checked, and an error names
// its offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "iommu/coverage.h"
#include "vendors/virtio_iommu/options.h"

namespace weir::virtio_iommu {

[[nodiscard]] std::uint64_t name_of_pci(Requester function);

// Functions of one segment in a row, numbered in a row.
struct ViotRange {
  std::uint64_t unit = 0;  // its name
  Requester first;
  Requester last;  // of the same segment
  std::uint32_t first_endpoint = 0;
};

struct Viot {
  std::vector<std::uint64_t> units;  // in the order of the table
  std::vector<ViotRange> ranges;
};

// REQUIRES: every range names one of the units; at most 1000 nodes.
[[nodiscard]] std::vector<std::byte> build_viot(const Viot& viot);
[[nodiscard]] Result<Viot, TableError> parse_viot(std::span<const std::byte> table);

// The endpoint id of a function behind `unit`; nothing: it is not behind it.
[[nodiscard]] std::optional<std::uint32_t> endpoint_of(const Viot& viot, std::uint64_t unit,
                                                       Requester function);

// For Iommu::use_tables.
[[nodiscard]] const TableParser& viot_parser();

}  // namespace weir::virtio_iommu
