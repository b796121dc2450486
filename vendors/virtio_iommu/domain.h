// SPDX-License-Identifier: Apache-2.0
//
// What a guest has built: domains with their mappings, and the endpoints that are attached to them
// (virtio 1.4, 5.13.6).
//
// Endpoint::domain and a domain's map are read by any thread inside a burst, without a lock; the
// unit's runner alone changes them. A domain that has gone is kept until every burst that may still
// look into it has ended (graveyard.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "pagetables/interval_map.h"
#include "vendors/virtio_iommu/options.h"

namespace weir::virtio_iommu {

struct Endpoint;

struct Domain {
  Domain(std::uint32_t number, bool is_bypass, const pagetables::IntervalMapOptions& options,
         pagetables::NodeRetirer& retirer)
      : id(number), bypass(is_bypass), mappings(options, retirer) {}

  // Constant after construction.
  const std::uint32_t id;
  const bool bypass;  // VIRTIO_IOMMU_ATTACH_F_BYPASS: its endpoints reach memory as it is

  pagetables::IntervalMap mappings;

  // The runner's.
  std::vector<Endpoint*> endpoints;  // attached
};

struct Endpoint {
  explicit Endpoint(EndpointOptions from) : options(std::move(from)) {}

  [[nodiscard]] bool reserves(AddressRange<Iova> range) const {
    for (const ReservedRegion& region : options.reserved)
      if (region.range.overlaps(range)) return true;
    return false;
  }

  // Constant after construction.
  const EndpointOptions options;

  // Null: attached to nothing. Written by the runner alone.
  std::atomic<Domain*> domain{nullptr};
};

// All endpoints of a unit, found by number and by requester. The set is constant after
// construction; any thread.
class Endpoints {
 public:
  explicit Endpoints(const std::vector<EndpointOptions>& options);

  // Null: there is none.
  [[nodiscard]] Endpoint* by_id(std::uint32_t id) const;
  [[nodiscard]] Endpoint* by_requester(Requester requester) const;
  [[nodiscard]] std::span<Endpoint* const> all() const { return by_id_; }

 private:
  std::vector<std::unique_ptr<Endpoint>> owned_;
  std::vector<Endpoint*> by_id_;         // sorted
  std::vector<Endpoint*> by_requester_;  // sorted
};

}  // namespace weir::virtio_iommu
