// SPDX-License-Identifier: Apache-2.0
//
// The DMAR table: parsed into values field by field (dmar_table.h) and into the neutral Coverage
// that routes come from; built from a Coverage, or from a Topology and its wishes.
//
// Pure functions; any thread. A table that lies about its lengths is refused with offset and cause,
// a wish that a DMAR cannot express with both sides named.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/topology.h"
#include "vendors/vtd/dmar_table.h"

namespace weir::vtd {

// For Iommu::use_tables.
[[nodiscard]] const TableParser& dmar_parser();

// Every field, with reserved and unknown parts kept: write_dmar gives the same bytes again. What
// lies behind the table's length is not read.
[[nodiscard]] Result<dmar::Table, TableError> parse_dmar(std::span<const std::byte> bytes);
[[nodiscard]] Result<Coverage, TableError> coverage_of(const dmar::Table& table);

// Lengths and checksum right. Refused is only what a length field cannot say.
[[nodiscard]] Result<std::vector<std::byte>, TableError> write_dmar(const dmar::Table& table);

struct DmarOptions {
  unsigned host_address_bits = 48;  // of the machine, not of the IOVA space
  bool interrupt_remapping = false;
  bool x2apic_opt_out = false;
  bool platform_opt_in =
      false;  // no DMA reaches memory that the guest did not allow, from power-on
};

// The bytes of a DMAR with one DRHD per covered unit, in the order given (the manual wants the one
// that covers the rest of a segment last); checksum right. REQUIRES: what the table's length fields
// can hold, at most 124 steps to a path and 64 KiB of scopes to a unit.
[[nodiscard]] std::vector<std::byte> build_dmar(const Coverage& coverage,
                                                const DmarOptions& options = {});

// The same from a machine and its wishes: units in their order, but those that take the rest of a
// segment last (8.3); then reserved regions, root ports and integrated devices with ATS, affinities
// and named devices. What it says has been parsed again and compared with the wishes. Refuses in
// one sentence. REQUIRES: topology.check().
[[nodiscard]] Result<dmar::Table, std::string> dmar_of(const Topology& topology,
                                                       const DmarOptions& options = {});
[[nodiscard]] Result<std::vector<std::byte>, std::string> build_dmar_for(
    const Topology& topology, const DmarOptions& options = {});

}  // namespace weir::vtd
