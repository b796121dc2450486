// SPDX-License-Identifier: Apache-2.0
//
// Carries out the cases of mode virtio-iommu: a device behind virtio-mmio registers, driven by the
// model of a guest's driver, and the functions of the file behind it. For one thread.
#pragma once

#include <memory>

#include "tools/verify/machine.h"

namespace weir::verify {

[[nodiscard]] std::unique_ptr<Machine> make_virtio_iommu_machine(const Fields& header,
                                                                 const MachineOptions& options);

}  // namespace weir::verify
