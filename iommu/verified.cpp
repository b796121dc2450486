// SPDX-License-Identifier: Apache-2.0
//
// Contexts that the guest changes without our hearing of it (iotlb::Coherence::kVerified).
#include "iommu/pipeline.h"
#include "pagetables/word_trail.h"

namespace weir::core {

// An answer holds if memory still has every word that it rested on; the context was read for this
// request. Between that comparison and the access nobody can stop the guest: such an access is
// counted as exposed, and no completion speaks of it.
Result<Translation, Fault> translate_verified(DmaPort::Burst::State& burst, const Request& request,
                                              const Ask& ask) {
  UnitCore& unit = *burst.route->unit;
  const iotlb::Context& context = burst.context;
  const pagetables::PhysicalMemory& memory = burst.port.core.memory();
  const auto same = [&memory](Gpa at, std::uint64_t word) {
    std::uint64_t now = 0;
    if (memory.load64_from_slot(at, now)) [[likely]]
      return now == word;
    const auto loaded = memory.load64(at);
    return loaded && *loaded == word;
  };
  if (within_reach(context, request.iova))
    if (const auto hit = unit.verified.lookup(context, request.iova, same);
        hit && !judge(hit->permissions, ask) && hit->permissions.allows(request.access))
        [[likely]] {
      count(burst.slot, Count::kExposed);
      return finish(burst, request,
                    {.gpa = Gpa(hit->output),
                     .limit = left_in_page(request.iova, hit->page_lg2),
                     .permissions = hit->permissions & context.rights,
                     .outcome = Outcome::kHit,
                     .page_lg2 = hit->page_lg2});
    }
  pagetables::WordTrail trail;
  const auto leaf = walk_counted(
      burst, request,
      {memory, unit.no_walk_caches, {}, pagetables::Trace(pagetables::Trace::kLeave, trail)});
  if (!leaf) return Failure{give_up(burst, leaf.error())};
  if (trail.whole && trail.count != 0)
    unit.verified.fill(context, request.iova, leaf->page.value(), leaf->page_lg2, leaf->cacheable(),
                       std::span(trail.at).first(trail.count),
                       std::span(trail.word).first(trail.count));
  count(burst.slot, Count::kExposed);
  return finish_walk(burst, request, *leaf);
}

}  // namespace weir::core
