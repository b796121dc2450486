// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "vendors/amdvi/capabilities.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/ivrs_fields.h"
#include "vendors/amdvi/ivrs_from.h"
#include "vendors/common/acpi/byte_writer.h"

namespace weir::amdvi {
namespace {

[[nodiscard]] std::uint32_t features10(const Options& o) {
  namespace ivhd = ivrs::ivhd;
  constexpr std::uint64_t kSixLevels = 2;
  return static_cast<std::uint32_t>(
      ivhd::kX2apic10.of(o.x2apic) | ivhd::kNoExecute10.of(o.no_execute) |
      ivhd::kGuestTables10.of(o.guest_tables) |
      ivhd::kGcr3Levels10.of(o.guest_tables ? o.gcr3_levels - 1 : 0) |
      ivhd::kInvalidateAll10.of(o.invalidate_all) | ivhd::kWideInterrupts10.of(o.wide_interrupts) |
      ivhd::kPasidBits10.of(o.guest_tables ? o.pasid_bits - 1 : 0) |
      ivhd::kGuestLevels10.of(o.guest_five_levels) | ivhd::kHostLevels10.of(kSixLevels));
}

[[nodiscard]] bool expressible(const DeviceScope& scope) {
  return scope.kind == DeviceScope::Kind::kEndpoint && scope.path.size() == 1;
}

[[nodiscard]] ivrs::Ivhd ivhd_of(const UnitCoverage& unit, const IvrsOptions& options,
                                 std::uint8_t type, bool io_apic) {
  ivrs::Ivhd made = empty_ivhd(type, options);
  made.device = options.function.bdf;
  made.base = unit.register_base;
  made.segment = unit.segment;
  if (unit.rest_of_segment) made.entries.push_back({.type = ivrs::entry::kAll});
  for (const FunctionRange range : unit.functions) add_range(made.entries, range);
  for (const DeviceScope& scope : unit.scopes) {
    const std::uint16_t bdf =
        Requester::from_bdf(scope.start_bus, scope.path[0].device, scope.path[0].function).bdf;
    add_range(made.entries, {.first = bdf, .last = bdf});
  }
  if (io_apic && options.io_apic)
    made.entries.push_back({.type = ivrs::entry::kSpecial,
                            .source = options.io_apic->bdf,
                            .handle = options.io_apic->id,
                            .variety = ivrs::entry::kIoApic});
  return made;
}

}  // namespace

ivrs::Table empty_ivrs(const IvrsOptions& options) {
  namespace header = ivrs::header;
  constexpr std::uint64_t kGuestVirtual48 = 2, kVirtualBits = 64;
  ivrs::Table table;
  table.info = static_cast<std::uint32_t>(
      header::kFeatures.of(1) | header::kGuestVirtual.of(kGuestVirtual48) |
      header::kPhysical.of(options.unit.host_address_bits) | header::kVirtual.of(kVirtualBits));
  return table;
}

ivrs::Ivhd empty_ivhd(std::uint8_t type, const IvrsOptions& options) {
  namespace ivhd = ivrs::ivhd;
  const Options& o = options.unit;
  const bool old = type == ivhd::kType10;
  std::uint64_t flags = ivhd::kDeviceTlb.of(o.device_tlb) | ivhd::kCoherent.of(1);
  if (old) flags |= ivhd::kPrefetch.of(o.prefetch) | ivhd::kPageRequests.of(o.page_requests);
  return {.type = type,
          .flags = static_cast<std::uint8_t>(flags),
          .capability = options.capability_offset,
          .features10 = features10(o),
          .features = feature_value(o),
          .features2 = feature2_value(o)};
}

void add_range(std::vector<ivrs::Entry>& entries, FunctionRange range) {
  if (range.first == range.last) {
    entries.push_back({.type = ivrs::entry::kSelect, .device = range.first});
    return;
  }
  entries.push_back({.type = ivrs::entry::kRangeStart, .device = range.first});
  entries.push_back({.type = ivrs::entry::kRangeEnd, .device = range.last});
}

Result<std::vector<std::byte>, TableError> write_ivrs(const ivrs::Table& table) {
  acpi::ByteWriter writer;
  writer.write(table);
  if (writer.error()) return Failure{*writer.error()};
  acpi::seal_table(writer.bytes(), "IVRS");
  return std::move(writer.bytes());
}

Result<std::vector<std::byte>, std::string> build_ivrs(const Coverage& coverage,
                                                       const IvrsOptions& options) {
  for (const UnitCoverage& unit : coverage.units)
    for (const DeviceScope& scope : unit.scopes)
      if (!expressible(scope))
        return Failure{
            std::string("an IVRS names functions by bus number, not by a path of bridges")};
  ivrs::Table table = empty_ivrs(options);
  for (const std::uint8_t type : {ivrs::ivhd::kType10, ivrs::ivhd::kType11}) {
    bool first = true;
    for (const UnitCoverage& unit : coverage.units)
      table.blocks.emplace_back(ivhd_of(unit, options, type, std::exchange(first, false)));
  }
  auto bytes = write_ivrs(table);
  if (!bytes)
    return Failure{std::string("the IVRS would have more device entries than its lengths can say")};
  return std::move(*bytes);
}

}  // namespace weir::amdvi
