// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/walk_faults.h"

#include "vendors/vtd/context_bits.h"

namespace weir::vtd {
namespace {

using pagetables::WalkFailure;

[[nodiscard]] bool is_scalable(const iotlb::Context& context) {
  return context_bits::kScalable.is_set(context.vendor_bits);
}

// The reasons that a format cannot give end at the last line: what is not allowed.
[[nodiscard]] Code legacy_code(const WalkFailure& why, Access access) {
  if (why.reason == FaultReason::kRootTableUnreadable) return Code::kContextInvalid;  // LCT.4.3
  if (why.reason == FaultReason::kTableUnreadable) return Code::kTableAccess;
  if (why.reason == FaultReason::kReservedBits) return Code::kTableReserved;
  if (why.reason == FaultReason::kBeyondInputWidth) return Code::kBeyondWidth;
  if (why.reason == FaultReason::kNoWritePermission) return Code::kNoWrite;
  if (why.reason == FaultReason::kNoReadPermission) return Code::kNoRead;
  return writes(access) ? Code::kNoWrite : Code::kNoRead;
}

// A second stage under a PASID entry, alone or below the answer of a first stage.
[[nodiscard]] Code second_stage_code(const iotlb::Context& context, const WalkFailure& why,
                                     Access access) {
  if (why.reason == FaultReason::kRootTableUnreadable) return Code::kSecondTableAccess;
  if (why.reason == FaultReason::kTableUnreadable) return Code::kSecondAccess;
  if (why.reason == FaultReason::kReservedBits) return Code::kSecondReserved;
  if (why.reason == FaultReason::kBeyondInputWidth) return Code::kBeyondSecondStage;
  if (why.reason == FaultReason::kUpdateFailed)
    return context_bits::kNoSnoop.is_set(context.vendor_bits) ? Code::kSecondUpdateNoSnoop
                                                              : Code::kSecondUpdateFailed;
  if (why.reason == FaultReason::kNoWritePermission) return Code::kScalableNoWrite;
  if (why.reason == FaultReason::kNoReadPermission) return Code::kScalableNoRead;
  return writes(access) ? Code::kScalableNoWrite : Code::kScalableNoRead;
}

[[nodiscard]] Code first_stage_code(const iotlb::Context& context, const WalkFailure& why,
                                    Access access) {
  if (why.reason == FaultReason::kRootTableUnreadable) return Code::kFirstTableAccess;
  if (why.reason == FaultReason::kTableUnreadable) return Code::kFirstAccess;
  if (why.reason == FaultReason::kReservedBits) return Code::kFirstReserved;
  if (why.reason == FaultReason::kNotPresent) return Code::kFirstNotPresent;
  if (why.reason == FaultReason::kNonCanonical) return Code::kNonCanonical;
  if (why.reason == FaultReason::kNotUser) return Code::kNotUser;
  if (why.reason == FaultReason::kNoExecutePermission) return Code::kNoExecute;
  if (why.reason == FaultReason::kUpdateFailed)
    return context_bits::kNoSnoop.is_set(context.vendor_bits) ? Code::kFirstUpdateNoSnoop
                                                              : Code::kUpdateFailed;
  if (why.reason == FaultReason::kNoWritePermission) return Code::kScalableNoWrite;
  if (why.reason == FaultReason::kNoReadPermission) return Code::kScalableNoRead;
  return writes(access) ? Code::kScalableNoWrite : Code::kScalableNoRead;
}

// The second stage refused an address of a first-stage table: three reasons have codes of their
// own.
[[nodiscard]] Code table_code(const iotlb::Context& context, const WalkFailure& why) {
  if (why.reason == FaultReason::kBeyondInputWidth) return Code::kFirstBeyondSecond;
  if (why.reason == FaultReason::kNoWritePermission) return Code::kFirstNoWrite;
  if (why.reason == FaultReason::kNoReadPermission)
    return why.upper_level == context.stage1_levels ? Code::kFirstTableNoRead : Code::kFirstNoRead;
  return second_stage_code(context, why, Access::kRead);
}

}  // namespace

Code walk_code(const iotlb::Context& context, const WalkFailure& why, Access access) {
  if (!is_scalable(context)) return legacy_code(why, access);
  if (context.kind == iotlb::ContextKind::kStage1) return first_stage_code(context, why, access);
  if (context.kind == iotlb::ContextKind::kNested) {
    if (why.stage != Stage::kStage2) return first_stage_code(context, why, access);
    if (why.upper_level != 0) return table_code(context, why);
  }
  return second_stage_code(context, why, access);
}

Code reach_code(const iotlb::Context& context) {
  if (!is_scalable(context)) return Code::kBeyondWidth;
  return context.stage2_levels != 0 ? Code::kBeyondSecondStage : Code::kBeyondHardware;
}

Code output_code(const iotlb::Context& context) {
  return is_scalable(context) ? Code::kScalableInterruptRange : Code::kOutputInInterruptRange;
}

}  // namespace weir::vtd
