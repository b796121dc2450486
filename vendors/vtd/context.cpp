// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/context.h"

#include "pagetables/wide_load.h"
#include "vendors/vtd/registers.h"
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
  const auto words = pagetables::load_pair(memory, at);
  if (!words) return std::nullopt;
  return EntryWords{(*words)[0], (*words)[1]};
}

// One read of the tables for one request: the request itself, and where the reading stands.
struct Reading {
  const Request& request;
  std::uint64_t entry_at = 0;
  std::uint32_t entries = 0;
  bool silenced = false;

  [[nodiscard]] Failure<Fault> fault(Code code, FaultReason reason) const {
    Fault result = make_fault(request, code, reason, silenced);
    result.entry_at = entry_at;
    result.references = entries;
    return Failure{result};
  }
};

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
  return fault;
}

Result<iotlb::Context, Fault> read_legacy_context(const Request& request,
                                                  const pagetables::PhysicalMemory& memory,
                                                  const Capabilities& capabilities,
                                                  std::uint64_t root_address) {
  Reading reading{.request = request};
  // 01 is scalable mode (ECAP.SMTS), 10 is reserved, 11 is abort-DMA (ECAP.ADMS): this unit has
  // none.
  if (reg::rtaddr::kMode.get(root_address) != 0)
    return reading.fault(Code::kRootAddressInvalid, FaultReason::kRootReserved);
  if (request.pasid) return reading.fault(Code::kPasidInLegacyMode, FaultReason::kPasidUnsupported);

  reading.entry_at =
      reg::rtaddr::kTable.in_place(root_address) + request.requester.bus() * kTableEntryBytes;
  reading.entries = 1;
  const auto root = load_entry(memory, Gpa(reading.entry_at));
  if (!root) return reading.fault(Code::kRootAccess, FaultReason::kRootUnreadable);
  if (!root_entry::kPresent.is_set(root->low))
    return reading.fault(Code::kRootNotPresent, FaultReason::kRootNotPresent);
  if (has_reserved(*root, root_entry::kLow, root_entry::kHigh, capabilities.beyond_host_width))
    return reading.fault(Code::kRootReserved, FaultReason::kRootReserved);

  reading.entry_at =
      root_entry::kContextTable.in_place(root->low) + request.requester.devfn() * kTableEntryBytes;
  reading.entries = 2;
  const auto entry = load_entry(memory, Gpa(reading.entry_at));
  if (!entry) return reading.fault(Code::kContextAccess, FaultReason::kContextUnreadable);
  reading.silenced = context_entry::kFaultDisable.is_set(entry->low);
  if (!context_entry::kPresent.is_set(entry->low))
    return reading.fault(Code::kContextNotPresent, FaultReason::kContextNotPresent);
  if (has_reserved(*entry, context_entry::kLow, context_entry::kHigh,
                   capabilities.beyond_host_width))
    return reading.fault(Code::kContextReserved, FaultReason::kContextReserved);
  return interpret(*entry, reading, capabilities);
}

Fault deny_request(const iotlb::Context& context, const Request& request, Denial denial) {
  const bool write = denial == Denial::kWrite;
  return make_fault(request, write ? Code::kNoWrite : Code::kNoRead,
                    write ? FaultReason::kNoWritePermission : FaultReason::kNoReadPermission,
                    context.silence_faults);
}

std::optional<Fault> check_request(const iotlb::Context& context, const Request& request,
                                   const Capabilities& capabilities) {
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
