// SPDX-License-Identifier: Apache-2.0
//
// Who must still let go before a completion may be published: bursts that began earlier, and pins
// that an invalidation covers. The caches have been dropped by then; this is the rest of L1.
// Nothing here blocks: a ticket is settled or it is not, and whoever ends a burst or a pin asks
// again when somebody waits.
//
// All members: any thread. No sink is called from here.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "iotlb/bursts.h"
#include "iotlb/entry.h"
#include "iotlb/invalidation.h"

namespace weir::iotlb {

// A device's hold on host memory, as far as invalidations are concerned.
struct PinRecord {
  std::optional<UnitId> unit;  // empty: bypass or window; no guest flush covers it
  Requester requester;
  Tag tag{};                  // of the entries behind it
  bool several_tags = false;  // its context changed while it was made: any tag of the unit is meant
  bool translated = false;    // made with translated addresses (ATS)
  AddressRange<Iova> range{};
  std::vector<AddressRange<Gpa>> host_ranges;
  std::uint64_t epoch = 0;  // in which the first of its translations began
  Clock::Duration since{};
};

struct OverduePin {
  std::uint64_t id = 0;
  Requester requester;
  AddressRange<Iova> range{};
  Clock::Duration age{};
};

class FlushTracker {
 public:
  // `clock` dates what has to wait; null: time stands still. Both must outlive the tracker.
  explicit FlushTracker(BurstRegistry& bursts, const Clock* clock = nullptr)
      : bursts_(bursts), clock_(clock) {}

  // Call after the caches have dropped what `what` covers. `unit` is whose translations it speaks
  // of; empty for the embedder's own changes, which concern all. Gives 0 if nothing had to be
  // waited for, else a serial to ask settled() about.
  [[nodiscard]] std::uint64_t issue(std::optional<UnitId> unit, const Invalidation& what);
  // The same for several at once: one serial for all of them. REQUIRES: not empty.
  [[nodiscard]] std::uint64_t issue_all(std::optional<UnitId> unit,
                                        std::span<const Invalidation> several);
  // The same where a device must also say that it has let go: never settled before acknowledge, and
  // then once what began before that has ended.
  [[nodiscard]] std::uint64_t issue_acknowledged(UnitId unit, const Invalidation& what);
  void acknowledge(std::uint64_t serial);
  // Everything of the unit that is in flight.
  [[nodiscard]] std::uint64_t issue_drain(UnitId unit);
  // Every burst that has begun, whosever it is; pins stay out of it.
  [[nodiscard]] std::uint64_t issue_quiesce(UnitId unit);
  [[nodiscard]] bool settled(std::uint64_t serial);
  // Closes every ticket that has settled, also those that nobody will ask about again.
  void collect();
  // True while some ticket is open: whoever ends a pin then polls.
  [[nodiscard]] bool waiting() const {
    // Sequentially consistent: pairs with BurstRegistry::leave, see there.
    return waiting_.load(std::memory_order_seq_cst) != 0;
  }
  // Whether a burst that BurstRegistry::leave gave `oldest` for may have held up an open ticket:
  // whoever ended it then polls. Bursts that began after the newest ticket hold up none, however
  // long a pin keeps one open.
  [[nodiscard]] bool held_up_by(std::uint64_t oldest) const {
    // Sequentially consistent, both: as in waiting().
    return oldest != BurstRegistry::kIdle && waiting() &&
           oldest < newest_.load(std::memory_order_seq_cst);
  }

  // How long tickets that have settled had to wait, by the clock.
  struct Waits {
    std::uint64_t ended = 0;
    Clock::Duration together{};
    Clock::Duration longest{};
  };
  [[nodiscard]] Waits waits() const;

  // REQUIRES: inside the burst that made the translations.
  [[nodiscard]] std::uint64_t add_pin(PinRecord pin);
  // False: no such pin (any more).
  bool remove_pin(std::uint64_t id);
  // Pins that open tickets have waited for `limit` or longer, each given once.
  [[nodiscard]] std::vector<OverduePin> take_overdue(Clock::Duration now, Clock::Duration limit);

 private:
  struct OpenTicket {
    std::uint64_t serial = 0;
    std::uint64_t first_serial = 0;  // stands for its unit's tickets from here to `serial`
    std::uint64_t epoch = 0;
    std::optional<UnitId> unit;
    bool whole_unit = false;
    bool bursts_only = false;
    std::uint64_t awaited = 0;  // acknowledgements
    std::vector<Invalidation> what{};
    Clock::Duration since{};  // when it had to wait
  };
  struct HeldPin {
    PinRecord record;
    bool reported = false;
  };

  // A guest may flush without end while one pin is held. Beyond this many open tickets of a unit
  // they are merged into one that waits for all of the unit: coarser, never early, and bounded.
  static constexpr std::size_t kOpenPerUnit = 64;

  [[nodiscard]] std::uint64_t issue(OpenTicket ticket, std::span<const Invalidation> what);
  void note_newest(std::uint64_t epoch);
  [[nodiscard]] std::list<OpenTicket>::iterator find(std::uint64_t serial) WEIR_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t make_serial(std::optional<UnitId> unit) WEIR_REQUIRES(mutex_);
  void merge_if_many(OpenTicket& ticket) WEIR_REQUIRES(mutex_);
  void count_wait(const OpenTicket& ticket, Clock::Duration at) WEIR_REQUIRES(mutex_);
  [[nodiscard]] Clock::Duration now() const {
    return clock_ == nullptr ? Clock::Duration::zero() : clock_->now();
  }
  [[nodiscard]] bool is_settled(const OpenTicket& ticket) const WEIR_REQUIRES(mutex_);
  [[nodiscard]] static bool covers_pin(const OpenTicket& ticket, const PinRecord& pin);
  [[nodiscard]] static bool covers_pin(std::optional<UnitId> unit, const Invalidation& what,
                                       const PinRecord& pin);

  // Constant after construction.
  BurstRegistry& bursts_;
  const Clock* const clock_;

  // Atomic, in a line of their own: the mutex is not for the eyes of bursts.
  alignas(64) std::atomic<std::uint64_t> waiting_{0};  // open tickets
  std::atomic<std::uint64_t> newest_{0};  // the largest epoch of any that was opened so far

  // Changed under the mutex; asked without it whether it is 0.
  alignas(64) std::atomic<std::size_t> held_{0};  // pins

  // Guarded.
  mutable Mutex mutex_;
  std::uint64_t next_serial_ WEIR_GUARDED_BY(mutex_) = 1;
  std::uint64_t next_pin_ WEIR_GUARDED_BY(mutex_) = 1;
  Waits waits_ WEIR_GUARDED_BY(mutex_);
  std::list<OpenTicket> open_ WEIR_GUARDED_BY(mutex_);
  std::map<std::uint64_t, HeldPin> pins_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::iotlb
