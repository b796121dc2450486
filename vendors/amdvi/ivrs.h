// SPDX-License-Identifier: Apache-2.0
//
// The IVRS (48882 chapter 5), both ways: the parse of the bytes that a guest reads, in neutral
// words, and the bytes for a machine of ours. Where a table describes a unit several times (types
// 10h, 11h and 40h), the highest type of the table counts, as Linux reads it.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "iommu/coverage.h"
#include "vendors/amdvi/options.h"

namespace weir::amdvi {

[[nodiscard]] const TableParser& ivrs_parser();

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

}  // namespace weir::amdvi
