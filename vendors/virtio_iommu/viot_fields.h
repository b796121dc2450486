// SPDX-License-Identifier: Apache-2.0
//
// The fields of a VIOT, named once for all who go through one (vendors/common/acpi/fields.h).
//
// Templates and pure functions; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vendors/common/acpi/byte_writer.h"
#include "vendors/common/acpi/fields.h"
#include "vendors/virtio_iommu/viot_table.h"

namespace weir::virtio_iommu::viot {

inline constexpr auto kDecimal = acpi::Style::kDecimal;
inline constexpr auto kHex = acpi::Style::kHex;
inline constexpr auto kFunction = acpi::Style::kFunction;

template <typename V, typename N>
void describe_head(V& v, N& n) {
  v.head(node::kHeadBytes);
  v.number("reserved1", node::kReserved, n.reserved1, kHex);
}

template <typename V>
void describe(V& v, PciRange& r) {
  describe_head(v, r);
  v.number("endpoint_start", pci_range::kEndpointStart, r.endpoint_start, kHex);
  v.number("segment_start", pci_range::kSegmentStart, r.segment_start, kDecimal);
  v.number("segment_end", pci_range::kSegmentEnd, r.segment_end, kDecimal);
  v.number("bdf_start", pci_range::kBdfStart, r.bdf_start, kFunction);
  v.number("bdf_end", pci_range::kBdfEnd, r.bdf_end, kFunction);
  v.number("output_node", pci_range::kOutputNode, r.output_node, kDecimal);
  v.raw("reserved", pci_range::kReserved, r.reserved);
  v.rest("rest", r.rest);
}

template <typename V>
void describe(V& v, MmioEndpoint& e) {
  describe_head(v, e);
  v.number("endpoint", mmio_endpoint::kEndpoint, e.endpoint, kHex);
  v.number("base", mmio_endpoint::kBase, e.base, kHex);
  v.number("output_node", mmio_endpoint::kOutputNode, e.output_node, kDecimal);
  v.raw("reserved", mmio_endpoint::kReserved, e.reserved);
  v.rest("rest", e.rest);
}

template <typename V>
void describe(V& v, PciUnit& u) {
  describe_head(v, u);
  v.number("segment", pci_unit::kSegment, u.segment, kDecimal);
  v.number("bdf", pci_unit::kBdf, u.bdf, kFunction);
  v.raw("reserved", pci_unit::kReserved, u.reserved);
  v.rest("rest", u.rest);
}

template <typename V>
void describe(V& v, MmioUnit& u) {
  describe_head(v, u);
  v.raw("reserved", mmio_unit::kReserved, u.reserved);
  v.number("base", mmio_unit::kBase, u.base, kHex);
  v.rest("rest", u.rest);
}

template <typename V>
void describe(V& v, Unknown& u) {
  v.number("type", node::kType, u.type, kDecimal);
  describe_head(v, u);
  v.rest("rest", u.rest);
}

template <typename V>
void describe(V& v, Node& n) {
  std::visit([&v](auto& each) { describe(v, each); }, n);
}

template <typename V>
void describe(V& v, Table& t) {
  acpi::describe(v, t.header);
  v.head(header::kNodeOffset);
  v.number("node_offset", header::kNodeOffset, t.node_offset, kDecimal);
  v.raw("reserved", header::kReserved, t.reserved);
  v.some("gap", t.gap, t.node_offset - header::kBytes);
  v.list("nodes", t.nodes, t.node_count);
  v.rest("rest", t.rest);
}

inline void set_offset(Node& n, std::size_t offset) {
  std::visit([offset](auto& each) { each.offset = offset; }, n);
}

}  // namespace weir::virtio_iommu::viot

template <>
struct weir::acpi::Framing<weir::virtio_iommu::viot::Node> {
  using Node = virtio_iommu::viot::Node;
  [[nodiscard]] static Result<std::size_t, std::string> bytes(std::span<const std::byte> from);
  [[nodiscard]] static Node make(std::span<const std::byte> from);
  [[nodiscard]] static Result<Done, std::string> seal(const Node& n, std::span<std::byte> made);
  [[nodiscard]] static std::string_view kind(const Node& n);
  [[nodiscard]] static std::string_view words(const Node& n);
  [[nodiscard]] static std::optional<Node> of(std::string_view kind);
};
