// SPDX-License-Identifier: Apache-2.0
#include "iotlb/device_tlb.h"

namespace weir::iotlb {

std::uint64_t DeviceTlb::invalidate(std::optional<Pasid> pasid, bool all_pasids,
                                    AddressRange<Iova> range) {
  Invalidation what{.scope = Scope::kRange, .range = range};
  if (!all_pasids) what.pasid = pasid.value_or(Pasid{Context::kNoPasid});
  std::uint64_t removed = 0;
  for (const DomainId domain : {kUser, kPrivileged}) {
    what.domain = domain;
    removed += answers_.invalidate(what).entries;
  }
  return removed;
}

}  // namespace weir::iotlb
