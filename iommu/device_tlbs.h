// SPDX-License-Identifier: Apache-2.0
//
// Who keeps a TLB of its own, and what it still owes: invalidations that were sent and not
// acknowledged. A function has at most kOutstanding under way; what comes on top waits and is sent
// as one that names everything, so that a guest which flushes without end beside a silent device
// takes bounded memory. One that is silent for too long may send no translated requests until it
// has acknowledged everything or is reset: so the wait can end without breaking L1.
//
// Private to this room. Any thread; devices are called with no lock held.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "iommu/ats.h"
#include "iotlb/flush_tracker.h"

namespace weir::core {

class DeviceTlbs {
 public:
  static constexpr std::size_t kOutstanding = 32;  // as many as PCIe has invalidation tags

  using Blocked = std::atomic<bool>;

  DeviceTlbs(iotlb::FlushTracker& tracker, const Clock& clock) : tracker_(tracker), clock_(clock) {}

  // `blocked` is the function's: set while its translated requests are refused.
  void attach(Requester function, std::shared_ptr<AtsDevice> device,
              std::shared_ptr<Blocked> blocked);
  // It has no TLB (any more), and owes nothing.
  void detach(Requester function);
  // It was reset: its TLB is empty and it owes nothing.
  void reset(Requester function);
  void reset_all();
  // Functions that are called something else now, all at once: from and to.
  void rename(std::span<const std::pair<Requester, Requester>> names);

  // Gives a serial for the tracker; 0: nothing is left to wait for.
  [[nodiscard]] std::uint64_t invalidate(UnitId unit, const iotlb::Invalidation& what,
                                         Clock::Duration limit);
  // False: the function owes no such thing.
  bool acknowledge(Requester function, std::uint32_t id);
  // False: nobody is there to hear it.
  bool respond(Requester function, const PageResponse& response);

  struct Silent {
    UnitId unit;
    Requester function;
    std::uint64_t serial = 0;
  };
  // Those whose time is up, each given once; from now on their translated requests are refused.
  // After their units have heard of it, end_wait ends the wait of each.
  [[nodiscard]] std::vector<Silent> take_silent(Clock::Duration now);
  void end_wait(const Silent& silent);

 private:
  struct Sent {
    std::uint32_t id = 0;  // 0: not sent yet
    UnitId unit{};
    std::uint64_t serial = 0;
    Clock::Duration until{};
    bool late = false;  // nobody waits for it any more
  };
  struct Function {
    std::shared_ptr<AtsDevice> device;
    std::shared_ptr<Blocked> blocked;
    std::deque<Sent> sent;
    std::optional<Sent> queued;  // names everything
    std::uint32_t next_id = 1;
  };
  struct Message {
    std::shared_ptr<AtsDevice> device;
    AtsInvalidation what;
  };

  [[nodiscard]] static std::uint32_t key_of(Requester r) {
    return std::uint32_t{r.segment} << 16 | r.bdf;
  }
  void forget_debts(Function& function, std::vector<std::uint64_t>& serials) WEIR_REQUIRES(mutex_);

  iotlb::FlushTracker& tracker_;
  const Clock& clock_;

  Mutex mutex_;
  std::map<std::uint32_t, Function> functions_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::core
