// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a VIOT: against ACPI, against what Linux makes of it, against the machine it
// is for.
//
// Pure function; any thread.
#pragma once

#include <vector>

#include "iommu/audit.h"
#include "vendors/virtio_iommu/viot_table.h"

namespace weir::virtio_iommu {

[[nodiscard]] std::vector<Finding> audit_viot(const viot::Table& table,
                                              const AuditedMachine& machine = {});

}  // namespace weir::virtio_iommu
