// SPDX-License-Identifier: Apache-2.0
//
// What was taken out of the domains and may still be looked at by a burst that began earlier: nodes
// of interval maps, and whole domains. Things are collected as they go, put under a ticket
// together, and freed once that has settled.
//
// The unit's runner only.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "iommu/unit.h"
#include "pagetables/interval_map.h"
#include "vendors/virtio_iommu/domain.h"

namespace weir::virtio_iommu {

class Graveyard final : public pagetables::NodeRetirer {
 public:
  // So many bytes are worth a ticket of their own, where no invalidation gives one anyway.
  static constexpr std::size_t kWorthATicket = std::size_t{256} << 10;

  void retire(pagetables::RetiredNodes nodes) override {
    collected_.bytes += nodes.bytes();
    collected_.nodes.push_back(std::move(nodes));
  }
  void bury(std::unique_ptr<Domain> domain) { collected_.domains.push_back(std::move(domain)); }

  [[nodiscard]] bool worth_a_ticket() const {
    return collected_.bytes >= kWorthATicket || !collected_.domains.empty();
  }
  // Everything collected so far goes once `ticket` has settled.
  void put_under(Ticket ticket);
  // Frees what can be freed. Gives the ticket of the oldest that must stay; serial 0: none.
  Ticket clean_up(UnitHost& host);

 private:
  struct Dead {
    Ticket ticket;
    std::size_t bytes = 0;
    std::vector<pagetables::RetiredNodes> nodes;
    std::vector<std::unique_ptr<Domain>> domains;
  };

  Dead collected_;
  std::deque<Dead> waiting_;
};

}  // namespace weir::virtio_iommu
