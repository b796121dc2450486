// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/parking.h"

#include <algorithm>

namespace weir::virtio_iommu {

bool Parking::await(Place place, Ticket ticket) {
  const auto index = static_cast<std::size_t>(place);
  if (ticket.serial != 0) {
    // Listed before it is asked about: then whoever settles it later either finds it listed, or did
    // so early enough for the question below.
    {
      const MutexLock lock(mutex_);
      parked_[index] = ticket;
    }
    if (!host_.settled(ticket)) return false;
  }
  leave(place);
  return true;
}

void Parking::leave(Place place) {
  const MutexLock lock(mutex_);
  parked_[static_cast<std::size_t>(place)] = Ticket{};
}

bool Parking::can_go_on() {
  std::array<Ticket, kPlaces> waiting;
  {
    const MutexLock lock(mutex_);
    waiting = parked_;
  }
  return std::ranges::any_of(
      waiting, [this](Ticket ticket) { return ticket.serial != 0 && host_.settled(ticket); });
}

}  // namespace weir::virtio_iommu
