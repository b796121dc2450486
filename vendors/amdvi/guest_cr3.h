// SPDX-License-Identifier: Apache-2.0
//
// From a PASID to the guest's page tables: the guest CR3 table of one to three levels (48882
// section 2.2.6.3). Where the entry has host tables too, the addresses in it are the guest's own
// and go through them; whether the table's root does is Control.GCR3TRPMode.
//
// Any thread; never waits. Reads at most three entries, and for each what the host tables take.
#pragma once

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iotlb/context.h"
#include "pagetables/physical_memory.h"
#include "vendors/amdvi/device_table.h"

namespace weir::amdvi {

// `context`: as the device table entry alone makes it. REQUIRES: the entry is legal, GV is set.
[[nodiscard]] Result<iotlb::Context, Fault> read_guest_context(
    const Request& request, iotlb::Context context, const DeviceEntry& entry,
    const pagetables::PhysicalMemory& memory, const Capabilities& capabilities,
    const Settings& settings);

}  // namespace weir::amdvi
