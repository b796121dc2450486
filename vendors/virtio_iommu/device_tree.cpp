// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/device_tree.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "vendors/virtio_iommu/fdt.h"
#include "vendors/virtio_iommu/viot.h"

namespace weir::virtio_iommu {
namespace {

using fdt::Node;
using fdt::Property;

constexpr std::uint32_t kAllBits = 0xffff'ffff;
constexpr std::size_t kMapCells = 4;  // function, unit, id, count
constexpr std::uint32_t kMostSegment = 0xffff;
constexpr std::size_t kMostMasked = 64;  // entries with a mask, each of which looks at every number

[[nodiscard]] Failure<TableError> wrong(std::size_t offset, const char* cause) {
  return Failure{TableError{.offset = offset, .cause = cause}};
}

class Reader {
 public:
  explicit Reader(const std::vector<Node>& nodes) : nodes_(nodes) {}

  [[nodiscard]] Result<Coverage, TableError> run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const std::uint32_t handle = nodes_[i].cell("phandle", nodes_[i].cell("linux,phandle", 0));
      if (handle != 0) by_handle_.emplace(handle, i);
    }
    for (const Node& node : nodes_) {
      if (const Property* map = node.find("iommu-map"))
        if (auto done = read_map(node, *map); !done) return Failure{done.error()};
      if (const Property* units = node.find("iommus"))
        if (auto done = read_device(node, *units); !done) return Failure{done.error()};
    }
    Coverage coverage;
    for (auto& [key, unit] : units_) coverage.units.push_back(std::move(unit));
    return coverage;
  }

 private:
  [[nodiscard]] static bool is_host_bridge(const Node& node) {
    const Property* const type = node.find("device_type");
    constexpr std::string_view kPci{"pci\0", 4};
    return type != nullptr && std::string_view(reinterpret_cast<const char*>(type->value.data()),
                                               type->value.size()) == kPci;
  }

  [[nodiscard]] static std::uint16_t segment_of(const Node& bridge) {
    return static_cast<std::uint16_t>(bridge.cell("linux,pci-domain", 0));
  }

  // Its registers as the parent writes addresses.
  [[nodiscard]] std::optional<std::uint64_t> address_of(const Node& node) const {
    const Property* const reg = node.find("reg");
    if (reg == nullptr || !node.parent) return std::nullopt;
    const std::uint32_t cells = nodes_[*node.parent].cell("#address-cells", 2);
    if (cells == 0 || cells > 2 || reg->cells() < cells) return std::nullopt;
    std::uint64_t address = 0;
    for (std::uint32_t i = 0; i < cells; ++i) address = address << 32 | reg->cell(i);
    return address;
  }

  [[nodiscard]] std::optional<std::uint64_t> unit_name(std::uint32_t handle) const {
    const auto found = by_handle_.find(handle);
    if (found == by_handle_.end()) return std::nullopt;
    const Node& unit = nodes_[found->second];
    if (unit.parent && is_host_bridge(nodes_[*unit.parent])) {
      const Property* const reg = unit.find("reg");
      if (reg == nullptr || reg->cells() == 0) return std::nullopt;
      // phys.hi: bus, device and function are bits 23:8 (IEEE 1275 PCI binding, 2.2.1.1).
      return name_of_pci({segment_of(nodes_[*unit.parent]),
                          static_cast<std::uint16_t>(reg->cell(0) >> 8 & 0xffff)});
    }
    return address_of(unit);
  }

  [[nodiscard]] UnitCoverage& unit_for(std::uint64_t name, std::uint16_t segment) {
    UnitCoverage& unit = units_[{name, segment}];
    unit.register_base = name;
    unit.segment = segment;
    return unit;
  }

  [[nodiscard]] Result<Done, TableError> read_map(const Node& bridge, const Property& map) {
    if (map.value.size() % (kMapCells * 4) != 0)
      return wrong(map.offset, "iommu-map does not consist of entries of four cells");
    if (bridge.cell("linux,pci-domain", 0) > kMostSegment)
      return wrong(map.offset, "a host bridge of a segment above 65535");
    const std::uint32_t mask = bridge.cell("iommu-map-mask", kAllBits);
    if ((mask & 0xffff) != 0xffff && (masked_ += map.cells() / kMapCells) > kMostMasked)
      return wrong(map.offset, "too many entries of iommu-map under a mask");
    for (std::size_t i = 0; i < map.cells(); i += kMapCells) {
      const std::uint32_t first = map.cell(i), count = map.cell(i + 3);
      if (first > 0xffff || count > 0x10000 || first + count > 0x10000)
        return wrong(map.offset + i * 4, "iommu-map names functions past ff:1f.7");
      const auto name = unit_name(map.cell(i + 1));
      if (!name) return wrong(map.offset + i * 4 + 4, "iommu-map names no unit of the tree");
      if (count != 0) cover(unit_for(*name, segment_of(bridge)), first, first + count - 1, mask);
    }
    return Done{};
  }

  // Every function whose masked number lies in the range.
  static void cover(UnitCoverage& unit, std::uint32_t first, std::uint32_t last,
                    std::uint32_t mask) {
    if ((mask & 0xffff) == 0xffff) {
      unit.functions.push_back(
          {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)});
      return;
    }
    const auto is_in = [&](std::uint32_t bdf) {
      return bdf <= 0xffff && first <= (bdf & mask) && (bdf & mask) <= last;
    };
    for (std::uint32_t bdf = 0; bdf <= 0xffff; ++bdf) {
      if (!is_in(bdf)) continue;
      const std::uint32_t start = bdf;
      while (is_in(bdf + 1)) ++bdf;
      unit.functions.push_back(
          {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(bdf)});
    }
  }

  [[nodiscard]] Result<Done, TableError> read_device(const Node& device, const Property& units) {
    if (units.cells() == 0) return wrong(units.offset, "iommus names no unit");
    const auto name = unit_name(units.cell(0));
    if (!name) return wrong(units.offset, "iommus names no unit of the tree");
    if (const auto base = address_of(device)) unit_for(*name, 0).mmio_devices.push_back(*base);
    return Done{};
  }

  const std::vector<Node>& nodes_;
  std::size_t masked_ = 0;
  std::map<std::uint32_t, std::size_t> by_handle_;
  std::map<std::pair<std::uint64_t, std::uint16_t>, UnitCoverage> units_;
};

class DeviceTreeParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    const auto nodes = fdt::parse(table);
    if (!nodes) return Failure{nodes.error()};
    return Reader(*nodes).run();
  }
};

}  // namespace

const TableParser& device_tree_parser() {
  static const DeviceTreeParser parser;
  return parser;
}

}  // namespace weir::virtio_iommu
