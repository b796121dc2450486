// SPDX-License-Identifier: Apache-2.0
//
// Who is this? Reads the root and context entries of a requester, in the mode that RTADDR_REG names
// and in the order in which the manual lets their faults be found, and answers for requests that
// need more than a look at the context. Scalable mode's structures are scalable_context.h's.
//
// Any thread; never waits, never writes. Reads at most a handful of words whatever the tables hold.
#pragma once

#include <cstdint>
#include <optional>

#include "base/access.h"
#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/ats.h"
#include "iotlb/context.h"
#include "pagetables/physical_memory.h"
#include "pagetables/word_trail.h"
#include "vendors/vtd/capabilities.h"
#include "vendors/vtd/fault_reasons.h"

namespace weir::vtd {

// `root_address`: RTADDR_REG as latched by the last SRTP, mode bits included. `trail`: as in
// Unit::trace_context; whole only in legacy mode.
[[nodiscard]] Result<iotlb::Context, Fault> read_any_context(
    const Request& request, const pagetables::PhysicalMemory& memory,
    const Capabilities& capabilities, std::uint64_t root_address, pagetables::WordTrail& trail);

// A context in which every request meets `fault`, to be cached under domain 0 (CAP.CM); nothing if
// the fault is none of a context's.
[[nodiscard]] std::optional<iotlb::Context> absent_context(const Fault& fault);
[[nodiscard]] Fault blocked_fault(const iotlb::Context& context, const Request& request);

// May this page request go into the queue? The fault it meets otherwise.
[[nodiscard]] std::optional<Fault> check_page_request(const PageRequest& request,
                                                      const pagetables::PhysicalMemory& memory,
                                                      const Capabilities& capabilities,
                                                      std::uint64_t root_address);

// The fault of a request that the requester's own rights refuse. Legacy mode knows reading and
// writing only.
[[nodiscard]] Fault deny_request(const iotlb::Context& context, const Request& request,
                                 Denial denial);

// May a translation request, a translated request or one with a PASID use this context?
[[nodiscard]] std::optional<Fault> check_request(const iotlb::Context& context,
                                                 const Request& request,
                                                 const Capabilities& capabilities);

}  // namespace weir::vtd
