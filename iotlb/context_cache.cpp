// SPDX-License-Identifier: Apache-2.0
#include "iotlb/context_cache.h"

#include <tbb/concurrent_hash_map.h>

#include <map>
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

}  // namespace

struct ContextCache::Map {
  // A function's contexts stay together, by PASID: a device-selective invalidation means all.
  using Function = std::map<std::uint32_t, Held>;
  using Table = tbb::concurrent_hash_map<std::uint32_t, Function>;
  Table table;
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
  if (held.generation != generation) ++live_;
  held = {context, generation};
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
  for (const auto& [pasid, held] : function->second)
    dropped += held.generation == generation ? 1 : 0;
  map_->table.erase(function);
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
    removed.entries = drop_all();
    removed.widened = what.scope == Scope::kContextDomain;
  }
  changes_.fetch_add(1, std::memory_order_seq_cst);
  return removed;
}

}  // namespace weir::iotlb
