// SPDX-License-Identifier: Apache-2.0
//
// The findings about a table, alone or against a machine in JSON (docs/acpi.md), and how they are
// printed.
//
// Pure functions; any thread.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "iommu/audit.h"
#include "tools/acpi/table.h"

namespace weir::tools::acpi {

// `machine`: a topology, and beside it registers, reserved_memory, highest_apic_id,
// wide_destinations and physical_bits; null: the table alone.
[[nodiscard]] Result<std::vector<Finding>, std::string> audit(
    const Table& table, const nlohmann::ordered_json* machine);

// One line each, errors first, and a line that counts. True: there was an error.
[[nodiscard]] bool print_findings(std::ostream& out, const std::vector<Finding>& findings);

}  // namespace weir::tools::acpi
