// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/context.h"

#include "vendors/vtd/context_bits.h"
#include "vendors/vtd/reading.h"
#include "vendors/vtd/registers.h"
#include "vendors/vtd/scalable_context.h"
#include "vendors/vtd/tables.h"

namespace weir::vtd {
namespace {

struct EntryWords {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

// Both words as memory held them at one time: software may rewrite a live entry (L3).
[[nodiscard]] std::optional<EntryWords> load_entry(const pagetables::PhysicalMemory& memory,
                                                   Gpa at) {
  const auto words = load_structure<2>(memory, at);
  if (!words) return std::nullopt;
  return EntryWords{(*words)[0], (*words)[1]};
}

// The first word once more after the second: what is compared word by word may be rewritten in
// between.
void note(pagetables::WordTrail& trail, std::uint64_t at, const EntryWords& entry) {
  trail.note(Gpa(at), entry.low);
  trail.note(Gpa(at + sizeof entry.low), entry.high);
  trail.note(Gpa(at), entry.low);
}

[[nodiscard]] bool has_reserved(const EntryWords& entry, const Layout& low, const Layout& high,
                                std::uint64_t beyond_host_width) {
  return (entry.low & (low.reserved | beyond_host_width)) != 0 || (entry.high & high.reserved) != 0;
}

[[nodiscard]] bool is_plain(const Request& request) {
  return request.address_type == AddressType::kUntranslated;
}

// What a present context entry without reserved bits means.
[[nodiscard]] Result<iotlb::Context, Fault> interpret(const EntryWords& entry,
                                                      const Reading& reading,
                                                      const Capabilities& capabilities) {
  namespace ce = context_entry;
  const std::optional<TranslationType> type = ce::decode_type(entry.low);
  const bool serves_device_tlb = type == TranslationType::kSecondStageDeviceTlb;
  if (!type || (serves_device_tlb && !capabilities.options.device_tlb))
    return reading.fault(Code::kContextInvalid, FaultReason::kContextInvalid);
  if (!is_plain(reading.request) && !serves_device_tlb)
    return reading.fault(Code::kTypeBlocked, FaultReason::kRequestTypeBlocked);
  const auto levels = capabilities.levels_of(ce::kAddressWidth.get(entry.high));
  if (!levels) return reading.fault(Code::kContextInvalid, FaultReason::kContextInvalid);

  iotlb::Context context;
  context.domain = DomainId{static_cast<std::uint32_t>(ce::kDomain.get(entry.high))};
  // Pass-through wants AW to be the largest width supported; what a smaller one does is not
  // settled. Here it is taken at its word: addresses within it pass, those beyond fault like any
  // other.
  context.input_bits = capabilities.input_bits(*levels);
  context.silence_faults = reading.silenced;
  context.allow_translation_requests = serves_device_tlb;
  context.allow_translated = serves_device_tlb;
  switch (*type) {
    case TranslationType::kSecondStage:
    case TranslationType::kSecondStageDeviceTlb:
      context.kind = iotlb::ContextKind::kStage2;
      context.stage2_root = ce::kSecondStageTable.in_place(entry.low);
      context.stage2_levels = *levels;
      break;
    case TranslationType::kPassThrough:
      context.kind = iotlb::ContextKind::kPassThrough;
      break;
  }
  return context;
}

}  // namespace

Fault make_fault(const Request& request, Code code, FaultReason reason, bool silenced) {
  Fault fault;
  fault.request = request;
  fault.reason = reason;
  fault.code = static_cast<std::uint16_t>(code);
  fault.recorded = !(silenced && silenced_by_fpd(code));
  // A translation request that merely finds nothing is answered with neither R nor W, and no fault
  // is recorded for it: the device may ask for the page (7.2).
  if (request.address_type == AddressType::kTranslationRequest && is_recoverable(code)) {
    fault.recorded = false;
    fault.ats = AtsStatus::kSuccess;
  }
  return fault;
}

namespace {

[[nodiscard]] Result<iotlb::Context, Fault> read_legacy_context(
    const Request& request, const pagetables::PhysicalMemory& memory,
    const Capabilities& capabilities, std::uint64_t root_address, pagetables::WordTrail& trail) {
  Reading reading{.request = request};
  if (request.pasid) return reading.fault(Code::kPasidInLegacyMode, FaultReason::kPasidUnsupported);

  reading.entry_at =
      reg::rtaddr::kTable.in_place(root_address) + request.requester.bus() * kTableEntryBytes;
  reading.entries = 1;
  const auto root = load_entry(memory, Gpa(reading.entry_at));
  if (!root) return reading.fault(Code::kRootAccess, FaultReason::kRootUnreadable);
  note(trail, reading.entry_at, *root);
  if (!root_entry::kPresent.is_set(root->low))
    return reading.fault(Code::kRootNotPresent, FaultReason::kRootNotPresent);
  if (has_reserved(*root, root_entry::kLow, root_entry::kHigh, capabilities.beyond_host_width))
    return reading.fault(Code::kRootReserved, FaultReason::kRootReserved);

  reading.entry_at =
      root_entry::kContextTable.in_place(root->low) + request.requester.devfn() * kTableEntryBytes;
  reading.entries = 2;
  const auto entry = load_entry(memory, Gpa(reading.entry_at));
  if (!entry) return reading.fault(Code::kContextAccess, FaultReason::kContextUnreadable);
  note(trail, reading.entry_at, *entry);
  reading.silenced = context_entry::kFaultDisable.is_set(entry->low);
  if (!context_entry::kPresent.is_set(entry->low))
    return reading.fault(Code::kContextNotPresent, FaultReason::kContextNotPresent);
  if (has_reserved(*entry, context_entry::kLow, context_entry::kHigh,
                   capabilities.beyond_host_width))
    return reading.fault(Code::kContextReserved, FaultReason::kContextReserved);
  return interpret(*entry, reading, capabilities);
}

// Abort-DMA mode: every request ends here, and nobody is told (RTA.1 needs a fault only where the
// mode is unknown).
[[nodiscard]] Failure<Fault> abort_silently(const Request& request) {
  Fault fault;
  fault.request = request;
  fault.reason = FaultReason::kRequestTypeBlocked;
  return Failure{fault};
}

}  // namespace

Result<iotlb::Context, Fault> read_any_context(const Request& request,
                                               const pagetables::PhysicalMemory& memory,
                                               const Capabilities& capabilities,
                                               std::uint64_t root_address,
                                               pagetables::WordTrail& trail) {
  const auto mode = reg::rtaddr::decode_mode(root_address);
  if (mode == reg::rtaddr::Mode::kLegacy)
    return read_legacy_context(request, memory, capabilities, root_address, trail);
  trail.whole = false;
  if (mode == reg::rtaddr::Mode::kScalable && capabilities.options.scalable)
    return read_scalable_context(request, memory, capabilities, root_address);
  if (mode == reg::rtaddr::Mode::kAbort && capabilities.options.abort_dma)
    return abort_silently(request);
  return Reading{.request = request}.fault(Code::kRootAddressInvalid, FaultReason::kRootReserved);
}

std::optional<iotlb::Context> absent_context(const Fault& fault) {
  const auto code = static_cast<Code>(fault.code);
  // What RTADDR_REG is about is no entry; and what cannot be read may be readable next time.
  if (fault.code == 0 || code == Code::kRootAddressInvalid || code == Code::kPasidInLegacyMode ||
      fault.reason == FaultReason::kRootUnreadable ||
      fault.reason == FaultReason::kContextUnreadable ||
      fault.reason == FaultReason::kPasidUnreadable || !is_plain(fault.request))
    return std::nullopt;
  iotlb::Context context;
  context.kind = iotlb::ContextKind::kBlocked;
  context.silence_faults = !fault.recorded;
  context.vendor_bits = static_cast<std::uint32_t>(
      context_bits::kBlockedCode.of(fault.code) |
      context_bits::kBlockedReason.of(static_cast<std::uint64_t>(fault.reason)));
  return context;
}

Fault blocked_fault(const iotlb::Context& context, const Request& request) {
  return make_fault(request, static_cast<Code>(context_bits::kBlockedCode.get(context.vendor_bits)),
                    static_cast<FaultReason>(context_bits::kBlockedReason.get(context.vendor_bits)),
                    context.silence_faults);
}

std::optional<Fault> check_page_request(const PageRequest& page,
                                        const pagetables::PhysicalMemory& memory,
                                        const Capabilities& capabilities,
                                        std::uint64_t root_address) {
  const Request request{.requester = page.requester,
                        .pasid = page.pasid,
                        .iova = page.page,
                        .size = kPageSize,
                        .access = page.write ? Access::kWrite : Access::kRead,
                        .privileged = page.privileged,
                        .execute = page.execute};
  const auto refused = [](Fault fault) {
    fault.vendor_detail = kPageRequestDetail;
    return std::optional(fault);
  };
  if (reg::rtaddr::decode_mode(root_address) == reg::rtaddr::Mode::kLegacy)
    return refused(
        make_fault(request, Code::kPageRequestInLegacy, FaultReason::kRequestTypeBlocked, false));
  pagetables::WordTrail nobody_asks;
  const auto context = read_any_context(request, memory, capabilities, root_address, nobody_asks);
  if (!context) return refused(context.error());
  if (!context_bits::kPageRequests.is_set(context->vendor_bits))
    return refused(make_fault(request, Code::kPageRequestsDisabled,
                              FaultReason::kRequestTypeBlocked, context->silence_faults));
  return std::nullopt;
}

Fault deny_request(const iotlb::Context& context, const Request& request, Denial denial) {
  const auto fault = [&](Code legacy, Code scalable, FaultReason reason) {
    const bool is_scalable = context_bits::kScalable.is_set(context.vendor_bits);
    return make_fault(request, is_scalable ? scalable : legacy, reason, context.silence_faults);
  };
  switch (denial) {
    case Denial::kWrite:
      return fault(Code::kNoWrite, Code::kScalableNoWrite, FaultReason::kNoWritePermission);
    case Denial::kUser:
      return fault(Code::kNoRead, Code::kNotUser, FaultReason::kNotUser);
    case Denial::kExecute:
      return fault(Code::kNoRead, Code::kNoExecute, FaultReason::kNoExecutePermission);
    case Denial::kRead:
      break;
  }
  return fault(Code::kNoRead, Code::kScalableNoRead, FaultReason::kNoReadPermission);
}

std::optional<Fault> check_request(const iotlb::Context& context, const Request& request,
                                   const Capabilities& capabilities) {
  if (context.kind == iotlb::ContextKind::kBlocked) return blocked_fault(context, request);
  if (context_bits::kScalable.is_set(context.vendor_bits))
    return check_scalable_request(context, request, capabilities);
  const bool silenced = context.silence_faults;
  if (request.pasid)
    return make_fault(request, Code::kPasidInLegacyMode, FaultReason::kPasidUnsupported, silenced);
  const Fault blocked =
      make_fault(request, Code::kTypeBlocked, FaultReason::kRequestTypeBlocked, silenced);
  switch (request.address_type) {
    case AddressType::kUntranslated:
      return std::nullopt;
    case AddressType::kTranslationRequest:
      return context.allow_translation_requests ? std::nullopt : std::optional(blocked);
    case AddressType::kTranslated:
      if (!context.allow_translated) return blocked;
      // MGAW bounds translated requests too (CAP.MGAW).
      if ((request.iova.value() & ~bit_mask(capabilities.options.address_bits - 1, 0)) != 0)
        return make_fault(request, Code::kBeyondWidth, FaultReason::kBeyondInputWidth, silenced);
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace weir::vtd
