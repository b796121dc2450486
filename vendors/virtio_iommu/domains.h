// SPDX-License-Identifier: Apache-2.0
//
// Carries requests out on the guest's domains: everything that a request can be refused for is
// judged before anything is changed, so that a request that is refused has changed nothing (virtio
// 1.4, 5.13.6.3 to 5.13.6.7). What has to be dropped from the caches is collected; the change is in
// the structures when a call returns, and takes hold once what was collected has been invalidated
// and has drained (L1).
//
// The unit's runner only. Bounded by the domains' and the mappings' limits; never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "iotlb/invalidation.h"
#include "vendors/virtio_iommu/domain.h"
#include "vendors/virtio_iommu/graveyard.h"
#include "vendors/virtio_iommu/layout.h"
#include "vendors/virtio_iommu/options.h"
#include "vendors/virtio_iommu/requests.h"

namespace weir::virtio_iommu {

// What a batch has changed, as the core is told of it.
struct Drops {
  std::vector<iotlb::Invalidation> what{};
  bool awaited = false;  // something was taken away: complete when that has drained
};

class Domains {
 public:
  Domains(const Options& options, Endpoints& endpoints, Graveyard& graveyard);
  ~Domains();

  // From now on mappings are announced like removals, and so is whatever caches keep of absence.
  void announce_mappings() { announces_ = true; }
  // Which flags a request may carry (5.13.6): those of features that the driver has accepted.
  void set_features(std::uint64_t accepted) { features_ = accepted; }

  [[nodiscard]] Status carry_out(const Attach& request);
  [[nodiscard]] Status carry_out(const Detach& request);
  [[nodiscard]] Status carry_out(const Map& request);
  [[nodiscard]] Status carry_out(const Unmap& request);
  // Device reset: nothing is attached to anything.
  void detach_all();
  // What unattached endpoints may do changes: nothing of theirs stays.
  void drop_unattached();

  // What must be invalidated before any of the changes so far is complete, adjoining ranges joined.
  // Empty afterwards.
  [[nodiscard]] Drops take_drops();

  [[nodiscard]] std::size_t mappings() const { return mappings_; }
  [[nodiscard]] std::size_t count() const { return domains_.size(); }

 private:
  [[nodiscard]] Domain* find(std::uint32_t id);
  [[nodiscard]] bool has(std::uint64_t feature_mask) const {
    return (features_ & feature_mask) != 0;
  }
  void leave(Endpoint& endpoint);
  void drop_endpoint(const Endpoint& endpoint);
  [[nodiscard]] static bool reserved_by_some(const Domain& domain, AddressRange<Iova> range);

  // Constant after construction.
  const Options& options_;
  Endpoints& endpoints_;
  Graveyard& graveyard_;
  const std::uint64_t granule_mask_;

  std::uint64_t features_ = 0;
  bool announces_ = false;
  std::map<std::uint32_t, std::unique_ptr<Domain>> domains_;  // ids are hostile: no hashing
  std::size_t attached_ = 0;                                  // endpoints
  std::size_t mappings_ = 0;                                  // of all domains
  std::vector<iotlb::Invalidation> drops_;
  std::vector<iotlb::Invalidation> announced_;
};

}  // namespace weir::virtio_iommu
