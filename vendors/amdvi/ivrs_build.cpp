// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string_view>
#include <utility>

#include "vendors/amdvi/capabilities.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/ivrs_layout.h"

namespace weir::amdvi {
namespace {

using Table = std::vector<std::byte>;

template <typename T>
void put(Table& table, std::size_t at, T value) {
  std::memcpy(table.data() + at, &value, sizeof value);
}
void put_text(Table& table, std::size_t at, std::string_view text) {
  std::memcpy(table.data() + at, text.data(), text.size());
}
// Appends zeroed bytes; the offset of the first.
[[nodiscard]] std::size_t grow(Table& table, std::size_t bytes) {
  const std::size_t at = table.size();
  table.resize(at + bytes);
  return at;
}

void append_entry(Table& table, std::uint8_t type, std::uint16_t device) {
  const std::size_t at = grow(table, ivrs::entry::kShort);
  put(table, at + ivrs::entry::kType, type);
  put(table, at + ivrs::entry::kDevice, device);
}

void append_range(Table& table, FunctionRange range) {
  if (range.first == range.last) {
    append_entry(table, ivrs::entry::kSelect, range.first);
    return;
  }
  append_entry(table, ivrs::entry::kRangeStart, range.first);
  append_entry(table, ivrs::entry::kRangeEnd, range.last);
}

void append_io_apic(Table& table, const IvrsOptions::IoApic& io_apic) {
  namespace entry = ivrs::entry;
  const std::size_t at = grow(table, entry::kLong);
  put(table, at + entry::kType, entry::kSpecial);
  put(table, at + entry::kHandle, io_apic.id);
  put(table, at + entry::kSource, io_apic.bdf);
  put(table, at + entry::kVariety, entry::kIoApic);
}

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

void append_unit(Table& table, const UnitCoverage& unit, const IvrsOptions& options,
                 std::uint8_t type, bool io_apic) {
  namespace ivhd = ivrs::ivhd;
  const Options& o = options.unit;
  const bool old = type == ivhd::kType10;
  const std::size_t at = grow(table, old ? ivhd::kBytes10 : ivhd::kBytes);
  put(table, at + ivrs::block::kType, type);
  std::uint64_t flags = ivhd::kDeviceTlb.of(o.device_tlb) | ivhd::kCoherent.of(1);
  if (old) flags |= ivhd::kPrefetch.of(o.prefetch) | ivhd::kPageRequests.of(o.page_requests);
  put(table, at + ivrs::block::kFlags, static_cast<std::uint8_t>(flags));
  put(table, at + ivhd::kDevice, options.function.bdf);
  put(table, at + ivhd::kCapability, options.capability_offset);
  put(table, at + ivhd::kBase, unit.register_base);
  put(table, at + ivhd::kSegment, unit.segment);
  if (old) {
    put(table, at + ivhd::kFeatures10, features10(o));
  } else {
    put(table, at + ivhd::kFeatures, feature_value(o));
    put(table, at + ivhd::kFeatures2, feature2_value(o));
  }
  if (unit.rest_of_segment) append_entry(table, ivrs::entry::kAll, 0);
  for (const FunctionRange range : unit.functions) append_range(table, range);
  for (const DeviceScope& scope : unit.scopes) {
    const std::uint16_t bdf =
        Requester::from_bdf(scope.start_bus, scope.path[0].device, scope.path[0].function).bdf;
    append_range(table, {.first = bdf, .last = bdf});
  }
  if (io_apic && options.io_apic) append_io_apic(table, *options.io_apic);
  put(table, at + ivrs::block::kLength, static_cast<std::uint16_t>(table.size() - at));
}

[[nodiscard]] bool expressible(const DeviceScope& scope) {
  return scope.kind == DeviceScope::Kind::kEndpoint && scope.path.size() == 1;
}

}  // namespace

Result<Table, std::string> build_ivrs(const Coverage& coverage, const IvrsOptions& options) {
  namespace header = ivrs::header;
  constexpr std::size_t kMostEntries = 4096;
  for (const UnitCoverage& unit : coverage.units) {
    for (const DeviceScope& scope : unit.scopes)
      if (!expressible(scope))
        return Failure{
            std::string("an IVRS names functions by bus number, not by a path of bridges")};
    if (unit.scopes.size() + unit.functions.size() > kMostEntries)
      return Failure{
          std::string("the IVRS would have more device entries than its lengths can say")};
  }
  Table table(header::kBytes);
  put_text(table, header::kSignature, "IVRS");
  put(table, header::kRevision, std::uint8_t{2});
  put_text(table, header::kOemId, "WEIR  ");
  put_text(table, header::kOemTableId, "WEIRIVRS");
  put(table, header::kOemRevision, std::uint32_t{1});
  put_text(table, header::kCreatorId, "WEIR");
  put(table, header::kCreatorRevision, std::uint32_t{1});
  constexpr std::uint64_t kGuestVirtual48 = 2, kVirtualBits = 64;
  put(table, header::kInfo,
      static_cast<std::uint32_t>(header::kFeatures.of(1) |
                                 header::kGuestVirtual.of(kGuestVirtual48) |
                                 header::kPhysical.of(options.unit.host_address_bits) |
                                 header::kVirtual.of(kVirtualBits)));
  for (const std::uint8_t type : {ivrs::ivhd::kType10, ivrs::ivhd::kType11}) {
    bool first = true;
    for (const UnitCoverage& unit : coverage.units)
      append_unit(table, unit, options, type, std::exchange(first, false));
  }
  put(table, header::kLength, static_cast<std::uint32_t>(table.size()));
  unsigned total = 0;
  for (const std::byte b : table) total += std::to_integer<unsigned>(b);
  put(table, header::kChecksum, static_cast<std::uint8_t>(-total));
  return table;
}

}  // namespace weir::amdvi
