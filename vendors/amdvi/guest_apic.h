// SPDX-License-Identifier: Apache-2.0
//
// Interrupts for guests (48882 sections 2.2.5.3 and 2.7): the request bit in the virtual APIC's
// page, and the guest APIC log, which tells the host of guests that are not running.
//
// Any thread; never waits.
#pragma once

#include <optional>

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/interrupts.h"
#include "pagetables/physical_memory.h"
#include "vendors/amdvi/shared.h"

namespace weir::amdvi {

// A message that remap_interrupt said is posted. Gives the doorbell, if the guest is running.
[[nodiscard]] Result<std::optional<Msi>, Fault> post_interrupt(
    Shared& shared, const Request& request, const RemappedInterrupt& posted,
    const pagetables::PhysicalMemory& memory) WEIR_EXCLUDES(shared.mutex);

}  // namespace weir::amdvi
