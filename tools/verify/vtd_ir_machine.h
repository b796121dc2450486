// SPDX-License-Identifier: Apache-2.0
//
// The machine of mode vtd-ir: devices that send messages, one VT-d unit that remaps them, and a
// guest driver with a table of interrupt entries and a queue. Translation stays off.
//
// Called through Machine (machine.h) on one thread.
#pragma once

#include <memory>

#include "tools/verify/machine.h"

namespace weir::verify {

[[nodiscard]] std::unique_ptr<Machine> make_vtd_ir_machine(const Fields& header,
                                                           const MachineOptions& options);

}  // namespace weir::verify
