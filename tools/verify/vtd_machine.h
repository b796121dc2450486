// SPDX-License-Identifier: Apache-2.0
//
// The machine of the modes vtd-legacy, vtd-sm-ss and vtd-sm-fs: RAM, devices behind one VT-d unit
// that covers its whole segment, and a guest driver. Every case begins with another Iommu; only the
// RAM is kept.
//
// Called through Machine (machine.h) on one thread.
#pragma once

#include <memory>

#include "tools/verify/machine.h"

namespace weir::verify {

[[nodiscard]] std::unique_ptr<Machine> make_vtd_legacy_machine(const Fields& header,
                                                               const MachineOptions& options);
[[nodiscard]] std::unique_ptr<Machine> make_vtd_scalable_machine(const Fields& header,
                                                                 const MachineOptions& options);

}  // namespace weir::verify
