// SPDX-License-Identifier: Apache-2.0
//
// What a queue of commands has set off and not seen the end of. Invalidations drop at once; one
// ticket stands for all that were dropped since the one before, so that a guest that unmaps much
// before it waits pays for one round of asking who is still inside.
//
// The unit's runner only; nothing waits. At most kMost tickets and kMostToATicket dropped
// invalidations are kept, whatever a guest posts: make_room() first, and cover() before a run of
// the queue ends.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "iommu/unit.h"

namespace weir {

class Outstanding {
 public:
  void drop(UnitHost& host, const iotlb::Invalidation& what) {
    host.drop(what);
    dropped_.push_back(what);
    if (dropped_.size() >= kMostToATicket) cover(host);
  }
  void cover(UnitHost& host) {
    if (dropped_.empty()) return;
    add(host.cover(dropped_));
    dropped_.clear();
  }
  void add(Ticket ticket) {
    if (ticket.serial != 0) tickets_.push_back(ticket);
  }
  // Nothing that has a ticket is waited for any more.
  void give_up() { tickets_.clear(); }

  // False: there is none, and the place is parked.
  template <typename Parking, typename Place>
  [[nodiscard]] bool make_room(Parking& parking, Place place) {
    return settle_down_to(kMost - 1, parking, place);
  }
  // Whether everything has ended; if not, the place is parked.
  template <typename Parking, typename Place>
  [[nodiscard]] bool settle(UnitHost& host, Parking& parking, Place place) {
    cover(host);
    return settle_down_to(0, parking, place);
  }

 private:
  static constexpr std::size_t kMost = 1024;
  static constexpr std::size_t kMostToATicket = 256;

  template <typename Parking, typename Place>
  [[nodiscard]] bool settle_down_to(std::size_t most, Parking& parking, Place place) {
    while (tickets_.size() > most) {
      if (!parking.await(place, tickets_.front())) return false;
      tickets_.pop_front();
    }
    return true;
  }

  std::deque<Ticket> tickets_;
  std::vector<iotlb::Invalidation> dropped_;  // no ticket stands for them yet
};

}  // namespace weir
