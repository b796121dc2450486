// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <map>
#include <utility>

#include "vendors/common/acpi/byte_writer.h"
#include "vendors/virtio_iommu/fields.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/virtio_iommu/viot_fields.h"

namespace weir::virtio_iommu {
namespace {

constexpr std::size_t kUnitBytes = 16;  // of either kind of unit's node

[[nodiscard]] viot::Node unit_node(std::uint64_t name) {
  namespace pci = viot::pci_name;
  if (!pci::kIsPci.is_set(name)) return viot::MmioUnit{.base = name};
  return viot::PciUnit{.segment = static_cast<std::uint16_t>(pci::kSegment.get(name)),
                       .bdf = static_cast<std::uint16_t>(pci::kBdf.get(name))};
}

}  // namespace

std::uint64_t name_of_pci(Requester function) {
  namespace name = viot::pci_name;
  return name::kIsPci.of(1) | name::kSegment.of(function.segment) | name::kBdf.of(function.bdf);
}

Result<std::vector<std::byte>, TableError> write_viot(const viot::Table& table) {
  if (table.node_offset != viot::header::kBytes + table.gap.size())
    return Failure{TableError{.offset = viot::header::kNodeOffset,
                              .cause = "node_offset is not where the nodes begin"}};
  if (table.nodes.size() > 0xffff)
    return Failure{TableError{.offset = viot::header::kNodeCount, .cause = "too many nodes"}};
  acpi::ByteWriter writer;
  writer.write(table);
  if (writer.error()) return Failure{*writer.error()};
  put(std::span<std::byte>(writer.bytes()), viot::header::kNodeCount,
      static_cast<std::uint16_t>(table.nodes.size()));
  acpi::seal_table(writer.bytes(), "VIOT");
  return std::move(writer.bytes());
}

std::vector<std::byte> build_viot(const Viot& from) {
  viot::Table table;
  std::map<std::uint64_t, std::uint16_t> at;
  for (const std::uint64_t unit : from.units) {
    at[unit] = static_cast<std::uint16_t>(viot::header::kBytes + table.nodes.size() * kUnitBytes);
    table.nodes.push_back(unit_node(unit));
  }
  for (const ViotRange& range : from.ranges)
    table.nodes.emplace_back(viot::PciRange{.endpoint_start = range.first_endpoint,
                                            .segment_start = range.first.segment,
                                            .segment_end = range.last.segment,
                                            .bdf_start = range.first.bdf,
                                            .bdf_end = range.last.bdf,
                                            .output_node = at[range.unit]});
  for (const ViotEndpoint& endpoint : from.mmio_endpoints)
    table.nodes.emplace_back(viot::MmioEndpoint{
        .endpoint = endpoint.endpoint, .base = endpoint.base, .output_node = at[endpoint.unit]});
  return write_viot(table).value();
}

}  // namespace weir::virtio_iommu
