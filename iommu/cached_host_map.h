// SPDX-License-Identifier: Apache-2.0
//
// The host-map cache: remembers what a host map with table references (flat, radix) answered, page
// by page. No guest flush touches it (L7); forget() does, when the embedder says that the map
// changed.
//
// All members: any thread.
#pragma once

#include <cstddef>
#include <memory>

#include "iotlb/iotlb.h"
#include "pagetables/host_map.h"

namespace weir {

class CachedHostMap final : public pagetables::HostMap {
 public:
  CachedHostMap(std::shared_ptr<const pagetables::HostMap> map, std::size_t entries);

  [[nodiscard]] Result<pagetables::HostMapping, pagetables::WalkFailure> lookup(
      Gpa at) const override;
  void forget(AddressRange<Gpa> range) const override;
  [[nodiscard]] bool is_radix() const override { return map_->is_radix(); }

 private:
  const std::shared_ptr<const pagetables::HostMap> map_;
  mutable iotlb::Iotlb cache_;
};

}  // namespace weir
