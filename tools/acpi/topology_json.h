// SPDX-License-Identifier: Apache-2.0
//
// A machine and its wishes as JSON (docs/acpi.md), for `weir acpi build` and `weir acpi audit`.
//
// Pure functions; any thread. Refuses, with the place, what is no field, has no such value or
// contradicts the rest.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "iommu/topology.h"

namespace weir::tools::acpi {

// `json` may have further fields at its top, which are the caller's.
[[nodiscard]] Result<Topology, std::string> topology_from_json(const nlohmann::ordered_json& json);

}  // namespace weir::tools::acpi
