// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/domain.h"

#include <algorithm>

namespace weir::virtio_iommu {
namespace {

[[nodiscard]] std::uint32_t id_of(const Endpoint* endpoint) { return endpoint->options.id; }
[[nodiscard]] Requester requester_of(const Endpoint* endpoint) {
  return endpoint->options.requester;
}

template <typename Key, typename KeyOf>
[[nodiscard]] Endpoint* find(const std::vector<Endpoint*>& sorted, Key key, KeyOf key_of) {
  const auto at = std::ranges::lower_bound(sorted, key, {}, key_of);
  return at != sorted.end() && key_of(*at) == key ? *at : nullptr;
}

}  // namespace

Endpoints::Endpoints(const std::vector<EndpointOptions>& options) {
  for (const EndpointOptions& one : options) {
    owned_.push_back(std::make_unique<Endpoint>(one));
    by_id_.push_back(owned_.back().get());
  }
  by_requester_ = by_id_;
  std::ranges::sort(by_id_, {}, id_of);
  std::ranges::sort(by_requester_, {}, requester_of);
}

Endpoint* Endpoints::by_id(std::uint32_t id) const { return find(by_id_, id, id_of); }

Endpoint* Endpoints::by_requester(Requester requester) const {
  return find(by_requester_, requester, requester_of);
}

}  // namespace weir::virtio_iommu
