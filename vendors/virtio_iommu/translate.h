// SPDX-License-Identifier: Apache-2.0
//
// What an endpoint's request meets: its context, its domain's mappings, and the faults that the
// event queue reports (virtio 1.4, 5.13.6 and 5.13.6.9).
//
// Any thread, inside a burst; never waits, never writes, never allocates.
#pragma once

#include <cstdint>
#include <optional>

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iotlb/context.h"
#include "pagetables/walk.h"
#include "vendors/virtio_iommu/domain.h"
#include "vendors/virtio_iommu/layout.h"

namespace weir::virtio_iommu {

// The fault's code is the reason of its report; UNKNOWN is 0.
[[nodiscard]] Fault make_fault(const Request& request, fault::Reason code, FaultReason reason);

// `endpoint` null: the requester is none of the unit's. `bypass`: unattached endpoints pass.
[[nodiscard]] Result<iotlb::Context, Fault> context_of(const Endpoint* endpoint, bool bypass,
                                                       const Request& request);

// A virtio-iommu knows plain requests only: no PASID, no translation requests, nothing translated
// elsewhere.
[[nodiscard]] std::optional<Fault> refuse_special(const Request& request);

// REQUIRES: `context` is one of context_of, of a domain with mappings, and of this burst.
// Trace::kNone, which nobody caches, gives the largest block of all inside the mapping; and a fault
// then has the level of a table entry that would be empty, so that holes can be skipped.
[[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> walk_mappings(const iotlb::Context& context,
                                                                 const Request& piece,
                                                                 pagetables::Trace trace);

// The highest level of nine-bit tables on which the entry for `at`, which nothing is mapped at or a
// mapping without any permission, would lead to no page: 0 for none, 7 for the whole space.
[[nodiscard]] std::uint8_t empty_level(const pagetables::IntervalMap& mappings, Iova at);

// The largest block around `at` that a cache entry can stand for and that lies wholly inside the
// mapping; where none does, the largest one that no cache keeps. Never a byte outside the mapping.
// REQUIRES: mapping.range.contains(at).
[[nodiscard]] std::uint8_t block_lg2(const pagetables::Mapping& mapping, Iova at);

}  // namespace weir::virtio_iommu
