// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/translate.h"

#include "iommu/cached_walk.h"
#include "pagetables/nested.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "vendors/vtd/context.h"
#include "vendors/vtd/context_bits.h"
#include "vendors/vtd/interrupt_range.h"
#include "vendors/vtd/reading.h"
#include "vendors/vtd/table_reader.h"
#include "vendors/vtd/walk_faults.h"

namespace weir::vtd {
namespace {

using iotlb::ContextKind;
using pagetables::Leaf;
using pagetables::VtdSecondStage;
using pagetables::WalkFailure;
using pagetables::WalkResult;
using pagetables::X86FirstStage;

namespace bits = context_bits;

// One walk of one request: what the stages share.
struct Walk {
  const iotlb::Context& context;
  const Request& piece;
  const WalkScope& scope;
  const Capabilities& capabilities;
  SnoopingReader reader;

  Walk(const iotlb::Context& who, const Request& request, const WalkScope& walk_scope,
       const Capabilities& unit)
      : context(who),
        piece(request),
        scope(walk_scope),
        capabilities(unit),
        reader(walk_scope.memory, walk_scope.trace,
               bits::kNoSnoop.is_set(who.vendor_bits) ? SnoopingReader::Updates::kRefuse
                                                      : SnoopingReader::Updates::kMake) {}

  [[nodiscard]] Failure<Fault> failed(const WalkFailure& why, Code code) const {
    Fault fault = make_fault(piece, code, why.reason, context.silence_faults);
    fault.stage = why.stage;
    if (fault.stage == Stage::kNone)
      fault.stage = context.stage1_levels != 0 ? Stage::kStage1 : Stage::kStage2;
    fault.level = why.level;
    fault.entry_at = why.entry_at;
    fault.references = why.references;
    return Failure{fault};
  }

  [[nodiscard]] const VtdSecondStage::Rules& second_stage_rules() const {
    if (!bits::kScalable.is_set(context.vendor_bits)) return capabilities.rules;
    return capabilities.scalable_rules[bits::kSecondStageDirty.get(context.vendor_bits)];
  }
  [[nodiscard]] const X86FirstStage::Rules& first_stage_rules() const {
    return capabilities.first_stage_rules[bits::kExtendedAccessed.get(context.vendor_bits)];
  }
  [[nodiscard]] WalkResult<Gpa> second_stage() {
    const iotlb::Tag tag{.domain = context.domain, .pasid = context.pasid};
    CachedTables<VtdSecondStage, Gpa> tables(scope.caches.stage2_tables, tag,
                                             scope.tickets.stage2_tables);
    return pagetables::walk<VtdSecondStage>(second_stage_rules(), reader, Gpa(context.stage2_root),
                                            context.stage2_levels, piece.iova.value(),
                                            Ask{.access = piece.access}, tables);
  }
  [[nodiscard]] WalkResult<Gpa> first_stage() {
    const iotlb::Tag tag{.domain = context.domain, .pasid = context.pasid};
    CachedTables<X86FirstStage, Gpa> tables(scope.caches.stage1_tables, tag,
                                            scope.tickets.stage1_tables);
    return pagetables::walk<X86FirstStage>(first_stage_rules(), reader, Gpa(context.stage1_root),
                                           context.stage1_levels, piece.iova.value(),
                                           iotlb::ask_of(context, piece), tables);
  }
  [[nodiscard]] WalkResult<Gpa> nested();
  [[nodiscard, gnu::noinline]] WalkResult<Gpa> nested_from_the_top();

 private:
  struct Below;
  using Upper = CachedTables<X86FirstStage, Ipa>;
  [[nodiscard]] Below below();
  [[nodiscard]] Upper upper() {
    return {scope.caches, {.domain = context.domain, .pasid = context.pasid}, scope.tickets};
  }
};

[[nodiscard]] bool beyond(std::uint64_t address, unsigned bits) {
  return bits < 64 && (address & ~bit_mask(bits - 1, 0)) != 0;
}

// Every address that the first stage gives, of a table or of the page, goes through the second.
struct Walk::Below {
  CachedStage2<VtdSecondStage, SnoopingReader> tables;
  unsigned reach;

  [[nodiscard]] WalkResult<Gpa> operator()(std::uint64_t address, const Ask& ask) {
    if (beyond(address, reach))
      return Failure{
          WalkFailure{.reason = FaultReason::kBeyondInputWidth, .stage = Stage::kStage2}};
    return tables(address, ask);
  }
  [[nodiscard]] bool at_once(std::uint64_t address, const Ask& ask, Leaf<Gpa>& leaf) {
    return !beyond(address, reach) && tables.at_once(address, ask, leaf);
  }
  [[nodiscard]] bool known(std::uint64_t address, const Ask& ask, Leaf<Gpa>& leaf) const {
    return !beyond(address, reach) && tables.known(address, ask, leaf);
  }
  [[nodiscard]] bool refuses(std::uint64_t address) const {
    return beyond(address, reach) || tables.refuses(address);
  }
  [[nodiscard, gnu::always_inline]] auto plain_tables(const Ask& ask) const {
    return tables.plain_tables(ask);
  }
};

Walk::Below Walk::below() {
  return {{second_stage_rules(), reader, Gpa(context.stage2_root), context.stage2_levels,
           scope.caches, context.domain, scope.tickets},
          capabilities.input_bits(context.stage2_levels)};
}

WalkResult<Gpa> Walk::nested() {
  WalkResult<Gpa> leaf(std::in_place);
  Upper tables = upper();
  if (!pagetables::nested_walk_at_once<X86FirstStage, Ipa>(
          first_stage_rules(), below(), reader, piece.iova.value(), iotlb::ask_of(context, piece),
          tables, *leaf)) [[unlikely]]
    leaf = nested_from_the_top();
  return leaf;
}

WalkResult<Gpa> Walk::nested_from_the_top() {
  Below lower = below();
  WalkResult<Gpa> whole(std::in_place);
  const Ask ask = iotlb::ask_of(context, piece);
  const Ipa root(context.stage1_root);
  if (scope.caches.off() &&
      pagetables::nested_walk_plain<X86FirstStage>(first_stage_rules(), root, context.stage1_levels,
                                                   lower, piece.iova.value(), ask, *whole))
    return whole;
  const auto leaf =
      pagetables::nested_walk<X86FirstStage>(first_stage_rules(), root, context.stage1_levels,
                                             lower, reader, piece.iova.value(), ask, upper());
  if (!leaf) return Failure{leaf.error()};
  return leaf->whole(piece.iova.value());
}

[[nodiscard]] WalkResult<Gpa> walk_stages(Walk& walk) {
  switch (walk.context.kind) {
    case ContextKind::kStage1:
      return walk.first_stage();
    case ContextKind::kNested:
      return walk.nested();
    case ContextKind::kStage2:
    case ContextKind::kBlocked:
    case ContextKind::kPassThrough:
      break;
  }
  return walk.second_stage();
}

}  // namespace

Result<Leaf<Gpa>, Fault> walk_context(const iotlb::Context& context, const Request& piece,
                                      const WalkScope& scope, const Capabilities& capabilities) {
  if (context.kind == ContextKind::kBlocked) return Failure{blocked_fault(context, piece)};
  Walk walk(context, piece, scope, capabilities);
  // Before any entry is read. A pass-through context has no table behind it.
  if (beyond(piece.iova.value(), context.input_bits) ||
      (context.stage1_levels == 0 && context.stage2_levels == 0))
    return walk.failed({.reason = FaultReason::kBeyondInputWidth}, reach_code(context));

  auto leaf = walk_stages(walk);
  if (!leaf) return walk.failed(leaf.error(), walk_code(context, leaf.error(), piece.access));

  const Gpa output = leaf->translate(piece.iova.value());
  const AddressRange<Gpa> page{leaf->page, leaf->page + bit_mask(leaf->page_lg2 - 1U, 0)};
  if (page.overlaps(kInterruptRange)) {
    // LGN.4 and SGN.8 speak of the resulting address: the rest of the page is ordinary memory
    // (3.15).
    if (kInterruptRange.contains(output)) {
      const WalkFailure why{.reason = FaultReason::kOutputInInterruptRange,
                            .level = leaf->level,
                            .references = leaf->references};
      return walk.failed(why, output_code(context));
    }
    leaf->page = output.page_base(kPageLg2);
    leaf->page_lg2 = kPageLg2;
  }
  return *leaf;
}

}  // namespace weir::vtd
