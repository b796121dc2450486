// SPDX-License-Identifier: Apache-2.0
//
// What becomes of an interrupt message (48882 section 2.2.5): the device table entry lets it
// through, aborts it, or sends it to the requester's interrupt table, whose entry says where it
// goes or that it is for a guest's virtual APIC. Entries are read anew for every message; each as
// memory held it at one time.
//
// Any thread; only reads.
#pragma once

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/interrupts.h"
#include "pagetables/physical_memory.h"
#include "vendors/amdvi/device_table.h"

namespace weir::amdvi {

// What is posted carries its GATag in vendor_detail, that it is to be logged in `urgent`, and in
// `msi` the doorbell, if the guest is running.
[[nodiscard]] Result<RemappedInterrupt, Fault> remap_interrupt(
    const Request& request, Msi message, const pagetables::PhysicalMemory& memory,
    const Capabilities& capabilities, const Settings& settings);

// The message in HyperTransport's form, as events show it.
[[nodiscard]] std::uint64_t bus_address(Msi message);

}  // namespace weir::amdvi
