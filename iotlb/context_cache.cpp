// SPDX-License-Identifier: Apache-2.0
#include "iotlb/context_cache.h"

#include <tbb/concurrent_hash_map.h>

namespace weir::iotlb {
namespace {

struct Held {
  Context context;
  std::uint64_t generation = 0;
};

[[nodiscard]] std::uint64_t key_of(Requester requester, std::uint32_t pasid) {
  return std::uint64_t{requester.segment} << 48 | std::uint64_t{requester.bdf} << 32 | pasid;
}

}  // namespace

struct ContextCache::Map {
  using Table = tbb::concurrent_hash_map<std::uint64_t, Held>;
  Table table;
};

ContextCache::ContextCache() : map_(std::make_unique<Map>()) {}
ContextCache::~ContextCache() = default;

std::optional<Context> ContextCache::find(Requester requester, std::uint32_t pasid) const {
  Map::Table::const_accessor held;
  if (!map_->table.find(held, key_of(requester, pasid))) return std::nullopt;
  // Acquire: pairs with invalidate().
  if (held->second.generation != generation_.load(std::memory_order_acquire)) return std::nullopt;
  return held->second.context;
}

bool ContextCache::fill(std::uint64_t changes, Requester requester, std::uint32_t pasid,
                        const Context& context) {
  Map::Table::accessor held;
  const bool made = map_->table.insert(held, key_of(requester, pasid));
  // Sequentially consistent, holding the element: either this sees that something was dropped, or
  // the dropper's erase waits for the element and removes it, or its new generation voids it.
  const std::uint64_t generation = generation_.load(std::memory_order_seq_cst);
  if (changes_.load(std::memory_order_seq_cst) != changes) {
    if (made) map_->table.erase(held);
    return false;
  }
  // Relaxed: a count for the books.
  if (made || held->second.generation != generation) live_.fetch_add(1, std::memory_order_relaxed);
  held->second = {context, generation};
  return true;
}

// Sequentially consistent, both: the first number overtakes fills that are under way, the second
// voids what was looked up between the two.
void ContextCache::begin_change() { changes_.fetch_add(1, std::memory_order_seq_cst); }
void ContextCache::end_change() { changes_.fetch_add(1, std::memory_order_seq_cst); }

// True if an entry that still counted is gone.
bool ContextCache::erase(Requester requester) {
  Map::Table::accessor held;
  if (!map_->table.find(held, key_of(requester, Context::kNoPasid))) return false;
  // Relaxed: only for the books.
  const bool current = held->second.generation == generation_.load(std::memory_order_relaxed);
  map_->table.erase(held);
  return current;
}

Removed ContextCache::invalidate(const Invalidation& what) {
  Removed removed;
  switch (what.scope) {
    case Scope::kContextAll:
    case Scope::kContextDomain:
      removed.widened = what.scope == Scope::kContextDomain;
      begin_change();
      // Sequentially consistent: pairs with fill() and find().
      generation_.fetch_add(1, std::memory_order_seq_cst);
      end_change();
      // Relaxed: a count for the books.
      removed.entries = live_.exchange(0, std::memory_order_relaxed);
      return removed;
    case Scope::kContextDevice: {
      begin_change();
      // Every combination of the masked bits: at most the eight functions of a device.
      std::uint16_t bits = 0;
      do {
        Requester one = what.requester;
        one.bdf = static_cast<std::uint16_t>((one.bdf & ~what.requester_mask) | bits);
        removed.entries += erase(one) ? 1 : 0;
        bits = static_cast<std::uint16_t>((bits - what.requester_mask) & what.requester_mask);
      } while (bits != 0);
      end_change();
      // Relaxed: a count for the books.
      live_.fetch_sub(removed.entries, std::memory_order_relaxed);
      return removed;
    }
    case Scope::kAll:
    case Scope::kDomain:
    case Scope::kPasid:
    case Scope::kRange:
    case Scope::kHostRange:
    case Scope::kRequester:
      return removed;
  }
  return removed;
}

}  // namespace weir::iotlb
