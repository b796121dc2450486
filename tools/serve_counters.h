// SPDX-License-Identifier: Apache-2.0
//
// What a machine that is being served has counted so far, as JSON (docs/serve.md). The server's
// thread.
#pragma once

#include <nlohmann/json.hpp>

#include "plugs/vfio_user/machine.h"
#include "tools/serve_config.h"

namespace weir::tools {

[[nodiscard]] nlohmann::json serve_counters(vfio_user::Machine& machine, const ServeConfig& config);

}  // namespace weir::tools
