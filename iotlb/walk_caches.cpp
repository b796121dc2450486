// SPDX-License-Identifier: Apache-2.0
#include "iotlb/walk_caches.h"

namespace weir::iotlb {

std::uint64_t WalkCaches::invalidate(const Invalidation& what) {
  std::uint64_t removed = 0;
  // A guest's flush of one PASID is about stage 1: it covers no page of stage 2, and leaves what
  // rests on those pages alone.
  if (!what.pasid) removed += stage2_pages.invalidate(what);
  // The tables of stage 1 were read through the leaves of stage 2 (L7).
  if (!what.leaf_only || what.scope == Scope::kStage2Range)
    removed += stage1_tables.invalidate(what);
  if (!what.leaf_only) removed += stage2_tables.invalidate(what);
  return removed;
}

}  // namespace weir::iotlb
