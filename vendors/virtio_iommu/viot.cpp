// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/viot.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <string_view>

#include "vendors/virtio_iommu/fields.h"
#include "vendors/virtio_iommu/viot_layout.h"

namespace weir::virtio_iommu {
namespace {

constexpr std::string_view kSignature = "VIOT";

[[nodiscard]] bool is_pci(std::uint64_t unit) { return viot::pci_name::kIsPci.is_set(unit); }

void put_text(std::span<std::byte> bytes, std::size_t at, std::string_view text) {
  std::memcpy(bytes.data() + at, text.data(), text.size());
}

[[nodiscard]] std::uint8_t sum_of(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint8_t{0},
                         [](std::uint8_t sum, std::byte byte) {
                           return static_cast<std::uint8_t>(sum + static_cast<unsigned>(byte));
                         });
}

// A node's bytes, appended zeroed.
[[nodiscard]] std::span<std::byte> append(std::vector<std::byte>& table, std::uint8_t type,
                                          std::size_t bytes) {
  table.resize(table.size() + bytes);
  const auto made = std::span(table).last(bytes);
  put(made, viot::node::kType, type);
  put(made, viot::node::kLength, static_cast<std::uint16_t>(bytes));
  return made;
}

[[nodiscard]] Failure<TableError> wrong(std::size_t offset, std::string cause) {
  return Failure{TableError{offset, std::move(cause)}};
}

// The nodes of a table one after the other, and what they refer to.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> table) : table_(table) {}

  [[nodiscard]] Result<Viot, TableError> read() {
    if (auto good = check_header(); !good) return Failure{good.error()};
    std::size_t at = get<std::uint16_t>(table_, viot::header::kNodeOffset);
    const std::size_t count = get<std::uint16_t>(table_, viot::header::kNodeCount);
    if (at < viot::header::kBytes) return wrong(viot::header::kNodeOffset, "nodes in the header");
    for (std::size_t i = 0; i < count; ++i) {
      const auto node = node_at(at);
      if (!node) return Failure{node.error()};
      if (auto taken = take(*node, at); !taken) return Failure{taken.error()};
      at += node->size();
    }
    return resolve();
  }

 private:
  // A range, and where its unit's node lies.
  struct Unresolved {
    ViotRange range;
    std::size_t at = 0;
    std::uint16_t output = 0;
  };

  [[nodiscard]] Result<Done, TableError> check_header() const {
    if (table_.size() < viot::header::kBytes) return wrong(0, "too short for a header");
    if (std::memcmp(table_.data(), kSignature.data(), kSignature.size()) != 0)
      return wrong(0, "no VIOT");
    if (get<std::uint32_t>(table_, viot::header::kLength) != table_.size())
      return wrong(viot::header::kLength, "the length is not the table's");
    if (sum_of(table_) != 0) return wrong(viot::header::kChecksum, "the checksum is wrong");
    return Done{};
  }

  [[nodiscard]] Result<std::span<const std::byte>, TableError> node_at(std::size_t at) const {
    if (at > table_.size() || table_.size() - at < viot::node::kHeadBytes)
      return wrong(at, "a node begins beyond the table");
    const std::size_t bytes = get<std::uint16_t>(table_.subspan(at), viot::node::kLength);
    if (bytes < viot::node::kHeadBytes || bytes > table_.size() - at)
      return wrong(at + viot::node::kLength, "a node does not end inside the table");
    return table_.subspan(at, bytes);
  }

  [[nodiscard]] Result<Done, TableError> take(std::span<const std::byte> node, std::size_t at) {
    const auto needs = [&](std::size_t bytes) { return node.size() >= bytes; };
    switch (get<std::uint8_t>(node, viot::node::kType)) {
      case viot::node::kPciUnit:
        if (!needs(viot::pci_unit::kBytes)) return wrong(at, "a unit's node is too short");
        return add_unit(at, name_of_pci({get<std::uint16_t>(node, viot::pci_unit::kSegment),
                                         get<std::uint16_t>(node, viot::pci_unit::kBdf)}));
      case viot::node::kMmioUnit:
        if (!needs(viot::mmio_unit::kBytes)) return wrong(at, "a unit's node is too short");
        return add_unit(at, get<std::uint64_t>(node, viot::mmio_unit::kBase));
      case viot::node::kPciRange:
        if (!needs(viot::pci_range::kBytes)) return wrong(at, "a range's node is too short");
        return add_range(node, at);
      default:
        return Done{};  // endpoints that are no PCI functions, and what is not known yet
    }
  }

  [[nodiscard]] Result<Done, TableError> add_unit(std::size_t at, std::uint64_t name) {
    if (std::ranges::find(viot_.units, name) != viot_.units.end())
      return wrong(at, "a unit is there twice");
    units_at_[at] = name;
    viot_.units.push_back(name);
    return Done{};
  }

  [[nodiscard]] Result<Done, TableError> add_range(std::span<const std::byte> node,
                                                   std::size_t at) {
    namespace range = viot::pci_range;
    const auto word = [node](std::size_t field) { return get<std::uint16_t>(node, field); };
    if (word(range::kSegmentStart) != word(range::kSegmentEnd))
      return wrong(at + range::kSegmentEnd, "a range over several segments");
    if (word(range::kBdfEnd) < word(range::kBdfStart))
      return wrong(at + range::kBdfEnd, "a range ends before it begins");
    unresolved_.push_back({{.first = {word(range::kSegmentStart), word(range::kBdfStart)},
                            .last = {word(range::kSegmentStart), word(range::kBdfEnd)},
                            .first_endpoint = get<std::uint32_t>(node, range::kEndpointStart)},
                           at,
                           word(range::kOutputNode)});
    return Done{};
  }

  [[nodiscard]] Result<Viot, TableError> resolve() {
    for (Unresolved& one : unresolved_) {
      const auto unit = units_at_.find(one.output);
      if (unit == units_at_.end())
        return wrong(one.at + viot::pci_range::kOutputNode, "a range names no unit of the table");
      one.range.unit = unit->second;
      viot_.ranges.push_back(one.range);
    }
    return std::move(viot_);
  }

  std::span<const std::byte> table_;
  Viot viot_;
  std::map<std::size_t, std::uint64_t> units_at_;
  std::vector<Unresolved> unresolved_;
};

class ViotParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    const auto viot = parse_viot(table);
    if (!viot) return Failure{viot.error()};
    Coverage coverage;
    for (const std::uint64_t unit : viot->units) {
      // A unit may serve several segments; each is an entry of its own here.
      std::map<std::uint16_t, UnitCoverage> by_segment;
      for (const ViotRange& range : viot->ranges) {
        if (range.unit != unit) continue;
        UnitCoverage& covered = by_segment[range.first.segment];
        covered.register_base = unit;
        covered.segment = range.first.segment;
        covered.functions.push_back({range.first.bdf, range.last.bdf});
      }
      for (auto& [segment, covered] : by_segment) coverage.units.push_back(std::move(covered));
    }
    return coverage;
  }
};

}  // namespace

std::uint64_t name_of_pci(Requester function) {
  namespace name = viot::pci_name;
  return name::kIsPci.of(1) | name::kSegment.of(function.segment) | name::kBdf.of(function.bdf);
}

std::vector<std::byte> build_viot(const Viot& from) {
  std::vector<std::byte> table(viot::header::kBytes);
  std::map<std::uint64_t, std::uint16_t> at;
  for (const std::uint64_t unit : from.units) {
    at[unit] = static_cast<std::uint16_t>(table.size());
    if (is_pci(unit)) {
      const auto node = append(table, viot::node::kPciUnit, viot::pci_unit::kBytes);
      put(node, viot::pci_unit::kSegment,
          static_cast<std::uint16_t>(viot::pci_name::kSegment.get(unit)));
      put(node, viot::pci_unit::kBdf, static_cast<std::uint16_t>(viot::pci_name::kBdf.get(unit)));
    } else {
      put(append(table, viot::node::kMmioUnit, viot::mmio_unit::kBytes), viot::mmio_unit::kBase,
          unit);
    }
  }
  for (const ViotRange& range : from.ranges) {
    const auto node = append(table, viot::node::kPciRange, viot::pci_range::kBytes);
    put(node, viot::pci_range::kEndpointStart, range.first_endpoint);
    put(node, viot::pci_range::kSegmentStart, range.first.segment);
    put(node, viot::pci_range::kSegmentEnd, range.last.segment);
    put(node, viot::pci_range::kBdfStart, range.first.bdf);
    put(node, viot::pci_range::kBdfEnd, range.last.bdf);
    put(node, viot::pci_range::kOutputNode, at[range.unit]);
  }
  const std::span<std::byte> bytes(table);
  put_text(bytes, viot::header::kSignature, kSignature);
  put(bytes, viot::header::kLength, static_cast<std::uint32_t>(table.size()));
  put(bytes, viot::header::kRevision, std::uint8_t{0});
  put_text(bytes, viot::header::kOemId, "WEIR  ");
  put_text(bytes, viot::header::kOemTableId, "WEIRVIOT");
  put_text(bytes, viot::header::kCreatorId, "WEIR");
  put(bytes, viot::header::kNodeCount,
      static_cast<std::uint16_t>(from.units.size() + from.ranges.size()));
  put(bytes, viot::header::kNodeOffset, static_cast<std::uint16_t>(viot::header::kBytes));
  put(bytes, viot::header::kChecksum, static_cast<std::uint8_t>(-sum_of(bytes)));
  return table;
}

Result<Viot, TableError> parse_viot(std::span<const std::byte> table) {
  return Reader(table).read();
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
