// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with an IVRS table: against the manual, against what Linux makes of it, against the
// machine it is for and the registers of its units.
//
// Pure function; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "iommu/audit.h"
#include "vendors/amdvi/ivrs_table.h"

namespace weir::amdvi {

// Of the unit whose registers are at `base`.
struct AuditedRegisters {
  std::uint64_t base = 0;
  std::uint64_t features = 0;   // EFR
  std::uint64_t features2 = 0;  // EFR2
};

[[nodiscard]] std::vector<Finding> audit_ivrs(const ivrs::Table& table,
                                              const AuditedMachine& machine = {},
                                              std::span<const AuditedRegisters> registers = {});

}  // namespace weir::amdvi
