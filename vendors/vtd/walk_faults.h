// SPDX-License-Identifier: Apache-2.0
//
// The walk's reasons in the manual's numbers (7.1.3): one function for each place where a walk can
// stop.
//
// Pure functions; any thread.
#pragma once

#include "base/access.h"
#include "iotlb/context.h"
#include "pagetables/walk.h"
#include "vendors/vtd/fault_reasons.h"

namespace weir::vtd {

// A walk failed; `why.stage` says in which stage if the context has two.
[[nodiscard]] Code walk_code(const iotlb::Context& context, const pagetables::WalkFailure& why,
                             Access access);
// The address is beyond what the context translates, before any entry was read.
[[nodiscard]] Code reach_code(const iotlb::Context& context);
// The translation leads into the interrupt range.
[[nodiscard]] Code output_code(const iotlb::Context& context);

}  // namespace weir::vtd
