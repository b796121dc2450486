// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/translate.h"

#include "iommu/cached_walk.h"
#include "pagetables/nested.h"
#include "pagetables/readers.h"

namespace weir::amdvi {
namespace {

using iotlb::Context;
using iotlb::ContextKind;
using pagetables::AmdV1;
using pagetables::DirectReader;
using pagetables::Leaf;
using pagetables::WalkFailure;
using pagetables::X86FirstStage;
using LeafResult = Result<Leaf<Gpa>, Fault>;

// PR, PE and RZ of a page fault (2.5.3). An address beyond the reach of the tables, and one with
// bits that skipped levels leave no room for, is present with neither.
[[nodiscard]] std::uint64_t flags_of(FaultReason reason) {
  if (reason == FaultReason::kNotPresent) return 0;
  if (reason == FaultReason::kReservedBits) return event::kPresent.kMask | event::kReserved.kMask;
  if (reason == FaultReason::kNoReadPermission || reason == FaultReason::kNoWritePermission ||
      reason == FaultReason::kNoExecutePermission || reason == FaultReason::kNotUser)
    return event::kPresent.kMask | event::kPermission.kMask;
  return event::kPresent.kMask;
}

[[nodiscard]] bool is_hardware_error(FaultReason reason) {
  return reason == FaultReason::kTableUnreadable || reason == FaultReason::kRootTableUnreadable ||
         reason == FaultReason::kUpdateFailed;
}

[[nodiscard]] Fault with_place(Fault fault, const WalkFailure& why, Stage stage) {
  fault.stage = why.stage == Stage::kNone ? stage : why.stage;
  fault.level = why.level;
  fault.entry_at = why.entry_at;
  fault.references = why.references;
  return fault;
}

[[nodiscard]] Fault guest_stage_fault(const Request& request, const Context& context,
                                      const WalkFailure& why) {
  const Fault fault = is_hardware_error(why.reason)
                          ? table_error(request, context, Gpa(why.entry_at), why.reason)
                          : make_page_fault(request, context, why.reason, flags_of(why.reason));
  return with_place(fault, why, Stage::kStage1);
}

[[nodiscard]] Leaf<Gpa> identity_page(Iova iova, Permissions permissions) {
  return {.page = Gpa(iova.page_base(kPageLg2).value()),
          .page_lg2 = kPageLg2,
          .permissions = permissions};
}

// A leaf that reaches into the exclusion range is answered with only the 4 KiB page asked for.
void keep_out_of_exclusion(Leaf<Gpa>& leaf, Iova iova, const Settings& settings) {
  const Iova page = iova.page_base(leaf.page_lg2);
  const AddressRange<Iova> covered{page, page + bit_mask(leaf.page_lg2 - 1U, 0)};
  const AddressRange<Iova> excluded{
      Iova(reg::exclusion::kAddress.in_place(settings.exclusion_base)),
      Iova(reg::exclusion::kAddress.in_place(settings.exclusion_limit) |
           reg::exclusion::kOnes.kMask)};
  if (!covered.overlaps(excluded)) return;
  leaf.page = leaf.translate(iova.value()).page_base(kPageLg2);
  leaf.page_lg2 = kPageLg2;
}

[[nodiscard]] LeafResult walk_host(const Context& context, const Request& piece,
                                   const WalkScope& scope, const Capabilities& capabilities) {
  DirectReader reader(scope.memory, scope.trace);
  // All views of a domain share its tables.
  CachedTables<AmdV1, Gpa> tables(scope.caches.stage2_tables, {.domain = context.domain},
                                  scope.tickets.stage2_tables);
  auto leaf = pagetables::walk<AmdV1>(capabilities.rules_for(updates_of(context)), reader,
                                      Gpa(context.stage2_root), context.stage2_levels,
                                      piece.iova.value(), Ask{.access = piece.access}, tables);
  if (!leaf) return Failure{host_stage_fault(piece, context, leaf.error(), std::nullopt)};
  return *leaf;
}

// The domain as a device sees it to which the exclusion range applies.
[[nodiscard]] LeafResult walk_excluded_view(const Context& context, const Request& piece,
                                            const WalkScope& scope,
                                            const Capabilities& capabilities,
                                            const Settings& settings) {
  if (settings.excludes(piece.iova)) return identity_page(piece.iova, Permissions::read_write());
  const auto rights = Permissions::of(vendor_bits::kViewRead.is_set(context.vendor_bits),
                                      vendor_bits::kViewWrite.is_set(context.vendor_bits));
  if (!rights.allows(piece.access))
    return Failure{denied(context, piece, pagetables::missing_permission(rights, piece.access))};
  if (context.stage2_levels == 0) return identity_page(piece.iova, rights);
  auto leaf = walk_host(context, piece, scope, capabilities);
  if (!leaf) return leaf;
  leaf->permissions = leaf->permissions & rights;
  keep_out_of_exclusion(*leaf, piece.iova, settings);
  return leaf;
}

// Guest tables take canonical addresses. Under GIoV, PASID 0 has all addresses of their width from
// 0 up instead (the walk is the same: only the index bits are looked at).
[[nodiscard]] Result<std::uint64_t, WalkFailure> guest_input(const Context& context, Iova iova) {
  if (!vendor_bits::kWholeRange.is_set(context.vendor_bits)) return iova.value();
  const unsigned bits = pagetables::input_bits<X86FirstStage>(context.stage1_levels);
  const std::uint64_t beyond = bit_mask(63, bits);
  if ((iova.value() & beyond) != 0)
    return Failure{WalkFailure{.reason = FaultReason::kBeyondInputWidth}};
  const bool upper_half = iova.page_offset(bits - 1) != iova.value();
  return upper_half ? iova.value() | beyond : iova.value();
}

// The host stage under the guest's; keeps the address that it refused.
struct HostBelow {
  CachedStage2<AmdV1, DirectReader>& host;
  Ipa refused;

  [[nodiscard]] pagetables::WalkResult<Gpa> operator()(std::uint64_t address, const Ask& what) {
    auto leaf = host(address, what);
    if (!leaf) refused = Ipa(address);
    return leaf;
  }
  [[nodiscard]] bool at_once(std::uint64_t address, const Ask& what, Leaf<Gpa>& leaf) {
    return host.at_once(address, what, leaf);
  }
};

[[nodiscard]] LeafResult walk_guest(const Context& context, const Request& piece,
                                    const WalkScope& scope, const Capabilities& capabilities) {
  const auto input = guest_input(context, piece.iova);
  if (!input) return Failure{guest_stage_fault(piece, context, input.error())};
  const Ask ask = iotlb::ask_of(context, piece);
  const iotlb::Tag tag{.domain = context.domain, .pasid = context.pasid};
  DirectReader reader(scope.memory, scope.trace);
  if (context.kind == ContextKind::kStage1) {
    CachedTables<X86FirstStage, Gpa> tables(scope.caches.stage1_tables, tag,
                                            scope.tickets.stage1_tables);
    auto leaf =
        pagetables::walk<X86FirstStage>(capabilities.guest_rules, reader, Gpa(context.stage1_root),
                                        context.stage1_levels, *input, ask, tables);
    if (!leaf) return Failure{guest_stage_fault(piece, context, leaf.error())};
    return *leaf;
  }
  CachedStage2<AmdV1, DirectReader> host(capabilities.rules_for(updates_of(context)), reader,
                                         Gpa(context.stage2_root), context.stage2_levels,
                                         scope.caches, context.domain, scope.tickets);
  HostBelow lower{host, Ipa(0)};
  CachedTables<X86FirstStage, Ipa> tables(scope.caches, tag, scope.tickets);
  Leaf<Gpa> leaf;
  if (pagetables::nested_walk_at_once<X86FirstStage, Ipa>(capabilities.guest_rules, host, reader,
                                                          *input, ask, tables, leaf)) [[likely]]
    return leaf;
  if (scope.caches.off() && pagetables::nested_walk_plain<X86FirstStage>(
                                capabilities.guest_rules, Ipa(context.stage1_root),
                                context.stage1_levels, host, *input, ask, leaf))
    return leaf;
  const auto found = pagetables::nested_walk<X86FirstStage>(
      capabilities.guest_rules, Ipa(context.stage1_root), context.stage1_levels, lower, reader,
      *input, ask, tables);
  if (!found) {
    if (found.error().stage == Stage::kStage2)
      return Failure{host_stage_fault(piece, context, found.error(), lower.refused)};
    return Failure{guest_stage_fault(piece, context, found.error())};
  }
  return found->whole(*input);
}

}  // namespace

std::optional<Fault> check_request(const Context& context, const Request& request) {
  const bool plain = request.address_type == AddressType::kUntranslated;
  const bool allowed = request.address_type == AddressType::kTranslationRequest
                           ? context.allow_translation_requests
                           : context.allow_translated;
  if (plain || allowed) return std::nullopt;
  const bool guest = request.pasid.has_value();
  const std::uint64_t flags =
      event::kGuest.of(guest) | event::kRequestUser.of(guest && !request.privileged) |
      event::kTranslation.of(request.address_type == AddressType::kTranslationRequest) |
      event::kRequestType.of(static_cast<std::uint64_t>(InvalidRequest::kTranslated));
  return make_fault(request, EventCode::kInvalidDeviceRequest, FaultReason::kRequestTypeBlocked,
                    flags);
}

HostUpdates updates_of(const Context& context) {
  return static_cast<HostUpdates>(vendor_bits::kUpdates.get(context.vendor_bits));
}

Fault denied(const Context& context, const Request& request, FaultReason reason) {
  return make_page_fault(request, context, reason,
                         event::kPresent.kMask | event::kPermission.kMask);
}

Fault table_error(const Request& request, const Context& context, Gpa at, FaultReason reason) {
  const std::uint64_t guest =
      vendor_bits::kGuest.is_set(context.vendor_bits) ? event::kGuest.kMask : 0;
  Fault fault =
      make_fault(request, EventCode::kPageTableError, reason,
                 guest | request_flags(request, false) | event::kErrorType.of(event::kMasterAbort));
  fault.vendor_detail = detail_of(context);
  fault.ats = AtsStatus::kCompleterAbort;
  fault.entry_at = at.value();
  return fault;
}

Fault host_stage_fault(const Request& request, const Context& context, const WalkFailure& why,
                       std::optional<Ipa> lower_input) {
  // GN = 0: the domain and the address that the host tables were asked for.
  Context host = context;
  host.vendor_bits &= ~static_cast<std::uint32_t>(vendor_bits::kGuest.kMask);
  Fault fault = is_hardware_error(why.reason)
                    ? table_error(request, host, Gpa(why.entry_at), why.reason)
                    : make_page_fault(request, host, why.reason, flags_of(why.reason));
  if (lower_input) fault.shown_address = lower_input->value();
  return with_place(fault, why, Stage::kStage2);
}

LeafResult walk_tables(const Context& context, const Request& piece, const WalkScope& scope,
                       const Capabilities& capabilities, const Settings& settings) {
  switch (context.kind) {
    case ContextKind::kBlocked:
      // TV = 0. The flags are not settled; nothing was present.
      return Failure{make_page_fault(piece, context, FaultReason::kContextNotPresent, 0)};
    case ContextKind::kPassThrough:
    case ContextKind::kStage2:
      break;
    case ContextKind::kStage1:
    case ContextKind::kNested:
      return walk_guest(context, piece, scope, capabilities);
  }
  if (vendor_bits::kExcluded.is_set(context.vendor_bits))
    return walk_excluded_view(context, piece, scope, capabilities, settings);
  if (context.stage2_levels == 0) return identity_page(piece.iova, Permissions::read_write());
  return walk_host(context, piece, scope, capabilities);
}

}  // namespace weir::amdvi
