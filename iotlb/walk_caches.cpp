// SPDX-License-Identifier: Apache-2.0
#include "iotlb/walk_caches.h"

namespace weir::iotlb {

WalkCaches::Tickets WalkCaches::begin_fill(DomainId domain) {
  return {stage1_tables.begin_fill(domain), stage2_tables.begin_fill(domain),
          stage2_pages.begin_fill(domain)};
}

std::uint64_t WalkCaches::invalidate(const Invalidation& what) {
  std::uint64_t removed = stage2_pages.invalidate(what).entries;
  if (what.leaf_only) return removed;
  removed += stage1_tables.invalidate(what).entries;
  removed += stage2_tables.invalidate(what).entries;
  return removed;
}

}  // namespace weir::iotlb
