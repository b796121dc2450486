// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <utility>

#include "vendors/common/acpi/byte_reader.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/dmar_fields.h"

namespace weir::vtd {
namespace {

using Kind = DeviceScope::Kind;

[[nodiscard]] std::optional<Kind> kind_of(std::uint8_t type) {
  switch (type) {
    case dmar::scope::kEndpoint:
      return Kind::kEndpoint;
    case dmar::scope::kSubHierarchy:
      return Kind::kSubHierarchy;
    case dmar::scope::kIoApic:
      return Kind::kIoApic;
    case dmar::scope::kHpet:
      return Kind::kHpet;
    case dmar::scope::kNamespaceDevice:
      return Kind::kNamed;
    default:
      return std::nullopt;  // types to come are stepped over, as 8.3.1 wants it
  }
}

[[nodiscard]] Result<UnitCoverage, TableError> unit_of(const dmar::Drhd& drhd) {
  UnitCoverage unit{.register_base = drhd.base,
                    .segment = drhd.segment,
                    .rest_of_segment = dmar::drhd::kIncludePciAll.is_set(drhd.flags)};
  for (const dmar::Scope& scope : drhd.scopes) {
    const auto kind = kind_of(scope.type);
    if (!kind) continue;
    for (std::size_t i = 0; i < scope.path.size(); ++i)
      if (scope.path[i].device >= dmar::scope::kDevices ||
          scope.path[i].function >= dmar::scope::kFunctions)
        return Failure{
            TableError{.offset = scope.offset + dmar::scope::kPath + i * dmar::scope::kStepBytes,
                       .cause = "path names a device above 31 or a function above 7"}};
    unit.scopes.push_back({.kind = *kind, .start_bus = scope.start_bus, .path = scope.path});
  }
  return unit;
}

class DmarParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    const auto parsed = parse_dmar(table);
    if (!parsed) return Failure{parsed.error()};
    return coverage_of(*parsed);
  }
};

}  // namespace

Result<dmar::Table, TableError> parse_dmar(std::span<const std::byte> bytes) {
  const auto table = acpi::check_table(bytes, "DMAR", dmar::header::kBytes);
  if (!table) return Failure{table.error()};
  dmar::Table parsed;
  acpi::ByteReader reader(*table, "DMAR header");
  describe(reader, parsed);
  if (reader.error()) return Failure{*reader.error()};
  return parsed;
}

Result<Coverage, TableError> coverage_of(const dmar::Table& table) {
  Coverage coverage;
  for (const dmar::Structure& structure : table.structures) {
    const auto* const drhd = std::get_if<dmar::Drhd>(&structure);
    if (drhd == nullptr) continue;
    auto unit = unit_of(*drhd);
    if (!unit) return Failure{std::move(unit).error()};
    coverage.units.push_back(std::move(*unit));
  }
  return coverage;
}

const TableParser& dmar_parser() {
  static const DmarParser parser;
  return parser;
}

}  // namespace weir::vtd
