// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/protected_memory.h"

#include "vendors/vtd/context_bits.h"

namespace weir::vtd {

void ProtectedMemory::watch(iotlb::Context& context) {
  context.kind = iotlb::ContextKind::kStage2;
  context.domain = kIdentityDomain;
  context.pasid = iotlb::Context::kNoPasid;
  context.vendor_bits |= static_cast<std::uint32_t>(context_bits::kIdentity.kMask);
}

Fault protected_fault(const Request& request) {
  Fault fault;
  fault.request = request;
  fault.reason = FaultReason::kRequestTypeBlocked;
  return fault;
}

}  // namespace weir::vtd
