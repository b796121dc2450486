// SPDX-License-Identifier: Apache-2.0
#include "iotlb/invalidation.h"

namespace weir::iotlb {

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::kAll:
      return "all";
    case Scope::kDomain:
      return "domain";
    case Scope::kPasid:
      return "pasid";
    case Scope::kRange:
      return "range";
    case Scope::kStage2Range:
      return "stage-2 range";
    case Scope::kContextAll:
      return "context all";
    case Scope::kContextDomain:
      return "context domain";
    case Scope::kContextPasid:
      return "context pasid";
    case Scope::kContextDevice:
      return "context device";
    case Scope::kInterruptAll:
      return "interrupt all";
    case Scope::kInterruptRange:
      return "interrupt range";
    case Scope::kInterruptDevice:
      return "interrupt device";
    case Scope::kDeviceTlb:
      return "device TLB";
    case Scope::kHostRange:
      return "host range";
    case Scope::kRequester:
      return "requester";
  }
  return "unknown";
}

}  // namespace weir::iotlb
