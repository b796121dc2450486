// SPDX-License-Identifier: Apache-2.0
#include "iotlb/walk_caches.h"

namespace weir::iotlb {

WalkCaches::Tickets WalkCaches::begin_fill(DomainId domain) const {
  return {stage1_tables.begin_fill(domain), stage2_tables.begin_fill(domain),
          stage2_pages.begin_fill(domain)};
}

std::uint64_t WalkCaches::invalidate(const Invalidation& what) {
  std::uint64_t removed = stage2_pages.invalidate(what).entries;
  // The tables of stage 1 were read through the leaves of stage 2 (L7).
  if (!what.leaf_only || what.scope == Scope::kStage2Range)
    removed += stage1_tables.invalidate(what).entries;
  if (!what.leaf_only) removed += stage2_tables.invalidate(what).entries;
  return removed;
}

}  // namespace weir::iotlb
