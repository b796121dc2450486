// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/translate.h"

#include "iommu/cached_walk.h"
#include "pagetables/readers.h"
#include "pagetables/vtd_second_stage.h"
#include "vendors/vtd/context.h"

namespace weir::vtd {
namespace {

using pagetables::Leaf;
using pagetables::VtdSecondStage;
using pagetables::WalkFailure;

inline constexpr AddressRange<Gpa> kInterruptRange{Gpa(0xfee00000), Gpa(0xfeefffff)};

// The walk's reasons in the manual's numbers; a format cannot give the others.
[[nodiscard]] Code code_of(FaultReason reason, Access access) {
  if (reason == FaultReason::kRootTableUnreadable) return Code::kContextInvalid;  // LCT.4.3
  if (reason == FaultReason::kTableUnreadable) return Code::kTableAccess;
  if (reason == FaultReason::kReservedBits) return Code::kTableReserved;
  if (reason == FaultReason::kBeyondInputWidth) return Code::kBeyondWidth;
  if (reason == FaultReason::kNoWritePermission) return Code::kNoWrite;
  if (reason == FaultReason::kNoReadPermission) return Code::kNoRead;
  return writes(access) ? Code::kNoWrite : Code::kNoRead;
}

[[nodiscard]] Failure<Fault> failed(const iotlb::Context& context, const Request& piece,
                                    const WalkFailure& why, Code code) {
  Fault fault = make_fault(piece, code, why.reason, context.silence_faults);
  fault.stage = why.stage == Stage::kNone ? Stage::kStage2 : why.stage;
  fault.level = why.level;
  fault.entry_at = why.entry_at;
  fault.references = why.references;
  return Failure{fault};
}

[[nodiscard]] bool beyond_reach(const iotlb::Context& context, Iova iova) {
  return context.input_bits < 64 && iova.page_base(context.input_bits) != Iova(0);
}

}  // namespace

Result<Leaf<Gpa>, Fault> walk_second_stage(const iotlb::Context& context, const Request& piece,
                                           const WalkScope& scope,
                                           const Capabilities& capabilities) {
  // LGN.1, before any entry is read. A pass-through context has no table behind it.
  if (beyond_reach(context, piece.iova) || context.stage2_levels == 0)
    return failed(context, piece, {.reason = FaultReason::kBeyondInputWidth}, Code::kBeyondWidth);

  const std::uint64_t input = piece.iova.value();
  pagetables::DirectReader reader(scope.memory, scope.trace);
  const iotlb::Tag tag{.domain = context.domain, .pasid = context.pasid};
  CachedTables<VtdSecondStage, Gpa> tables(scope.caches.stage2_tables, tag,
                                           scope.tickets.stage2_tables);
  auto leaf = pagetables::walk<VtdSecondStage>(capabilities.rules, reader, Gpa(context.stage2_root),
                                               context.stage2_levels, input,
                                               Ask{.access = piece.access}, tables);
  if (!leaf)
    return failed(context, piece, leaf.error(), code_of(leaf.error().reason, piece.access));

  const Gpa output = leaf->translate(input);
  const AddressRange<Gpa> page{leaf->page, leaf->page + bit_mask(leaf->page_lg2 - 1U, 0)};
  if (page.overlaps(kInterruptRange)) {
    // LGN.4 speaks of the resulting address: the rest of the page is ordinary memory (3.15).
    if (kInterruptRange.contains(output)) {
      const WalkFailure why{.reason = FaultReason::kOutputInInterruptRange,
                            .level = leaf->level,
                            .references = leaf->references};
      return failed(context, piece, why, Code::kOutputInInterruptRange);
    }
    leaf->page = output.page_base(kPageLg2);
    leaf->page_lg2 = kPageLg2;
  }
  return *leaf;
}

}  // namespace weir::vtd
