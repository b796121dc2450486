// SPDX-License-Identifier: Apache-2.0
//
// What a unit does that has nothing of its own to say.
#include "iommu/unit.h"

namespace weir {
namespace {

[[nodiscard]] FaultReason reason_of(Denial denial) {
  switch (denial) {
    case Denial::kRead:
      return FaultReason::kNoReadPermission;
    case Denial::kWrite:
      return FaultReason::kNoWritePermission;
    case Denial::kExecute:
      return FaultReason::kNoExecutePermission;
    case Denial::kUser:
      return FaultReason::kNotUser;
  }
  return FaultReason::kRequestTypeBlocked;
}

}  // namespace

Fault Unit::deny(const iotlb::Context&, const Request& request, Denial denial) {
  return {.request = request, .reason = reason_of(denial)};
}

Result<RemappedInterrupt, Fault> Unit::remap_interrupt(const Request&, Msi msi,
                                                       const pagetables::PhysicalMemory&) {
  return RemappedInterrupt::as_it_is(msi);
}

Result<std::optional<Msi>, Fault> Unit::post_interrupt(const Request&, const RemappedInterrupt&,
                                                       const pagetables::PhysicalMemory&) {
  return std::optional<Msi>{};
}

}  // namespace weir
