// SPDX-License-Identifier: Apache-2.0
//
// A table as JSON: its fields by name, in the order of their bytes. Bit fields are objects of their
// parts; reserved and unknown parts are raw, and there only where they are not zero or empty.
// Lengths, counts and the checksum are not there: writing the bytes works them out.
//
// Pure functions; any thread. Reading refuses, with the place, what is no field or has no such
// value.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "tools/acpi/table.h"

namespace weir::tools::acpi {

[[nodiscard]] nlohmann::ordered_json to_json(const Table& table);
[[nodiscard]] Result<Table, std::string> from_json(const nlohmann::ordered_json& json);

}  // namespace weir::tools::acpi
