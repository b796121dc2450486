// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/scalable_context.h"

#include "vendors/vtd/context_bits.h"
#include "vendors/vtd/interrupt_range.h"
#include "vendors/vtd/registers.h"
#include "vendors/vtd/scalable_tables.h"

namespace weir::vtd {
namespace {

using ContextWords = std::array<std::uint64_t, 4>;
using PasidWords = std::array<std::uint64_t, pasid_entry::kWords>;

template <std::size_t N>
[[nodiscard]] bool any_of(const std::array<std::uint64_t, N>& words,
                          const std::array<std::uint64_t, N>& reserved) {
  std::uint64_t found = 0;
  for (std::size_t i = 0; i < N; ++i) found |= words[i] & reserved[i];
  return found != 0;
}

[[nodiscard]] std::optional<std::uint64_t> load_word(const pagetables::PhysicalMemory& memory,
                                                     std::uint64_t at) {
  const auto word = memory.load64(Gpa(at));
  return word ? std::optional(*word) : std::nullopt;
}

// The half of the root entry that the function's device number selects, and the context entry
// behind it.
[[nodiscard]] Result<ContextWords, Fault> read_context_entry(
    Reading& reading, const pagetables::PhysicalMemory& memory, const Capabilities& capabilities,
    std::uint64_t root_address) {
  const Requester who = reading.request.requester;
  const std::uint64_t table = reg::rtaddr::kTable.in_place(root_address);
  reading.entry_at = table + who.bus() * scalable_root::kBytes;
  reading.entries = 1;
  const auto root = load_structure<2>(memory, Gpa(reading.entry_at));
  if (!root) return reading.fault(Code::kScalableRootAccess, FaultReason::kRootUnreadable);
  const std::uint64_t half = (*root)[function_index::kUpperHalf.get(who.devfn())];
  if (!scalable_root::kPresent.is_set(half))
    return reading.fault(Code::kScalableRootNotPresent, FaultReason::kRootNotPresent);
  // Both halves: it is one entry.
  const std::uint64_t reserved = scalable_root::kHalf.reserved | capabilities.beyond_host_width;
  if ((((*root)[0] | (*root)[1]) & reserved) != 0)
    return reading.fault(Code::kScalableRootReserved, FaultReason::kRootReserved);

  reading.entry_at = scalable_root::kContextTable.in_place(half) +
                     function_index::kEntry.get(who.devfn()) * scalable_context::kBytes;
  reading.entries = 2;
  const auto entry = load_structure<4>(memory, Gpa(reading.entry_at));
  if (!entry) return reading.fault(Code::kScalableContextAccess, FaultReason::kContextUnreadable);
  const std::uint64_t word0 = (*entry)[0];
  reading.silenced = scalable_context::kFaultDisable.is_set(word0);
  if (!scalable_context::kPresent.is_set(word0))
    return reading.fault(Code::kScalableContextNotPresent, FaultReason::kContextNotPresent);
  ContextWords forbidden = scalable_context::reserved();
  forbidden[0] |= capabilities.beyond_host_width;
  if (any_of(*entry, forbidden))
    return reading.fault(Code::kScalableContextReserved, FaultReason::kContextReserved);
  return *entry;
}

// The PASID whose entry says how the request is processed.
[[nodiscard]] Result<std::uint32_t, Fault> find_pasid(const Reading& reading,
                                                      const ContextWords& entry,
                                                      const Capabilities& capabilities) {
  namespace ce = scalable_context;
  // A directory of 2^(7 + PDTS) entries, each of which names a table of PASIDs.
  const std::uint64_t limit =
      bit_mask(static_cast<unsigned>(pasid_index::kTable.kHigh + pasid_index::kDirectoryLg2 +
                                     ce::kDirectorySize.get(entry[0])),
               0) +
      1;
  const std::optional<Pasid> pasid = reading.request.pasid;
  if (pasid) {
    if (!ce::kPasidEnable.is_set(entry[0]))
      return reading.fault(Code::kPasidDisabled, FaultReason::kPasidUnsupported);
    const std::uint64_t most = bit_mask(capabilities.options.pasid_bits - 1, 0);
    if (pasid->value >= limit || pasid->value > most)
      return reading.fault(Code::kPasidTooLarge, FaultReason::kPasidUnsupported);
    return pasid->value;
  }
  if (!capabilities.options.rid_pasid) return std::uint32_t{0};
  const std::uint64_t own = ce::kRidPasid.get(entry[1]);
  if (own >= limit) return reading.fault(Code::kRidPasidInvalid, FaultReason::kContextInvalid);
  return static_cast<std::uint32_t>(own);
}

[[nodiscard]] Result<PasidWords, Fault> read_pasid_entry(Reading& reading,
                                                         const pagetables::PhysicalMemory& memory,
                                                         const Capabilities& capabilities,
                                                         std::uint64_t directory,
                                                         std::uint32_t pasid) {
  reading.entry_at = directory + pasid_index::kDirectory.get(pasid) * pasid_directory::kBytes;
  ++reading.entries;
  const auto word = load_word(memory, reading.entry_at);
  if (!word) return reading.fault(Code::kDirectoryAccess, FaultReason::kPasidUnreadable);
  reading.silenced = reading.silenced || pasid_directory::kFaultDisable.is_set(*word);
  if (!pasid_directory::kPresent.is_set(*word))
    return reading.fault(Code::kDirectoryNotPresent, FaultReason::kPasidNotPresent);
  if ((*word & (pasid_directory::kLayout.reserved | capabilities.beyond_host_width)) != 0)
    return reading.fault(Code::kDirectoryReserved, FaultReason::kPasidReserved);

  reading.entry_at = pasid_directory::kTable.in_place(*word) +
                     pasid_index::kTable.get(pasid) * pasid_entry::kBytes;
  ++reading.entries;
  const auto entry = load_structure<pasid_entry::kWords>(memory, Gpa(reading.entry_at));
  if (!entry) return reading.fault(Code::kPasidAccess, FaultReason::kPasidUnreadable);
  reading.silenced = reading.silenced || pasid_entry::kFaultDisable.is_set((*entry)[0]);
  if (!pasid_entry::kPresent.is_set((*entry)[0]))
    return reading.fault(Code::kPasidNotPresent, FaultReason::kPasidNotPresent);
  PasidWords reserved = pasid_entry::reserved(capabilities.options);
  reserved[0] |= pasid_entry::kSecondStageTable.in_place(capabilities.beyond_host_width);
  reserved[2] |= pasid_entry::kFirstStageTable.in_place(capabilities.beyond_host_width);
  if (any_of(*entry, reserved))
    return reading.fault(Code::kPasidReserved, FaultReason::kPasidReserved);
  return *entry;
}

[[nodiscard]] iotlb::ContextKind kind_of(PasidTranslation translation) {
  switch (translation) {
    case PasidTranslation::kFirstStage:
      return iotlb::ContextKind::kStage1;
    case PasidTranslation::kSecondStage:
      return iotlb::ContextKind::kStage2;
    case PasidTranslation::kNested:
      return iotlb::ContextKind::kNested;
    case PasidTranslation::kPassThrough:
      return iotlb::ContextKind::kPassThrough;
  }
  return iotlb::ContextKind::kBlocked;
}

[[nodiscard]] bool offers(const Options& options, PasidTranslation translation) {
  switch (translation) {
    case PasidTranslation::kFirstStage:
      return options.first_stage;
    case PasidTranslation::kSecondStage:
      return options.second_stage;
    case PasidTranslation::kNested:
      return options.nested;
    case PasidTranslation::kPassThrough:
      return true;
  }
  return false;
}

[[nodiscard]] std::uint32_t vendor_bits(const Options& options, const ContextWords& entry,
                                        const PasidWords& words) {
  namespace pe = pasid_entry;
  namespace bits = context_bits;
  const std::uint64_t all =
      bits::kScalable.of(1) | bits::kSupervisor.of(pe::kSupervisor.get(words[2])) |
      bits::kExecute.of(pe::kExecute.get(words[2])) |
      bits::kSecondStageDirty.of(pe::kSecondStageDirty.get(words[0])) |
      bits::kExtendedAccessed.of(pe::kExtendedAccessed.get(words[2])) |
      bits::kNoSnoop.of(options.walk_coherency && !pe::kWalkSnoop.is_set(words[1])) |
      bits::kPageRequests.of(scalable_context::kPageRequests.get(entry[0]));
  return static_cast<std::uint32_t>(all);
}

// What a present PASID entry without reserved bits means.
[[nodiscard]] Result<iotlb::Context, Fault> interpret(const Reading& reading,
                                                      const ContextWords& entry,
                                                      const PasidWords& words, std::uint32_t pasid,
                                                      const Capabilities& capabilities) {
  namespace pe = pasid_entry;
  const auto invalid = [&reading] {
    return reading.fault(Code::kPasidInvalid, FaultReason::kPasidInvalid);
  };
  const Options& options = capabilities.options;
  const auto translation = pe::decode_translation(words[0]);
  if (!translation || !offers(options, *translation)) return invalid();

  iotlb::Context context;
  context.kind = kind_of(*translation);
  context.domain = DomainId{static_cast<std::uint32_t>(pe::kDomain.get(words[1]))};
  context.silence_faults = reading.silenced;
  context.allow_translation_requests = scalable_context::kDeviceTlb.is_set(entry[0]);
  context.allow_translated = context.allow_translation_requests;
  context.vendor_bits = vendor_bits(options, entry, words);
  const bool first =
      *translation == PasidTranslation::kFirstStage || *translation == PasidTranslation::kNested;
  const bool second =
      *translation == PasidTranslation::kSecondStage || *translation == PasidTranslation::kNested;
  if (second) {
    const auto levels = capabilities.levels_of(pe::kAddressWidth.get(words[0]));
    if (!levels) return invalid();
    context.stage2_levels = *levels;
    context.stage2_root = pe::kSecondStageTable.in_place(words[0]);
    context.input_bits = capabilities.input_bits(*levels);
  }
  if (first) {
    const auto levels = capabilities.first_stage_levels_of(pe::kPagingMode.get(words[2]));
    if (!levels) return invalid();
    context.stage1_levels = *levels;
    context.stage1_root = pe::kFirstStageTable.in_place(words[2]);
    context.write_protect = pe::kWriteProtect.is_set(words[2]);
    context.no_execute = pe::kNoExecute.is_set(words[2]);
    // Canonical addresses use all bits; the walk judges them.
    context.input_bits = 64;
    // Second-stage translations belong to the domain alone; all others to the PASID as well
    // (6.2.1).
    context.pasid = pasid;
  }
  if (*translation == PasidTranslation::kPassThrough)
    context.input_bits = static_cast<std::uint8_t>(capabilities.address_limit_bits);
  return context;
}

[[nodiscard]] bool is_plain(const Request& request) {
  return request.address_type == AddressType::kUntranslated;
}

}  // namespace

Result<iotlb::Context, Fault> read_scalable_context(const Request& request,
                                                    const pagetables::PhysicalMemory& memory,
                                                    const Capabilities& capabilities,
                                                    std::uint64_t root_address) {
  namespace ce = scalable_context;
  Reading reading{.request = request};
  const auto entry = read_context_entry(reading, memory, capabilities, root_address);
  if (!entry) return Failure{entry.error()};
  const std::uint64_t word0 = (*entry)[0];
  const Options& options = capabilities.options;
  // SCT.4: it enables what the unit does not have.
  if ((ce::kDeviceTlb.is_set(word0) && !options.device_tlb) ||
      (ce::kPasidEnable.is_set(word0) && options.pasid_bits == 0) ||
      (ce::kPageRequests.is_set(word0) && !options.page_requests))
    return reading.fault(Code::kScalableContextInvalid, FaultReason::kContextInvalid);
  if (!is_plain(request) && !ce::kDeviceTlb.is_set(word0))
    return reading.fault(Code::kDeviceTlbDisabled, FaultReason::kRequestTypeBlocked);
  const auto pasid = find_pasid(reading, *entry, capabilities);
  if (!pasid) return Failure{pasid.error()};
  const auto words =
      read_pasid_entry(reading, memory, capabilities, ce::kDirectory.in_place(word0), *pasid);
  if (!words) return Failure{words.error()};
  return interpret(reading, *entry, *words, *pasid, capabilities);
}

std::optional<Fault> check_scalable_request(const iotlb::Context& context, const Request& request,
                                            const Capabilities& capabilities) {
  namespace bits = context_bits;
  const auto fault = [&](Code code, FaultReason reason) {
    return make_fault(request, code, reason, context.silence_faults);
  };
  if (!is_plain(request) && !context.allow_translation_requests)
    return fault(Code::kDeviceTlbDisabled, FaultReason::kRequestTypeBlocked);
  if (request.execute && !bits::kExecute.is_set(context.vendor_bits))
    return fault(Code::kExecuteDisabled, FaultReason::kExecuteBlocked);
  if (request.privileged && !bits::kSupervisor.is_set(context.vendor_bits))
    return fault(Code::kSupervisorDisabled, FaultReason::kPrivilegeBlocked);
  // A request with PASID is translated normally wherever it goes, but identity must not lead into
  // the interrupt range (3.14, SGN.8).
  if (context.kind == iotlb::ContextKind::kPassThrough && request.pasid &&
      kInterruptRange.contains(Gpa(request.iova.value())))
    return fault(Code::kScalableInterruptRange, FaultReason::kOutputInInterruptRange);
  // MGAW bounds translated requests too (CAP.MGAW).
  if (request.address_type == AddressType::kTranslated &&
      (request.iova.value() & ~bit_mask(capabilities.options.address_bits - 1, 0)) != 0)
    return fault(Code::kBeyondHardware, FaultReason::kBeyondInputWidth);
  return std::nullopt;
}

}  // namespace weir::vtd
