// SPDX-License-Identifier: Apache-2.0
//
// Who is this, in scalable mode: root entry, context entry, PASID directory, PASID entry, in the
// order in which the manual lets their faults be found (7.1.3).
//
// Any thread; never waits, never writes. Reads a bounded number of words whatever the tables hold.
#pragma once

#include <cstdint>
#include <optional>

#include "iotlb/context.h"
#include "vendors/vtd/capabilities.h"
#include "vendors/vtd/reading.h"

namespace weir::vtd {

[[nodiscard]] Result<iotlb::Context, Fault> read_scalable_context(
    const Request& request, const pagetables::PhysicalMemory& memory,
    const Capabilities& capabilities, std::uint64_t root_address);

// May a request that is not a plain untranslated one without PASID use this context?
[[nodiscard]] std::optional<Fault> check_scalable_request(const iotlb::Context& context,
                                                          const Request& request,
                                                          const Capabilities& capabilities);

}  // namespace weir::vtd
