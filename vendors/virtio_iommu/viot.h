// SPDX-License-Identifier: Apache-2.0
//
// The VIOT, the ACPI table by which a guest learns which functions are behind which virtio-iommu
// and under which endpoint ids (ACPI 6.5, 5.2.34; virtio 1.4, 5.13.1), both ways: field by field
// (viot_table.h), resolved, and in neutral words. Devices outside every range have no IOMMU.
//
// A unit is named by what the table names it by: the base address of its virtio-mmio registers, or
// its own PCI function, for which name_of_pci makes the number that Iommu::add_unit takes.
//
// Pure functions; any thread. A table is hostile input: every length is checked, and an error names
// its offset. A wish that a VIOT cannot express is refused with both sides named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/topology.h"
#include "vendors/virtio_iommu/options.h"
#include "vendors/virtio_iommu/viot_table.h"

namespace weir::virtio_iommu {

[[nodiscard]] std::uint64_t name_of_pci(Requester function);

// Functions of one segment in a row, numbered in a row.
struct ViotRange {
  std::uint64_t unit = 0;  // its name
  Requester first;
  Requester last;  // of the same segment
  std::uint32_t first_endpoint = 0;
};

// A device that is no PCI function, by the address of its registers.
struct ViotEndpoint {
  std::uint64_t unit = 0;
  std::uint64_t base = 0;
  std::uint32_t endpoint = 0;
};

struct Viot {
  std::vector<std::uint64_t> units;  // in the order of the table
  std::vector<ViotRange> ranges;
  std::vector<ViotEndpoint> mmio_endpoints{};
};

// For Iommu::use_tables.
[[nodiscard]] const TableParser& viot_parser();

// Every field, with reserved and unknown parts kept: write_viot gives the same bytes again. What
// lies behind the table's length is not read.
[[nodiscard]] Result<viot::Table, TableError> parse_viot_table(std::span<const std::byte> bytes);
[[nodiscard]] Result<Viot, TableError> parse_viot(std::span<const std::byte> table);
[[nodiscard]] Result<Viot, TableError> viot_of(const viot::Table& table);
[[nodiscard]] Result<Coverage, TableError> coverage_of(const viot::Table& table);

// Lengths, the count of nodes and the checksum right. Refused: what a length field cannot say, and
// nodes that do not begin where node_offset says.
[[nodiscard]] Result<std::vector<std::byte>, TableError> write_viot(const viot::Table& table);

// REQUIRES: every range names one of the units; at most 1000 nodes.
[[nodiscard]] std::vector<std::byte> build_viot(const Viot& viot);

// The same from a machine and its wishes. A unit with a PCI function is named by that, and its
// register_base is name_of_pci(its number). Endpoint ids are segment, bus, device and function;
// devices that are no functions count from 8000_0000h and
// leave out what those of functions need. Reserved regions are not the table's: the
// unit tells of them when it is probed. What the table says has been parsed again and compared with
// the wishes. Refuses in one sentence. REQUIRES: topology.check().
[[nodiscard]] Result<Viot, std::string> viot_of(const Topology& topology);
[[nodiscard]] Result<std::vector<std::byte>, std::string> build_viot_for(const Topology& topology);

// The endpoint id of a function behind `unit`; nothing: it is not behind it.
[[nodiscard]] std::optional<std::uint32_t> endpoint_of(const Viot& viot, std::uint64_t unit,
                                                       Requester function);

}  // namespace weir::virtio_iommu
