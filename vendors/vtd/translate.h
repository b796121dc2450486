// SPDX-License-Identifier: Apache-2.0
//
// The second-stage walk of a context, with its failures in the manual's codes (7.1.3) and the rules
// that are not the table's own: the reach of an address, and outputs in the interrupt range (3.15).
//
// Any thread; never waits, never writes.
#pragma once

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iotlb/context.h"
#include "pagetables/physical_memory.h"
#include "pagetables/walk.h"
#include "vendors/vtd/capabilities.h"

namespace weir::vtd {

// Translates the first byte of `piece`. A leaf that reaches into the interrupt range is answered
// with only the 4 KiB page asked for, so that whoever keeps it keeps nothing that would have to
// fault.
[[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk_second_stage(
    const iotlb::Context& context, const Request& piece, const WalkScope& scope,
    const Capabilities& capabilities);

}  // namespace weir::vtd
