// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/shared.h"

#include <algorithm>

namespace weir::vtd {

bool Shared::await(Place place, Ticket ticket) {
  const auto index = static_cast<std::size_t>(place);
  // Listed before it is asked about: then whoever settles it later either finds it listed, or did
  // so early enough for the question below.
  {
    MutexLock lock(mutex);
    parked[index] = ticket;
  }
  if (ticket.serial != 0 && !host.settled(ticket)) return false;
  MutexLock lock(mutex);
  parked[index] = Ticket{};
  return true;
}

bool Shared::can_go_on() {
  std::array<Ticket, kPlaces> waiting;
  {
    MutexLock lock(mutex);
    waiting = parked;
  }
  return std::any_of(waiting.begin(), waiting.end(),
                     [this](Ticket ticket) { return ticket.serial != 0 && host.settled(ticket); });
}

}  // namespace weir::vtd
