// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "vendors/common/acpi/byte_reader.h"
#include "vendors/virtio_iommu/fields.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/virtio_iommu/viot_fields.h"

namespace weir::virtio_iommu {
namespace {

// A range over more segments is no machine's.
constexpr int kMostSegments = 256;

[[nodiscard]] Failure<TableError> wrong(std::size_t offset, const char* cause) {
  return Failure{TableError{.offset = offset, .cause = cause}};
}

// What nodes refer to, resolved.
class Resolver {
 public:
  [[nodiscard]] Result<Viot, TableError> run(const viot::Table& table) {
    for (const viot::Node& node : table.nodes)
      if (auto done = add_unit(node); !done) return Failure{done.error()};
    for (const viot::Node& node : table.nodes) {
      if (const auto* range = std::get_if<viot::PciRange>(&node))
        if (auto done = add_range(*range); !done) return Failure{done.error()};
      if (const auto* endpoint = std::get_if<viot::MmioEndpoint>(&node))
        if (auto done = add_endpoint(*endpoint); !done) return Failure{done.error()};
    }
    return std::move(viot_);
  }

 private:
  [[nodiscard]] Result<Done, TableError> add_unit(const viot::Node& node) {
    std::uint64_t name = 0;
    std::size_t offset = 0;
    if (const auto* pci = std::get_if<viot::PciUnit>(&node)) {
      name = name_of_pci({pci->segment, pci->bdf});
      offset = pci->offset;
    } else if (const auto* mmio = std::get_if<viot::MmioUnit>(&node)) {
      name = mmio->base;
      offset = mmio->offset;
    } else {
      return Done{};
    }
    if (std::ranges::find(viot_.units, name) != viot_.units.end())
      return wrong(offset, "a unit is there twice");
    units_at_[offset] = name;
    viot_.units.push_back(name);
    return Done{};
  }

  [[nodiscard]] Result<Done, TableError> add_range(const viot::PciRange& r) {
    namespace field = viot::pci_range;
    if (r.segment_end < r.segment_start)
      return wrong(r.offset + field::kSegmentEnd, "a range of segments ends before it begins");
    if (r.segment_end - r.segment_start >= kMostSegments)
      return wrong(r.offset + field::kSegmentEnd, "a range over more than 256 segments");
    if (r.bdf_end < r.bdf_start)
      return wrong(r.offset + field::kBdfEnd, "a range ends before it begins");
    const auto unit = units_at_.find(r.output_node);
    if (unit == units_at_.end())
      return wrong(r.offset + field::kOutputNode, "a range names no unit of the table");
    // Ids go on by 64 Ki from one segment to the next.
    for (unsigned segment = r.segment_start; segment <= r.segment_end; ++segment)
      viot_.ranges.push_back(
          {.unit = unit->second,
           .first = {static_cast<std::uint16_t>(segment), r.bdf_start},
           .last = {static_cast<std::uint16_t>(segment), r.bdf_end},
           .first_endpoint = r.endpoint_start + ((segment - r.segment_start) << 16)});
    return Done{};
  }

  [[nodiscard]] Result<Done, TableError> add_endpoint(const viot::MmioEndpoint& e) {
    const auto unit = units_at_.find(e.output_node);
    if (unit == units_at_.end())
      return wrong(e.offset + viot::mmio_endpoint::kOutputNode,
                   "an endpoint names no unit of the table");
    viot_.mmio_endpoints.push_back({unit->second, e.base, e.endpoint});
    return Done{};
  }

  Viot viot_;
  std::map<std::size_t, std::uint64_t> units_at_;
};

class ViotParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    const auto parsed = parse_viot_table(table);
    if (!parsed) return Failure{parsed.error()};
    return coverage_of(*parsed);
  }
};

}  // namespace

Result<viot::Table, TableError> parse_viot_table(std::span<const std::byte> bytes) {
  const auto table = acpi::check_table(bytes, "VIOT", viot::header::kBytes);
  if (!table) return Failure{table.error()};
  if (get<std::uint16_t>(*table, viot::header::kNodeOffset) < viot::header::kBytes)
    return wrong(viot::header::kNodeOffset, "nodes in the header");
  viot::Table parsed;
  parsed.node_count = get<std::uint16_t>(*table, viot::header::kNodeCount);
  acpi::ByteReader reader(*table, "VIOT header");
  describe(reader, parsed);
  if (reader.error()) return Failure{*reader.error()};
  return parsed;
}

Result<Viot, TableError> parse_viot(std::span<const std::byte> table) {
  const auto parsed = parse_viot_table(table);
  if (!parsed) return Failure{parsed.error()};
  return viot_of(*parsed);
}

Result<Viot, TableError> viot_of(const viot::Table& table) { return Resolver().run(table); }

Result<Coverage, TableError> coverage_of(const viot::Table& table) {
  const auto viot = viot_of(table);
  if (!viot) return Failure{viot.error()};
  Coverage coverage;
  for (const std::uint64_t unit : viot->units) {
    // A unit may serve several segments; each is an entry of its own here. Endpoints that are no
    // functions have no segment and count for the first.
    std::map<std::uint16_t, UnitCoverage> by_segment;
    for (const ViotRange& range : viot->ranges)
      if (range.unit == unit)
        by_segment[range.first.segment].functions.push_back({range.first.bdf, range.last.bdf});
    for (const ViotEndpoint& endpoint : viot->mmio_endpoints)
      if (endpoint.unit == unit) by_segment[0].mmio_devices.push_back(endpoint.base);
    for (auto& [segment, covered] : by_segment) {
      covered.register_base = unit;
      covered.segment = segment;
      coverage.units.push_back(std::move(covered));
    }
  }
  return coverage;
}

std::optional<std::uint32_t> endpoint_of(const Viot& from, std::uint64_t unit, Requester function) {
  for (const ViotRange& range : from.ranges)
    if (range.unit == unit && range.first.segment == function.segment &&
        range.first.bdf <= function.bdf && function.bdf <= range.last.bdf)
      return range.first_endpoint + (function.bdf - range.first.bdf);
  return std::nullopt;
}

const TableParser& viot_parser() {
  static const ViotParser kParser;
  return kParser;
}

}  // namespace weir::virtio_iommu
