// SPDX-License-Identifier: Apache-2.0
//
// What one unit knows about its requesters and their PASIDs. Looked up when a port's own copy is
// out of date, filled by whoever read the guest's structures, dropped by context invalidations:
// exactly those of a device or a domain, those of a domain's PASID together with what its functions
// do without one, or all at once. What that costs follows what is dropped, not what is there (L6).
//
// Any thread. changes() is the word that every request compares: while it has not moved, a Context
// that was obtained under it is still good. find takes no lock of ours; fill and invalidate take
// one for a moment, so that the two never interleave.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "base/mutex.h"
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
  // Where it stands, for who reads it (acquire) for every request.
  [[nodiscard]] const std::atomic<std::uint64_t>& changes_word() const { return changes_; }
  // `pasid` is Context::kNoPasid or a PASID.
  [[nodiscard]] std::optional<Context> find(Requester requester, std::uint32_t pasid) const;
  // `changes` is what changes() said before the guest's structures were read. Refuses (false) if
  // anything was dropped since (L2).
  bool fill(std::uint64_t changes, Requester requester, std::uint32_t pasid,
            const Context& context);
  // For the context scopes; others drop nothing. A device's contexts are those of all its PASIDs.
  Removed invalidate(const Invalidation& what);
  // Something else changed that answers rest on: whoever compares the number looks again.
  void touch();

 private:
  struct Map;

  std::uint64_t drop_all() WEIR_REQUIRES(mutex_);
  std::uint64_t drop_device(Requester requester) WEIR_REQUIRES(mutex_);
  std::uint64_t drop_domain(const Invalidation& what) WEIR_REQUIRES(mutex_);

  std::unique_ptr<Map> map_;  // constant after construction

  // Guarded.
  Mutex mutex_;
  std::uint64_t live_ WEIR_GUARDED_BY(mutex_) = 0;  // entries of this generation

  // Atomic; written under the mutex.
  std::atomic<std::uint64_t> changes_{1};     // of anything
  std::atomic<std::uint64_t> generation_{1};  // of everything: older entries are void
};

}  // namespace weir::iotlb
