// SPDX-License-Identifier: Apache-2.0
//
// Contexts that the guest changes without our hearing of it (iotlb::Coherence::kVerified).
#include <algorithm>

#include "iommu/pipeline.h"
#include "pagetables/word_trail.h"

namespace weir::core {
namespace {

// Whether memory has that word there.
[[nodiscard, gnu::always_inline]] inline bool has(const pagetables::PhysicalMemory& memory, Gpa at,
                                                  std::uint64_t word) {
  std::uint64_t now = 0;
  if (memory.load64_from_slot(at, now)) [[likely]]
    return now == word;
  const auto loaded = memory.load64(at);
  return loaded && *loaded == word;
}

}  // namespace

void remember_words(DmaPort::Burst::State& burst, const iotlb::Context& context,
                    const pagetables::WordTrail& trail) {
  auto& words = burst.words;
  if (!trail.whole || trail.count == 0 || trail.count > words.kMost || !is_verified(context) ||
      !has_tables(context) || context.privileged)
    return;
  words.count = trail.count;
  std::copy_n(trail.at.begin(), trail.count, words.at.begin());
  std::copy_n(trail.word.begin(), trail.count, words.word.begin());
}

// The context before the tables that it leads to, as in a walk.
bool verified_at_once(DmaPort::Burst::State& burst, Iova iova, std::uint64_t size, Access access,
                      Translation& t) {
  UnitCore& unit = *burst.route->unit;
  // Acquire: as in translate.
  if (!burst.port.open.load(std::memory_order_acquire) || kInterruptRange.contains(iova) ||
      burst.context_changes != unit.contexts.changes() || iova.value() > burst.last_input)
      [[unlikely]]
    return false;
  const pagetables::PhysicalMemory& memory = burst.port.core.memory();
  const auto& words = burst.words;
  for (std::size_t i = 0; i < words.count; ++i)
    if (!has(memory, words.at[i], words.word[i])) [[unlikely]]
      return false;
  const auto same = [&memory](Gpa at, std::uint64_t word) { return has(memory, at, word); };
  const auto hit = unit.verified.lookup(burst.context, iova, same);
  if (!hit) [[unlikely]]
    return false;
  const Answer answer{.gpa = Gpa(hit->output),
                      .limit = left_in_page(iova, hit->page_lg2),
                      .permissions = hit->permissions & burst.context.rights,
                      .outcome = Outcome::kHit,
                      .page_lg2 = hit->page_lg2};
  if (land(memory, Permissions::needed_by_user(access), size, answer, t)) [[unlikely]]
    return false;
  count(burst.slot, Count::kExposed);
  count(burst.slot, Outcome::kHit);
  return true;
}

// An answer holds if memory still has every word that it rested on; the context was read for this
// request. Between that comparison and the access nobody can stop the guest: such an access is
// counted as exposed, and no completion speaks of it.
Result<Translation, Fault> translate_verified(DmaPort::Burst::State& burst, const Request& request,
                                              const Ask& ask) {
  UnitCore& unit = *burst.route->unit;
  const iotlb::Context& context = burst.context;
  const pagetables::PhysicalMemory& memory = burst.port.core.memory();
  const auto same = [&memory](Gpa at, std::uint64_t word) { return has(memory, at, word); };
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
