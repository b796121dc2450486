// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a table from a machine in JSON (topology_json.h), whose further fields say which
// table and with what options (docs/acpi.md).
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::tools::acpi {

[[nodiscard]] Result<std::vector<std::byte>, std::string> bytes_from_topology(
    const nlohmann::ordered_json& json);

}  // namespace weir::tools::acpi
