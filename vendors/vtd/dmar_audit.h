// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a DMAR table: against the manual, against what Linux makes of it, against the
// machine it is for and the registers of its units.
//
// Pure function; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "iommu/audit.h"
#include "vendors/vtd/dmar_table.h"

namespace weir::vtd {

// Of the unit whose registers are at `base`.
struct AuditedRegisters {
  std::uint64_t base = 0;
  std::uint64_t capability = 0;           // CAP
  std::uint64_t extended_capability = 0;  // ECAP
};

[[nodiscard]] std::vector<Finding> audit_dmar(const dmar::Table& table,
                                              const AuditedMachine& machine = {},
                                              std::span<const AuditedRegisters> registers = {});

}  // namespace weir::vtd
