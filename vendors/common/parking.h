// SPDX-License-Identifier: Apache-2.0
//
// What a unit's runner is held up by: one ticket for each place where it can be. Whoever hears that
// a ticket may have settled asks here whether the runner would get further.
//
// Place is an enumeration that counts from 0 to kPlaces - 1.
//
// await, leave, leave_all: the runner; can_go_on: any thread. None waits.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/mutex.h"
#include "iommu/unit.h"

namespace weir {

template <typename Place, std::size_t kPlaces>
class Parking {
 public:
  explicit Parking(UnitHost& host) : host_(host) {}

  // Has everything that the ticket stands for ended? If not, the place counts as parked until a
  // later call for it says yes.
  [[nodiscard]] bool await(Place place, Ticket ticket) WEIR_EXCLUDES(mutex_) {
    if (ticket.serial != 0) {
      // Listed before it is asked about: then whoever settles it later either finds it listed, or
      // did so early enough for the question below.
      {
        const MutexLock lock(mutex_);
        parked_[static_cast<std::size_t>(place)] = ticket;
      }
      if (!host_.settled(ticket)) return false;
    }
    leave(place);
    return true;
  }
  void leave(Place place) WEIR_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    parked_[static_cast<std::size_t>(place)] = Ticket{};
  }
  void leave_all() WEIR_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    parked_ = {};
  }
  [[nodiscard]] bool can_go_on() WEIR_EXCLUDES(mutex_) {
    std::array<Ticket, kPlaces> waiting;
    {
      const MutexLock lock(mutex_);
      waiting = parked_;
    }
    return std::ranges::any_of(
        waiting, [this](Ticket ticket) { return ticket.serial != 0 && host_.settled(ticket); });
  }

 private:
  UnitHost& host_;
  Mutex mutex_;
  std::array<Ticket, kPlaces> parked_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir
