// SPDX-License-Identifier: Apache-2.0
//
// What one unit knows about its requesters. Looked up when a port's own copy is out of date, filled
// by whoever read the guest's structures, dropped by context invalidations. A device-selective one
// is exact; domain-selective and global ones drop everything, which the architectures allow.
//
// Any thread. changes() is the word that every request compares: while it has not moved, a Context
// that was obtained under it is still good.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "iotlb/context.h"
#include "iotlb/invalidation.h"

namespace weir::iotlb {

class ContextCache {
 public:
  ContextCache();
  ~ContextCache();
  ContextCache(const ContextCache&) = delete;
  ContextCache& operator=(const ContextCache&) = delete;

  [[nodiscard]] std::uint64_t changes() const {
    // Acquire: pairs with invalidate(); who sees the new number sees the guest's new structures.
    return changes_.load(std::memory_order_acquire);
  }
  // `pasid` is Context::kNoPasid or a PASID.
  [[nodiscard]] std::optional<Context> find(Requester requester, std::uint32_t pasid) const;
  // `changes` is what changes() said before the guest's structures were read. Refuses (false) if
  // anything was dropped since (L2).
  bool fill(std::uint64_t changes, Requester requester, std::uint32_t pasid,
            const Context& context);
  // For the context scopes; others drop nothing.
  Removed invalidate(const Invalidation& what);

 private:
  struct Map;

  void begin_change();
  void end_change();
  bool erase(Requester requester);

  std::unique_ptr<Map> map_;  // constant after construction

  // Atomic.
  std::atomic<std::uint64_t> changes_{1};     // of anything
  std::atomic<std::uint64_t> generation_{1};  // of everything: older entries are void
  std::atomic<std::uint64_t> live_{0};        // entries of this generation
};

}  // namespace weir::iotlb
