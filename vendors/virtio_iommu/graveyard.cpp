// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/graveyard.h"

#include <utility>

namespace weir::virtio_iommu {

void Graveyard::put_under(Ticket ticket) {
  if (collected_.nodes.empty() && collected_.domains.empty()) return;
  Dead dead = std::exchange(collected_, Dead{});
  dead.ticket = ticket;
  if (ticket.serial != 0) waiting_.push_back(std::move(dead));
}

Ticket Graveyard::clean_up(UnitHost& host) {
  while (!waiting_.empty()) {
    if (!host.settled(waiting_.front().ticket)) return waiting_.front().ticket;
    waiting_.pop_front();
  }
  return {};
}

}  // namespace weir::virtio_iommu
