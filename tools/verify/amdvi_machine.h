// SPDX-License-Identifier: Apache-2.0
//
// The machine of mode amdvi: one AMD-Vi unit over everything, and the devices of the file's header.
#pragma once

#include <memory>

#include "tools/verify/machine.h"

namespace weir::verify {

[[nodiscard]] std::unique_ptr<Machine> make_amdvi_machine(const Fields& header,
                                                          const MachineOptions& options);

}  // namespace weir::verify
