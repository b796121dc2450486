// SPDX-License-Identifier: Apache-2.0
//
// For those who keep a function's whole address space elsewhere (a VFIO container, a vhost back
// end): every mapping when they begin to listen, and from then on exactly what changes. That needs
// guests that announce mappings as well as removals (VT-d caching mode, AMD NpCache, virtio):
// elsewhere a listener is refused.
//
// Called from whichever thread made the change, one call at a time, before the change completes. A
// listener may look (DmaPort::peek, Iommu::stats) but make no change from inside.
#pragma once

#include "base/access.h"
#include "base/address.h"

namespace weir {

// As the tables have it: a page, whatever its size; or all that is identity.
struct Mapping {
  AddressRange<Iova> range{};
  Gpa gpa{};  // of the first byte
  Permissions permissions{};

  friend bool operator==(const Mapping&, const Mapping&) = default;
};

class MapListener {
 public:
  virtual ~MapListener() = default;
  virtual void on_map(const Mapping& mapping) = 0;
  // One that was announced, whole. When it returns, nothing may use it any more (L1).
  virtual void on_unmap(const Mapping& mapping) = 0;
  // The guest has built more than can be followed, or changed to tables whose mappings it does not
  // announce. Everything has been unmapped and nothing more will come; listen again, or give up.
  virtual void on_lost() = 0;
};

// Listens until destroyed. REQUIRES: the port outlives it.
class Listening {
 public:
  virtual ~Listening() = default;
};

}  // namespace weir
