// SPDX-License-Identifier: Apache-2.0
//
// What an invalidation does to the IOTLB. Every kind first overtakes the fills that are under way,
// then makes what it covers impossible to find: set by set, or by ending a generation.
#include <algorithm>

#include "base/seam.h"
#include "iotlb/iotlb_set.h"
#include "iotlb/reference_tlb.h"

namespace weir::iotlb {
namespace {

[[nodiscard]] Tag tag_of(const Invalidation& what) {
  return {.domain = what.domain, .pasid = what.pasid ? what.pasid->value : Context::kNoPasid};
}

[[nodiscard]] bool is_whole_space(AddressRange<Iova> range) {
  return range.first.value() == 0 && range.last.value() == ~std::uint64_t{0};
}

}  // namespace

Removed Iotlb::invalidate(const Invalidation& what) {
  Removed removed;
  if (off_ || !what.is_translation_scope()) return removed;
  if (what.scope == Scope::kRange && reference_ == nullptr) fetch_ahead(what);
  Lineage* domain = nullptr;
  // Sequentially consistent, both: pair with the check in fill(), see there.
  if (what.scope == Scope::kAll || what.scope == Scope::kHostRange) {
    overtaken_.fetch_add(1, std::memory_order_seq_cst);
  } else {
    domain = lineages_.find_to_flush({.domain = what.domain});
    if (domain == nullptr) return removed;  // nobody has ever begun to fill under it
    domain->overtaken.fetch_add(1, std::memory_order_seq_cst);
  }
  if (reference_ != nullptr) {
    removed.entries = reference_->invalidate(what);
    return removed;
  }
  switch (what.scope) {
    case Scope::kAll:
    case Scope::kDomain:
      removed.entries = end_generation(what, domain, removed.widened);
      break;
    case Scope::kPasid:
      if (what.pasid) removed.entries = end_generation(what, domain, removed.widened);
      break;
    case Scope::kRange:
      remove_range(what, *domain, removed);
      break;
    case Scope::kStage2Range:
      // Sequentially consistent: see the update in fill(). What has a PASID may lie anywhere.
      if (domain->has_pasids.load(std::memory_order_seq_cst))
        sweep_or_widen(what, *domain, removed);
      else
        remove_range(what, *domain, removed);
      break;
    case Scope::kHostRange:
      removed.entries = sweep(what);
      break;
    case Scope::kContextAll:
    case Scope::kContextDomain:
    case Scope::kContextPasid:
    case Scope::kContextDevice:
    case Scope::kInterruptAll:
    case Scope::kInterruptRange:
    case Scope::kInterruptDevice:
    case Scope::kDeviceTlb:
    case Scope::kRequester:
      break;
  }
  return removed;
}

// ---- Set by set

// The set that will mostly be looked at. In a large cache its lines lie far away, and what comes
// first are locked exchanges, past which no load goes.
void Iotlb::fetch_ahead(const Invalidation& what) const {
  const std::uint64_t number = what.range.first.value() >> kPageLg2;
  for (const Way* way :
       ways_from(slot_of(number, seed_of({.domain = what.domain}, kPageLg2))).in_order)
    __builtin_prefetch(way);
}

std::uint64_t Iotlb::sweep(const Invalidation& what) {
  std::uint64_t removed = 0;
  for (std::uint64_t s = 0; s <= set_mask_; ++s) removed += Set::remove(*this, s, what);
  return removed;
}

void Iotlb::sweep_or_widen(const Invalidation& what, Lineage& domain, Removed& removed) {
  const bool exact = is_whole_space(what.range);
  if (!exact && set_mask_ < kMostVisits) {
    removed.entries = sweep(what);
  } else {
    removed.widened = !exact;
    removed.entries = end_generation(what, &domain, removed.widened);
  }
}

void Iotlb::remove_range(const Invalidation& what, Lineage& domain, Removed& removed) {
  // Sequentially consistent: see the update in fill().
  const std::uint64_t sizes = domain.sizes.load(std::memory_order_seq_cst);
  if (sizes == 0 || what.range.first > what.range.last) return;
  // How many sets the range can touch, size by size.
  const std::uint64_t most = std::min<std::uint64_t>(kMostVisits, set_mask_ + 1);
  std::uint64_t visits = 0;
  for (std::uint64_t left = sizes; left != 0 && visits <= most; left &= left - 1) {
    const int lg2 = std::countr_zero(left);
    visits += (what.range.last.value() >> lg2) - (what.range.first.value() >> lg2) + 1;
  }
  if (visits > most) return sweep_or_widen(what, domain, removed);
  for (std::uint64_t left = sizes; left != 0; left &= left - 1) {
    const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(left));
    const std::uint64_t seed = seed_of({.domain = what.domain}, lg2);
    const std::uint64_t last = what.range.last.value() >> lg2;
    // Counted by distance: the last page may be the last there is.
    for (std::uint64_t n = what.range.first.value() >> lg2;; ++n) {
      removed.entries += Set::remove(*this, slot_of(n, seed), what);
      if (n == last) break;
    }
  }
}

// ---- By ending a generation

std::uint64_t Iotlb::end_generation(const Invalidation& what, Lineage* domain, bool& widened) {
  const MutexLock lock(flushing_);
  std::uint64_t ended = 0;
  if (what.scope == Scope::kAll) {
    ended = end_all();
  } else if (!what.pasid || what.scope == Scope::kDomain || what.scope == Scope::kStage2Range) {
    ended = end_domain(*domain);
    widened |= lineages_.is_shared(*domain);
  } else {
    Lineage* const pasid = lineages_.find_to_flush(tag_of(what));
    if (pasid == nullptr) return 0;
    ended = end_pasid(*domain, *pasid);
    widened |= lineages_.is_shared(*pasid);
  }
  sweep_some_dead();
  return ended;
}

// Sequentially consistent, each addition here and below: after `overtaken`, so that a fill that was
// not refused has an older number; and before the completion, whose readers see this one. Only who
// holds flushing_ adds, so that looking again may be relaxed.

std::uint64_t Iotlb::end_all() {
  generation_.fetch_add(1, std::memory_order_seq_cst);
  std::uint64_t ended = 0;
  // Acquire: pairs with the release in list().
  for (Lineage* domain = listed_.exchange(nullptr, std::memory_order_acquire); domain != nullptr;) {
    Lineage* const next = domain->next_listed;
    // Sequentially consistent, before the count is looked at: see count_in().
    domain->listed.store(false, std::memory_order_seq_cst);
    bool goes_on = false;
    ended += end_count(*domain, goes_on);
    if (goes_on) list(*domain);
    domain = next;
  }
  return ended;
}

std::uint64_t Iotlb::end_domain(Lineage& domain) {
  domain.generation.fetch_add(1, std::memory_order_seq_cst);
  bool goes_on = false;
  return lineages_.is_shared(domain) ? 0 : end_count(domain, goes_on);
}

// What lived in the domain's generations before this one.
std::uint64_t Iotlb::end_count(Lineage& domain, bool& goes_on) {
  const std::uint64_t now = generation_.load(std::memory_order_relaxed) +
                            domain.generation.load(std::memory_order_relaxed);
  const LiveCount::Ended live = domain.live.end(now);
  goes_on = live.goes_on;
  // Relaxed: a sum; nothing rests on it.
  return live.count + domain.left.exchange(0, std::memory_order_relaxed);
}

std::uint64_t Iotlb::end_pasid(Lineage& domain, Lineage& pasid) {
  const std::uint64_t domains = generation_.load(std::memory_order_relaxed) +
                                domain.generation.load(std::memory_order_relaxed);
  const std::uint64_t last = domains + pasid.generation.load(std::memory_order_relaxed);
  const bool counted = !lineages_.is_shared(domain) && !lineages_.is_shared(pasid);
  // The count first: nobody can begin the next one before the number below, and what was left by
  // a generation that ended with its domain has been counted there.
  LiveCount::Ended live;
  if (counted) live = pasid.live.end(last + 1);
  pasid.generation.fetch_add(1, std::memory_order_seq_cst);
  if (live.count == 0 || live.generation != (last & 0xffffffff)) return 0;
  return domain.live.remove(domains, live.count) ? live.count : 0;
}

// Half way round the numbers that an entry can show, every place has been looked at once: nothing
// that is dead is still there when its number comes back.
void Iotlb::sweep_some_dead() {
  if (WEIR_BUG(kGenerationWrap)) return;
  for (std::uint64_t i = 0; i < swept_at_once_; ++i) {
    const std::uint64_t slot = next_to_sweep_++ & slot_mask_;
    const Way& way = ways_[slot];
    // Acquire: pairs with the fill's release; the tag's record is there.
    const std::uint64_t tag = way.tag.load(std::memory_order_acquire);
    if (tag == 0) continue;
    // Without an owner nobody can ask for the entry: its PASID was wider than a PASID is.
    const auto owner = owner_of(words::tag_of(tag));
    if (owner && is_dead(way, *owner)) Set(*this, slot).remove_dead();
  }
}

}  // namespace weir::iotlb
