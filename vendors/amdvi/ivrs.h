// SPDX-License-Identifier: Apache-2.0
//
// The IVRS (48882 chapter 5), both ways: the parse of the bytes that a guest reads, field by field
// (ivrs_table.h) and in neutral words, and the bytes for a machine of ours. Where a table describes
// a unit several times (types 10h, 11h and 40h), the highest type of the table counts, as Linux
// reads it.
//
// Pure functions; any thread. A table that lies about its lengths is refused with offset and cause,
// a wish that an IVRS cannot express with both sides named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/topology.h"
#include "vendors/amdvi/ivrs_table.h"
#include "vendors/amdvi/options.h"

namespace weir::amdvi {

// For Iommu::use_tables.
[[nodiscard]] const TableParser& ivrs_parser();

// Every field, with reserved and unknown parts kept: write_ivrs gives the same bytes again. What
// lies behind the table's length is not read.
[[nodiscard]] Result<ivrs::Table, TableError> parse_ivrs(std::span<const std::byte> bytes);
// The definitions that count, in their order. They point into `table`.
[[nodiscard]] std::vector<const ivrs::Ivhd*> units_of(const ivrs::Table& table);
[[nodiscard]] Result<Coverage, TableError> coverage_of(const ivrs::Table& table);

// Lengths and checksum right. Refused is only what a length field cannot say.
[[nodiscard]] Result<std::vector<std::byte>, TableError> write_ivrs(const ivrs::Table& table);

struct IvrsOptions {
  Options unit{};
  Requester function{.segment = 0, .bdf = 0x0002};  // the unit's own PCI function
  std::uint16_t capability_offset = 0x40;
  // The I/O APIC with this id sends its interrupts as that function. Linux wants one at 00:14.0.
  struct IoApic {
    std::uint8_t id = 0;
    std::uint16_t bdf = 0x00a0;
  };
  std::optional<IoApic> io_apic = IoApic{};
};

// The bytes of an IVRS with an IVHD of type 10h and one of type 11h per covered unit; checksum
// right. Refuses, in one sentence, coverage that an IVRS cannot express: what lies behind a bridge
// has to be given as bus numbers (UnitCoverage::functions).
[[nodiscard]] Result<std::vector<std::byte>, std::string> build_ivrs(
    const Coverage& coverage, const IvrsOptions& options = {});

// The same from a machine and its wishes; units that take the rest of a segment first, since a
// later entry overrides an earlier one. Each unit is a PCI function of the topology; `function` and
// `io_apic` of the options are not used. Devices that ACPI names need definitions of type 40h,
// which then come too. Functions are named by the numbers that their buses have now. What the
// table says has been parsed again and compared with the wishes. Refuses in one sentence.
// REQUIRES: topology.check().
[[nodiscard]] Result<ivrs::Table, std::string> ivrs_of(const Topology& topology,
                                                       const IvrsOptions& options = {});
[[nodiscard]] Result<std::vector<std::byte>, std::string> build_ivrs_for(
    const Topology& topology, const IvrsOptions& options = {});

}  // namespace weir::amdvi
