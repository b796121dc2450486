// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "vendors/common/acpi/byte_writer.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/dmar_fields.h"
#include "vendors/vtd/dmar_from.h"
#include "vendors/vtd/unit.h"

namespace weir::vtd {
namespace {

[[nodiscard]] std::uint8_t type_of(DeviceScope::Kind kind) {
  switch (kind) {
    case DeviceScope::Kind::kEndpoint:
      return dmar::scope::kEndpoint;
    case DeviceScope::Kind::kSubHierarchy:
      return dmar::scope::kSubHierarchy;
    case DeviceScope::Kind::kIoApic:
      return dmar::scope::kIoApic;
    case DeviceScope::Kind::kHpet:
      return dmar::scope::kHpet;
    case DeviceScope::Kind::kNamed:
      return dmar::scope::kNamespaceDevice;
  }
  return 0;
}

}  // namespace

dmar::Table empty_dmar(const DmarOptions& options) {
  namespace header = dmar::header;
  dmar::Table table;
  table.host_address_width = static_cast<std::uint8_t>(options.host_address_bits - 1);
  table.flags =
      static_cast<std::uint8_t>(header::kInterruptRemapping.of(options.interrupt_remapping) |
                                header::kX2apicOptOut.of(options.x2apic_opt_out) |
                                header::kPlatformOptIn.of(options.platform_opt_in));
  return table;
}

dmar::Drhd empty_drhd(std::uint64_t base, std::uint16_t segment, bool rest) {
  // 2^1 pages.
  static_assert(Unit::kRegisterBytes == 2 * kPageSize);
  return {.flags = static_cast<std::uint8_t>(dmar::drhd::kIncludePciAll.of(rest)),
          .size = static_cast<std::uint8_t>(dmar::drhd::kPagesLg2.of(1)),
          .segment = segment,
          .base = base};
}

Result<std::vector<std::byte>, TableError> write_dmar(const dmar::Table& table) {
  acpi::ByteWriter writer;
  writer.write(table);
  if (writer.error()) return Failure{*writer.error()};
  acpi::seal_table(writer.bytes(), "DMAR");
  return std::move(writer.bytes());
}

std::vector<std::byte> build_dmar(const Coverage& coverage, const DmarOptions& options) {
  dmar::Table table = empty_dmar(options);
  for (const UnitCoverage& unit : coverage.units) {
    dmar::Drhd drhd = empty_drhd(unit.register_base, unit.segment, unit.rest_of_segment);
    for (const DeviceScope& scope : unit.scopes)
      drhd.scopes.push_back(
          {.type = type_of(scope.kind), .start_bus = scope.start_bus, .path = scope.path});
    table.structures.emplace_back(std::move(drhd));
  }
  return write_dmar(table).value();
}

}  // namespace weir::vtd
