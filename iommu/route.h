// SPDX-License-Identifier: Apache-2.0
//
// Where the requests of one function go. Fixed: a change is another Route, which replaces the whole
// (Port::replace_route). A burst takes the route when it begins and keeps to it, and the completion
// of the change waits for bursts that began before (L1). With the route goes the copy of the
// context that was found on it, so that nothing of an old route is used on a new one.
//
// Private to this room. Any thread, inside a burst.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "iommu/dma_port.h"
#include "iommu/window.h"
#include "iotlb/published.h"

namespace weir::core {

class UnitCore;

// The route's own copy of the context it used last, good while `context_changes` is the cache's
// number.
using PortContext = DmaPort::Burst::Known;

struct Route {
  enum class Kind : std::uint8_t {
    kBypass,
    kWindow,
    kUnit,
    kNone,  // the tables have no place for the function, or its window has none: nothing passes
  };

  // Constant after construction.
  Requester requester;
  Kind kind = Kind::kBypass;
  UnitCore* unit = nullptr;  // kUnit
  Window window{};           // kWindow

  mutable iotlb::Published<PortContext> context{};
};

// Whether requests on one end as they would on the other.
[[nodiscard]] inline bool same_way(const Route& a, const Route& b) {
  return a.requester == b.requester && a.kind == b.kind && a.unit == b.unit && a.window == b.window;
}

}  // namespace weir::core
