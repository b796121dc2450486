// SPDX-License-Identifier: Apache-2.0
//
// The walk of a context's tables, first stage, second stage or one over the other, with the rules
// that are not the tables' own: the reach of an address, the rights of the requester (L10), and
// outputs in the interrupt range (3.15).
//
// Any thread; never waits. Writes accessed and dirty bits, and nothing else.
#pragma once

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/unit.h"
#include "iotlb/context.h"
#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"
#include "vendors/vtd/capabilities.h"

namespace weir::vtd {

// Translates the first byte of `piece`. A leaf that reaches into the interrupt range is answered
// with only the 4 KiB page asked for, so that whoever keeps it keeps nothing that would have to
// fault.
[[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk_context(const iotlb::Context& context,
                                                                const Request& piece,
                                                                const WalkScope& scope,
                                                                const Capabilities& capabilities);

}  // namespace weir::vtd
