// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "vendors/amdvi/ivrs.h"
#include "vendors/amdvi/ivrs_fields.h"
#include "vendors/common/acpi/byte_reader.h"

namespace weir::amdvi {
namespace {

// One IVHD's entries, of which two in a row may make a range.
class Entries {
 public:
  explicit Entries(const ivrs::Ivhd& ivhd)
      : ivhd_(ivhd),
        unit_{.register_base = ivhd.base, .segment = ivhd.segment, .numbers_name_all = true} {}

  [[nodiscard]] Result<UnitCoverage, TableError> run() {
    for (const ivrs::Entry& entry : ivhd_.entries)
      if (auto wrong = take(entry)) return Failure{std::move(*wrong)};
    if (range_) return Failure{TableError{ivhd_.offset, "a range of devices has no end"}};
    return std::move(unit_);
  }

 private:
  [[nodiscard]] std::optional<TableError> take(const ivrs::Entry& e) {
    switch (e.type) {
      case ivrs::entry::kAll:
        unit_.rest_of_segment = true;
        break;
      case ivrs::entry::kSelect:
      case ivrs::entry::kExtendedSelect:
      case ivrs::entry::kAcpi:
        cover(e.device, e.device);
        break;
      case ivrs::entry::kAlias:
        // The device's requests bear the alias's number.
        cover(e.device, e.device);
        cover(e.source, e.source);
        break;
      case ivrs::entry::kSpecial:
        // An I/O APIC or a timer: a requester of interrupts.
        cover(e.source, e.source);
        break;
      case ivrs::entry::kRangeStart:
      case ivrs::entry::kExtendedRange:
      case ivrs::entry::kAliasRange:
        if (range_) return error(e, "a range of devices begins inside another");
        range_ = e.device;
        if (e.type == ivrs::entry::kAliasRange) cover(e.source, e.source);
        break;
      case ivrs::entry::kRangeEnd:
        if (!range_) return error(e, "a range of devices ends that did not begin");
        if (e.device < *range_) return error(e, "a range of devices ends before it begins");
        cover(*range_, e.device);
        range_.reset();
        break;
      default:
        break;  // padding, and types to come
    }
    return std::nullopt;
  }

  [[nodiscard]] static TableError error(const ivrs::Entry& e, const char* cause) {
    return {.offset = e.offset, .cause = cause};
  }
  void cover(std::uint16_t first, std::uint16_t last) {
    unit_.functions.push_back({.first = first, .last = last});
  }

  const ivrs::Ivhd& ivhd_;
  UnitCoverage unit_;
  std::optional<std::uint16_t> range_;
};

class IvrsParser final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    const auto parsed = parse_ivrs(table);
    if (!parsed) return Failure{parsed.error()};
    return coverage_of(*parsed);
  }
};

}  // namespace

Result<ivrs::Table, TableError> parse_ivrs(std::span<const std::byte> bytes) {
  const auto table = acpi::check_table(bytes, "IVRS", ivrs::header::kBytes);
  if (!table) return Failure{table.error()};
  ivrs::Table parsed;
  acpi::ByteReader reader(*table, "IVRS header");
  describe(reader, parsed);
  if (reader.error()) return Failure{*reader.error()};
  return parsed;
}

std::vector<const ivrs::Ivhd*> units_of(const ivrs::Table& table) {
  std::uint8_t highest = 0;
  for (const ivrs::Block& block : table.blocks)
    if (const auto* ivhd = std::get_if<ivrs::Ivhd>(&block)) highest = std::max(highest, ivhd->type);
  std::vector<const ivrs::Ivhd*> units;
  for (const ivrs::Block& block : table.blocks)
    if (const auto* ivhd = std::get_if<ivrs::Ivhd>(&block); ivhd && ivhd->type == highest)
      units.push_back(ivhd);
  return units;
}

Result<Coverage, TableError> coverage_of(const ivrs::Table& table) {
  Coverage coverage;
  for (const ivrs::Ivhd* const ivhd : units_of(table)) {
    auto unit = Entries(*ivhd).run();
    if (!unit) return Failure{std::move(unit).error()};
    coverage.units.push_back(std::move(*unit));
  }
  return coverage;
}

const TableParser& ivrs_parser() {
  static const IvrsParser parser;
  return parser;
}

}  // namespace weir::amdvi
