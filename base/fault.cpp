// SPDX-License-Identifier: Apache-2.0
#include "base/fault.h"

namespace weir {

std::string_view to_string(FaultReason reason) {
  switch (reason) {
    case FaultReason::kRootUnreadable:
      return "root entry unreadable";
    case FaultReason::kRootNotPresent:
      return "root entry not present";
    case FaultReason::kRootReserved:
      return "root entry has reserved bits set";
    case FaultReason::kContextUnreadable:
      return "context entry unreadable";
    case FaultReason::kContextNotPresent:
      return "context entry not present";
    case FaultReason::kContextReserved:
      return "context entry has reserved bits set";
    case FaultReason::kContextInvalid:
      return "context entry invalid";
    case FaultReason::kRequestTypeBlocked:
      return "request type blocked by the context";
    case FaultReason::kPasidUnsupported:
      return "request with PASID not supported";
    case FaultReason::kPasidUnreadable:
      return "PASID entry unreadable";
    case FaultReason::kPasidNotPresent:
      return "PASID entry not present";
    case FaultReason::kPasidReserved:
      return "PASID entry has reserved bits set";
    case FaultReason::kPasidInvalid:
      return "PASID entry invalid";
    case FaultReason::kPrivilegeBlocked:
      return "requests with privilege blocked";
    case FaultReason::kExecuteBlocked:
      return "requests to execute blocked";
    case FaultReason::kBeyondInputWidth:
      return "address beyond the input width";
    case FaultReason::kNonCanonical:
      return "address not canonical";
    case FaultReason::kNotPresent:
      return "page not present";
    case FaultReason::kNoReadPermission:
      return "no read permission";
    case FaultReason::kNoWritePermission:
      return "no write permission";
    case FaultReason::kNoExecutePermission:
      return "no execute permission";
    case FaultReason::kNotUser:
      return "page is not for requests without privilege";
    case FaultReason::kTableUnreadable:
      return "page-table entry unreadable";
    case FaultReason::kRootTableUnreadable:
      return "first page table unreadable";
    case FaultReason::kReservedBits:
      return "page-table entry has reserved bits set";
    case FaultReason::kLevelEncoding:
      return "page-table entry names an impossible level or size";
    case FaultReason::kSkippedBits:
      return "address bits of skipped levels are set";
    case FaultReason::kUpdateFailed:
      return "accessed or dirty bit could not be set";
    case FaultReason::kOutputInInterruptRange:
      return "output address in the interrupt range";
    case FaultReason::kInterruptMalformed:
      return "malformed interrupt request";
    case FaultReason::kInterruptBlocked:
      return "interrupt request blocked";
    case FaultReason::kInterruptIndex:
      return "interrupt index beyond the table";
    case FaultReason::kInterruptUnreadable:
      return "interrupt entry unreadable";
    case FaultReason::kInterruptNotPresent:
      return "interrupt entry not present";
    case FaultReason::kInterruptReserved:
      return "interrupt entry has reserved bits set";
    case FaultReason::kInterruptSource:
      return "interrupt entry belongs to another requester";
    case FaultReason::kHostMapAbsent:
      return "no memory behind the address";
    case FaultReason::kHostMapPermission:
      return "memory behind the address does not allow the access";
    case FaultReason::kPrivatePage:
      return "page is private to the guest";
    case FaultReason::kOutsideWindow:
      return "outside the function's window";
    case FaultReason::kNotPinnable:
      return "target cannot be pinned";
    case FaultReason::kBusMasterOff:
      return "bus mastering is off";
    case FaultReason::kDetached:
      return "function is detached";
    case FaultReason::kMisaligned:
      return "atomic operation not aligned";
    case FaultReason::kAddressWraps:
      return "transfer wraps around the address space";
  }
  return "unknown";
}

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kNone:
      return "none";
    case Stage::kStage1:
      return "stage 1";
    case Stage::kStage2:
      return "stage 2";
    case Stage::kHostMap:
      return "host map";
  }
  return "unknown";
}

}  // namespace weir
