// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/device_table.h"

#include "pagetables/amd_v1.h"
#include "pagetables/readers.h"
#include "pagetables/wide_load.h"
#include "vendors/amdvi/guest_cr3.h"

namespace weir::amdvi {
namespace {

using iotlb::Context;
using iotlb::ContextKind;

namespace control = reg::control;

[[nodiscard]] bool has_reserved(const DeviceEntry& entry, const DeviceEntryRules& rules,
                                std::size_t first_word, std::size_t words) {
  for (std::size_t i = first_word; i < first_word + words; ++i)
    if ((entry[i] & rules.reserved[i]) != 0) return true;
  return false;
}

[[nodiscard]] iotlb::Coherence coherence_of(const Options& options) {
  if (!options.commands_visible) return iotlb::Coherence::kVerified;
  return options.caching_mode ? iotlb::Coherence::kCaching : iotlb::Coherence::kArchitectural;
}

// HAD: 2 is reserved, and 3 is the dirty bit's (EFR.HDSup).
[[nodiscard]] bool had_is_legal(const DeviceEntry& entry, const Options& options) {
  const auto updates = static_cast<HostUpdates>(dte0::kAccessedDirty.get(entry[0]));
  return updates == HostUpdates::kNone || updates == HostUpdates::kAccessed ||
         (updates == HostUpdates::kAccessedDirty && options.dirty);
}

// The levels that the entry encodes are levels there are.
[[nodiscard]] bool levels_are_legal(const DeviceEntry& entry, const Options& options) {
  if (dte0::kMode.get(entry[0]) == dte0::kModeReserved) return false;
  if (!dte0::kGuestValid.is_set(entry[0])) return true;
  const std::uint64_t guest_levels = dte2::kGuestLevels.get(entry[2]);
  return dte0::kGcr3Levels.get(entry[0]) < options.gcr3_levels &&
         guest_levels <= (options.guest_five_levels ? 1U : 0U);
}

[[nodiscard]] std::uint32_t view_of(const DeviceEntry& entry, bool excluded) {
  std::uint64_t bits = vendor_bits::kUpdates.of(dte0::kAccessedDirty.get(entry[0])) |
                       vendor_bits::kSuppressLater.of(dte1::kSuppressLater.get(entry[1]));
  if (excluded)
    bits |= vendor_bits::kExcluded.kMask | vendor_bits::kViewRead.of(dte0::kRead.get(entry[0])) |
            vendor_bits::kViewWrite.of(dte0::kWrite.get(entry[0]));
  return static_cast<std::uint32_t>(bits);
}

// The tag of devices to which the exclusion range applies: their entries are the domain's, with a
// hole in them that others must not find (L10). The first beyond any PASID, which is as wide as a
// cache's tag of it is sure to be, and apart by the rights that go into the entries here.
[[nodiscard]] std::uint32_t excluded_view_tag(Permissions rights) {
  return kPasidLimit + (rights.can_read() ? 1U : 0U) + (rights.can_write() ? 2U : 0U);
}

// The host stage of a valid entry.
void fill_host_stage(Context& context, const DeviceEntry& entry) {
  const auto levels = static_cast<std::uint8_t>(dte0::kMode.get(entry[0]));
  context.stage2_levels = levels;
  context.stage2_root = dte0::kHostRoot.in_place(entry[0]);
  const unsigned reach = pagetables::input_bits<pagetables::AmdV1>(levels);
  context.input_bits = levels == 0 || reach > 64 ? 64 : static_cast<std::uint8_t>(reach);
  context.kind = levels == 0 ? ContextKind::kPassThrough : ContextKind::kStage2;
}

}  // namespace

Settings Settings::of(const LiveRegisters& live) {
  Settings settings;
  // Acquire, control first: pairs with the release in Unit::State::publish. Who sees translation on
  // sees the tables it was turned on with.
  settings.control = live.control.load(std::memory_order_acquire);
  settings.device_table = live.device_table.load(std::memory_order_acquire);
  settings.exclusion_base = live.exclusion_base.load(std::memory_order_acquire);
  settings.exclusion_limit = live.exclusion_limit.load(std::memory_order_acquire);
  return settings;
}

bool Settings::exclusion_is_on() const { return reg::exclusion::kEnable.is_set(exclusion_base); }

bool Settings::excludes(Iova iova) const {
  const Iova first(reg::exclusion::kAddress.in_place(exclusion_base));
  const Iova last(reg::exclusion::kAddress.in_place(exclusion_limit) | reg::exclusion::kOnes.kMask);
  return exclusion_is_on() && first <= iova && iova <= last;
}

std::uint64_t request_flags(const Request& request, bool guest) {
  std::uint64_t flags = event::kWrite.of(writes(request.access));
  if (request.address_type == AddressType::kTranslationRequest) flags |= event::kTranslation.kMask;
  if (guest)
    flags |= event::kGuest.kMask | event::kExecute.of(request.execute) |
             event::kUser.of(!request.privileged);
  return flags;
}

Fault make_page_fault(const Request& request, const Context& context, FaultReason reason,
                      std::uint64_t flags) {
  const bool guest = vendor_bits::kGuest.is_set(context.vendor_bits);
  Fault fault =
      make_fault(request, EventCode::kPageFault, reason, flags | request_flags(request, guest));
  fault.vendor_detail = detail_of(context);
  // What the tables do not give is no error of a translation request, but an answer without rights.
  fault.ats = AtsStatus::kSuccess;
  // 2.1.3.2: translation requests log no page fault.
  fault.recorded =
      !context.silence_faults && request.address_type != AddressType::kTranslationRequest;
  return fault;
}

std::uint32_t detail_of(const Context& context) {
  return static_cast<std::uint32_t>(
      fault_detail::kDomain.of(context.domain.value) |
      fault_detail::kOnlyFirst.of(vendor_bits::kSuppressLater.get(context.vendor_bits)));
}

Fault make_fault(const Request& request, EventCode code, FaultReason reason, std::uint64_t flags) {
  Fault fault;
  fault.request = request;
  fault.reason = reason;
  fault.code = event_code(code, flags);
  fault.recorded = true;
  return fault;
}

std::optional<Gpa> device_entry_at(Requester requester, const Settings& settings) {
  const std::uint64_t offset = requester.bdf * kDeviceEntryBytes;
  const std::uint64_t size = (reg::device_table::kSize.get(settings.device_table) + 1) * kPageSize;
  if (offset >= size) return std::nullopt;
  return Gpa(reg::device_table::kBase.in_place(settings.device_table)) + offset;
}

Result<DeviceEntry, Fault> read_device_entry(const Request& request,
                                             const pagetables::PhysicalMemory& memory,
                                             const Settings& settings, bool interrupt) {
  const std::uint64_t flags = interrupt ? event::kInterrupt.kMask : request_flags(request, false);
  // Never read past the table. Whether this is event 1 or 2 is not settled; Linux's own table
  // always has room for every device it knows.
  const auto at = device_entry_at(request.requester, settings);
  if (!at)
    return Failure{make_fault(request, EventCode::kIllegalDeviceEntry,
                              FaultReason::kContextNotPresent, flags)};
  const auto entry = pagetables::load_quad(memory, *at);
  if (entry) return *entry;
  Fault fault = make_fault(request, EventCode::kDeviceTableError, FaultReason::kContextUnreadable,
                           flags | event::kErrorType.of(event::kMasterAbort));
  fault.entry_at = at->value();
  return Failure{fault};
}

Result<Context, Fault> read_context(const Request& request,
                                    const pagetables::PhysicalMemory& memory,
                                    const Capabilities& capabilities, const Settings& settings) {
  const auto entry = read_device_entry(request, memory, settings, false);
  if (!entry) return Failure{entry.error()};
  const std::uint64_t flags = request_flags(request, false);
  Context context;
  context.input_bits = 64;
  context.coherence = coherence_of(capabilities.options);
  // V = 0: nothing of the lower half means anything, and everything passes (2.2.2.1, Table 7).
  if (!dte0::kValid.is_set((*entry)[0])) {
    context.kind = ContextKind::kPassThrough;
    return context;
  }
  const DeviceEntryRules rules = device_entry_rules(capabilities.options, settings.control);
  if (has_reserved(*entry, rules, 0, 2) ||
      ((*entry)[0] & dte0::kHostRoot.kMask & capabilities.beyond_host_width) != 0 ||
      !had_is_legal(*entry, capabilities.options))
    return Failure{make_fault(request, EventCode::kIllegalDeviceEntry,
                              FaultReason::kContextReserved, flags | event::kReserved.kMask)};
  if (!levels_are_legal(*entry, capabilities.options) ||
      dte1::kPortIo.get((*entry)[1]) == dte1::kPortIoReserved)
    return Failure{
        make_fault(request, EventCode::kIllegalDeviceEntry, FaultReason::kContextInvalid, flags)};

  context.domain = DomainId{static_cast<std::uint32_t>(dte1::kDomain.get((*entry)[1]))};
  context.silence_faults = dte1::kSuppressAll.is_set((*entry)[1]);
  context.allow_translation_requests = dte1::kDeviceTlb.is_set((*entry)[1]);
  context.allow_translated = context.allow_translation_requests;
  context.vendor_bits = view_of(*entry, false);
  // TV = 0: whoever needs a table is refused (2.2.2.1, Table 8).
  if (!dte0::kTranslationValid.is_set((*entry)[0])) {
    context.kind = ContextKind::kBlocked;
    return context;
  }
  context.rights =
      Permissions::of(dte0::kRead.is_set((*entry)[0]), dte0::kWrite.is_set((*entry)[0]));
  fill_host_stage(context, *entry);

  const bool guest_valid = dte0::kGuestValid.is_set((*entry)[0]);
  if (request.pasid || (guest_valid && dte0::kGuestIo.is_set((*entry)[0]))) {
    context.vendor_bits |= vendor_bits::kGuest.kMask;
    if (!guest_valid)
      return Failure{make_page_fault(request, context, FaultReason::kPasidUnsupported, 0)};
    return read_guest_context(request, context, *entry, memory, capabilities, settings);
  }
  const bool excluded =
      settings.exclusion_is_on() && (reg::exclusion::kAllowAll.is_set(settings.exclusion_base) ||
                                     dte1::kExclusion.is_set((*entry)[1]));
  const bool lax =
      context.kind == ContextKind::kPassThrough && context.rights == Permissions::read_write();
  if (excluded && !lax) {
    context.vendor_bits = view_of(*entry, true);
    context.pasid = excluded_view_tag(context.rights);
    context.rights = Permissions::read_write();
    context.input_bits = 64;
    context.kind = ContextKind::kStage2;
  }
  return context;
}

}  // namespace weir::amdvi
