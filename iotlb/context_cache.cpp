// SPDX-License-Identifier: Apache-2.0
#include "iotlb/context_cache.h"

#include <tbb/concurrent_hash_map.h>

#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/seam.h"

namespace weir::iotlb {
namespace {

struct Held {
  Context context;
  std::uint64_t generation = 0;
};

[[nodiscard]] std::uint32_t key_of(Requester requester) {
  return std::uint32_t{requester.segment} << 16 | requester.bdf;
}

// Whether an invalidation of contexts by domain covers one that `pasid` led to. What a function
// does without a PASID may rest on any entry of its PASID table (VT-d RID_PASID): it goes as well.
[[nodiscard]] bool covers_pasid(const Invalidation& what, std::uint32_t pasid) {
  return what.scope != Scope::kContextPasid || pasid == Context::kNoPasid ||
         (what.pasid && what.pasid->value == pasid);
}

}  // namespace

struct ContextCache::Map {
  // A function's contexts stay together, by PASID: a device-selective invalidation means all.
  using Function = std::map<std::uint32_t, Held>;
  using Table = tbb::concurrent_hash_map<std::uint32_t, Function>;
  using Place = std::pair<std::uint32_t, std::uint32_t>;  // function, PASID
  Table table;
  // Whose contexts name a domain, under the cache's mutex. One that a global invalidation voided
  // keeps its place here until it is filled or dropped again.
  std::unordered_map<std::uint32_t, std::set<Place>> domains;

  void forget(const Held& held, Place place) {
    const auto domain = domains.find(held.context.domain.value);
    if (domain == domains.end()) return;
    domain->second.erase(place);
    if (domain->second.empty()) domains.erase(domain);
  }
};

ContextCache::ContextCache() : map_(std::make_unique<Map>()) {}
ContextCache::~ContextCache() = default;

std::optional<Context> ContextCache::find(Requester requester, std::uint32_t pasid) const {
  Map::Table::const_accessor function;
  if (!map_->table.find(function, key_of(requester))) return std::nullopt;
  const auto held = function->second.find(pasid);
  if (held == function->second.end()) return std::nullopt;
  // Acquire: pairs with drop_all().
  if (held->second.generation != generation_.load(std::memory_order_acquire)) return std::nullopt;
  return held->second.context;
}

bool ContextCache::fill(std::uint64_t changes, Requester requester, std::uint32_t pasid,
                        const Context& context) {
  const MutexLock lock(mutex_);
  // Relaxed, both: only written under the mutex.
  if (!WEIR_BUG(kContextKeptUnchecked) && changes_.load(std::memory_order_relaxed) != changes)
    return false;
  const std::uint64_t generation = generation_.load(std::memory_order_relaxed);
  Map::Table::accessor function;
  map_->table.insert(function, key_of(requester));
  Held& held = function->second[pasid];
  const Map::Place place{key_of(requester), pasid};
  if (held.generation != 0) map_->forget(held, place);
  if (held.generation != generation) ++live_;
  held = {context, generation};
  map_->domains[context.domain.value].insert(place);
  return true;
}

std::uint64_t ContextCache::drop_all() {
  // Release: pairs with find().
  generation_.fetch_add(1, std::memory_order_release);
  return std::exchange(live_, 0);
}

std::uint64_t ContextCache::drop_device(Requester requester) {
  Map::Table::accessor function;
  if (!map_->table.find(function, key_of(requester))) return 0;
  std::uint64_t dropped = 0;
  // Relaxed: only written under the mutex.
  const std::uint64_t generation = generation_.load(std::memory_order_relaxed);
  for (const auto& [pasid, held] : function->second) {
    dropped += held.generation == generation ? 1 : 0;
    map_->forget(held, {key_of(requester), pasid});
  }
  map_->table.erase(function);
  live_ -= dropped;
  return dropped;
}

void ContextCache::touch() {
  const MutexLock lock(mutex_);
  // Sequentially consistent: after what changed, and before the epoch of the drain that follows.
  changes_.fetch_add(1, std::memory_order_seq_cst);
}

std::uint64_t ContextCache::drop_domain(const Invalidation& what) {
  const auto domain = map_->domains.find(what.domain.value);
  if (domain == map_->domains.end()) return 0;
  // Relaxed: only written under the mutex.
  const std::uint64_t generation = generation_.load(std::memory_order_relaxed);
  std::uint64_t dropped = 0;
  for (auto place = domain->second.begin(); place != domain->second.end();) {
    const auto [key, pasid] = *place;
    if (!covers_pasid(what, pasid)) {
      ++place;
      continue;
    }
    place = domain->second.erase(place);
    Map::Table::accessor function;
    if (!map_->table.find(function, key)) continue;
    const auto held = function->second.find(pasid);
    if (held == function->second.end()) continue;
    dropped += held->second.generation == generation ? 1 : 0;
    function->second.erase(held);
    if (function->second.empty()) map_->table.erase(function);
  }
  if (domain->second.empty()) map_->domains.erase(domain);
  live_ -= dropped;
  return dropped;
}

Removed ContextCache::invalidate(const Invalidation& what) {
  Removed removed;
  if (!what.is_context_scope()) return removed;
  const MutexLock lock(mutex_);
  // Sequentially consistent, both: the first number overtakes reads of the guest's structures that
  // are under way, the second voids what was looked up between the two.
  changes_.fetch_add(1, std::memory_order_seq_cst);
  if (what.scope == Scope::kContextDevice) {
    // Every combination of the masked bits: at most the eight functions of a device.
    std::uint16_t bits = 0;
    do {
      Requester one = what.requester;
      one.bdf = static_cast<std::uint16_t>((one.bdf & ~what.requester_mask) | bits);
      removed.entries += drop_device(one);
      bits = static_cast<std::uint16_t>((bits - what.requester_mask) & what.requester_mask);
    } while (bits != 0);
  } else {
    removed.entries = what.scope == Scope::kContextAll ? drop_all() : drop_domain(what);
  }
  changes_.fetch_add(1, std::memory_order_seq_cst);
  return removed;
}

}  // namespace weir::iotlb
