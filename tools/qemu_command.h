// SPDX-License-Identifier: Apache-2.0
//
// The QEMU that a served machine is started with, as a command for a shell. Pure.
#pragma once

#include <string>

#include "plugs/vfio_user/machine.h"
#include "tools/serve_config.h"

namespace weir::tools {

// Everything but a kernel or a disk to boot from. `table`: where the firmware table was written;
// empty: there is none.
[[nodiscard]] std::string qemu_command(const std::string& qemu, const ServeConfig& config,
                                       const vfio_user::Machine& machine, const std::string& table);

}  // namespace weir::tools
