// SPDX-License-Identifier: Apache-2.0
//
// The page request queue (manual 7.4, 7.5): page requests of devices go into guest memory, for its
// driver to find; its answers come back as descriptors of the invalidation queue.
//
// Any thread. Slots are given out under the unit's lock, written without it, and shown to the guest
// in order. Never waits; memory is bounded by the queue's size.
#pragma once

#include <cstdint>
#include <optional>

#include "iommu/ats.h"
#include "vendors/vtd/shared.h"

namespace weir::vtd {

// Puts a request whose context lets it through into the queue. The response that is due at once:
// none, unless the queue overflows.
[[nodiscard]] std::optional<PageResponseCode> queue_page_request(Shared& shared,
                                                                 const PageRequest& request);
// PQA_REG or PQT_REG was written.
void restart_page_queue(Shared& shared) WEIR_REQUIRES(shared.mutex);

}  // namespace weir::vtd
