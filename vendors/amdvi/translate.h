// SPDX-License-Identifier: Apache-2.0
//
// The walks behind a context, with their failures in the manual's events: host tables alone (v1),
// guest tables alone (v2), guest tables over host tables; the exclusion range, which is neither
// translated nor denied.
//
// Any thread; never waits; writes accessed and dirty bits only, where the entry asks for them.
#pragma once

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/unit.h"
#include "iotlb/context.h"
#include "pagetables/walk.h"
#include "vendors/amdvi/device_table.h"

namespace weir::amdvi {

[[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk_tables(const iotlb::Context& context,
                                                               const Request& piece,
                                                               const WalkScope& scope,
                                                               const Capabilities& capabilities,
                                                               const Settings& settings);

// What the device table entry itself does not allow.
[[nodiscard]] Fault denied(const iotlb::Context& context, const Request& request,
                           FaultReason reason);

// May a translation request or a translated one use this context?
[[nodiscard]] std::optional<Fault> check_request(const iotlb::Context& context,
                                                 const Request& request);

[[nodiscard]] HostUpdates updates_of(const iotlb::Context& context);

// The host stage's failure as an event. `lower_input`: what the guest stage asked it for.
[[nodiscard]] Fault host_stage_fault(const Request& request, const iotlb::Context& context,
                                     const pagetables::WalkFailure& why,
                                     std::optional<Ipa> lower_input);
// PAGE_TAB_HARDWARE_ERROR: no entry could be read or written at `at`.
[[nodiscard]] Fault table_error(const Request& request, const iotlb::Context& context, Gpa at,
                                FaultReason reason);

}  // namespace weir::amdvi
