// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/interrupts.h"

#include <array>
#include <optional>

#include "pagetables/wide_load.h"
#include "vendors/amdvi/interrupt_entry.h"

namespace weir::amdvi {
namespace {

namespace control = reg::control;

// One message on its way, with all that its events need.
struct Message {
  const Request& request;
  Msi msi;
  bool quiet = false;  // IG, SupIOPF

  [[nodiscard]] Failure<Fault> refuse(FaultReason reason, std::uint64_t flags = 0) const {
    Fault fault =
        make_fault(request, EventCode::kPageFault, reason, event::kInterrupt.kMask | flags);
    fault.shown_address = bus_address(msi);
    fault.recorded = !quiet;
    return Failure{fault};
  }
  [[nodiscard]] Failure<Fault> illegal_entry(std::uint64_t flags) const {
    return Failure{make_fault(request, EventCode::kIllegalDeviceEntry,
                              FaultReason::kContextReserved, event::kInterrupt.kMask | flags)};
  }
  [[nodiscard]] Failure<Fault> unreadable(Gpa at) const {
    Fault fault = make_fault(request, EventCode::kPageTableError, FaultReason::kInterruptUnreadable,
                             event::kInterrupt.kMask | event::kErrorType.of(event::kMasterAbort));
    fault.entry_at = at.value();
    return Failure{fault};
  }
};

// Who passes without the table: NMI, INIT and ExtInt by their bits and only with a physical
// destination (Table 19). Nothing: fixed and arbitrated, which IntCtl rules.
[[nodiscard]] std::optional<bool> passes(const DeviceEntry& entry, Msi message) {
  const bool physical = !msi::kLogical.is_set(message.address);
  switch (static_cast<DeliveryMode>(msi::kDelivery.get(message.data))) {
    case DeliveryMode::kFixed:
    case DeliveryMode::kLowestPriority:
      return std::nullopt;
    case DeliveryMode::kSmi:
      return true;  // EFR.SmiFSup is 0: no filter
    case DeliveryMode::kNmi:
      return physical && dte2::kNmiPass.is_set(entry[2]);
    case DeliveryMode::kInit:
      return physical && dte2::kInitPass.is_set(entry[2]);
    case DeliveryMode::kExternal:
      return physical && dte2::kExtIntPass.is_set(entry[2]);
  }
  return false;
}

[[nodiscard]] DeliveryMode mode_of(std::uint64_t low) {
  return irte::kType.get(low) == irte::kMostType ? DeliveryMode::kLowestPriority
                                                 : DeliveryMode::kFixed;
}

// Entry words; one of 32 bits is the low half of the first.
using EntryWords = std::array<std::uint64_t, 2>;
inline constexpr Field<31, 0> kLowHalf{"even 32-bit entry"};
inline constexpr Field<63, 32> kHighHalf{"odd 32-bit entry"};

[[nodiscard]] Result<EntryWords, Gpa> read_entry(const pagetables::PhysicalMemory& memory,
                                                 std::uint64_t table, std::uint64_t index,
                                                 bool wide) {
  if (wide) {
    const Gpa at(table + index * irte128::kBytes);
    const auto pair = pagetables::load_pair(memory, at);
    if (!pair) return Failure{at};
    return *pair;
  }
  const Gpa at(table + index * irte32::kBytes);
  const bool odd = at.page_offset(3) != 0;
  const auto word = memory.load64(odd ? at - irte32::kBytes : at);
  if (!word) return Failure{at};
  return EntryWords{odd ? kHighHalf.get(*word) : kLowHalf.get(*word), 0};
}

[[nodiscard]] std::uint32_t destination_of(const EntryWords& entry, bool x2apic) {
  if (!x2apic) return static_cast<std::uint32_t>(irte128::kShortDestination.get(entry[0]));
  return static_cast<std::uint32_t>(
      destination::kLow24.of(irte128::kDestination.get(entry[0])) |
      destination::kHigh8.of(irte128::kDestinationHigh.get(entry[1])));
}

// For a guest's virtual APIC (2.2.5.3, with GuestMode).
[[nodiscard]] RemappedInterrupt posted(const EntryWords& entry, std::uint32_t index, bool x2apic) {
  RemappedInterrupt result;
  result.kind = RemappedInterrupt::Kind::kPosted;
  result.index = index;
  result.interrupt.vector = static_cast<std::uint8_t>(irte128::kVector.get(entry[1]));
  result.interrupt.destination = destination_of(entry, x2apic);
  result.descriptor = Gpa(irte128::kApicPage.in_place(entry[1]));
  const bool running = irte128::kRunning.is_set(entry[0]);
  result.urgent = !running && irte128::kLogInterrupt.is_set(entry[0]);
  if (running) result.msi = to_msi(result.interrupt);
  result.vendor_detail = static_cast<std::uint32_t>(irte128::kTag.get(entry[0]));
  return result;
}

[[nodiscard]] Result<RemappedInterrupt, Fault> by_entry(Message message, const EntryWords& entry,
                                                        std::uint32_t index, bool wide,
                                                        const Settings& settings) {
  if (irte::kSuppress.is_set(entry[0])) message.quiet = true;
  if (!irte::kEnable.is_set(entry[0])) return message.refuse(FaultReason::kInterruptNotPresent);
  const auto reserved = [&message] {
    return message.refuse(FaultReason::kInterruptReserved,
                          event::kPresent.kMask | event::kReserved.kMask);
  };
  const bool x2apic = control::kX2apic.is_set(settings.control);
  if (irte::kGuestMode.is_set(entry[0])) {
    const bool enabled = wide && control::kGuestApicMode.get(settings.control) != 0;
    if (!enabled || (entry[0] & irte128::kGuestLow.reserved) != 0 ||
        (entry[1] & irte128::kHigh.reserved) != 0)
      return reserved();
    return posted(entry, index, x2apic);
  }
  const std::uint64_t reserved_low = wide ? irte128::kLow.reserved : irte32::kLayout.reserved;
  if ((entry[0] & reserved_low) != 0 || (wide && (entry[1] & irte128::kHigh.reserved) != 0) ||
      irte::kType.get(entry[0]) > irte::kMostType)
    return reserved();
  const std::uint64_t vector =
      wide ? irte128::kVector.get(entry[1]) : irte32::kVector.get(entry[0]);
  return RemappedInterrupt::remapped(
      {.destination = wide ? destination_of(entry, x2apic)
                           : static_cast<std::uint32_t>(irte32::kDestination.get(entry[0])),
       .vector = static_cast<std::uint8_t>(vector),
       .mode = mode_of(entry[0]),
       .logical = irte::kLogical.is_set(entry[0])},
      index);
}

[[nodiscard]] std::uint64_t table_entries(const DeviceEntry& entry) {
  std::uint64_t entries = 1;
  for (std::uint64_t i = 0; i < dte2::kTableLength.get(entry[2]); ++i) entries *= 2;
  return entries;
}

}  // namespace

std::uint64_t bus_address(Msi message) {
  // MT[3:0] by delivery mode; legacy ExtInt has the fourth bit.
  constexpr std::array<std::uint64_t, 8> kTypes = {0, 1, 2, 0, 3, 4, 0, 6};
  const std::uint64_t delivery = msi::kDelivery.get(message.data);
  return ht::kBase | ht::kVector.of(msi::kVector.get(message.data)) |
         ht::kDestination.of(msi::kDestination.get(message.address)) |
         ht::kLegacy.of(static_cast<DeliveryMode>(delivery) == DeliveryMode::kExternal) |
         ht::kLogical.of(msi::kLogical.is_set(message.address)) | ht::kType.of(kTypes[delivery]);
}

Result<RemappedInterrupt, Fault> remap_interrupt(const Request& request, Msi msi_in,
                                                 const pagetables::PhysicalMemory& memory,
                                                 const Capabilities& capabilities,
                                                 const Settings& settings) {
  Message message{.request = request, .msi = msi_in};
  const auto entry = read_device_entry(request, memory, settings, true);
  if (!entry) return Failure{entry.error()};
  // IV = 0: interrupts are not mapped, whatever V says.
  if (!dte2::kInterruptsValid.is_set((*entry)[2])) return RemappedInterrupt::as_it_is(msi_in);
  message.quiet = dte2::kIgnoreUnmapped.is_set((*entry)[2]);
  const DeviceEntryRules rules = device_entry_rules(capabilities.options, settings.control);
  if (((*entry)[2] & rules.reserved[2]) != 0 || ((*entry)[3] & rules.reserved[3]) != 0 ||
      ((*entry)[2] & dte2::kTable.kMask & capabilities.beyond_host_width) != 0)
    return message.illegal_entry(event::kReserved.kMask);
  const auto rule = static_cast<dte2::Control>(dte2::kControl.get((*entry)[2]));
  if (rule == dte2::Control::kReserved ||
      dte2::kTableLength.get((*entry)[2]) > dte2::kMostTableLength)
    return message.illegal_entry(0);

  if (const auto pass = passes(*entry, msi_in)) {
    if (*pass) return RemappedInterrupt::as_it_is(msi_in);
    return message.refuse(FaultReason::kInterruptBlocked);
  }
  switch (rule) {
    case dte2::Control::kAbort:
    case dte2::Control::kReserved:
      return message.refuse(FaultReason::kInterruptBlocked);
    case dte2::Control::kForward:
      return RemappedInterrupt::as_it_is(msi_in);
    case dte2::Control::kRemap:
      break;
  }
  const std::uint64_t index = msi::kIndex.get(msi_in.data);
  if (index >= table_entries(*entry)) return message.refuse(FaultReason::kInterruptIndex);
  const bool wide = control::kWideInterrupts.is_set(settings.control);
  const auto words = read_entry(memory, dte2::kTable.in_place((*entry)[2]), index, wide);
  if (!words) return message.unreadable(words.error());
  return by_entry(message, *words, static_cast<std::uint32_t>(index), wide, settings);
}

}  // namespace weir::amdvi
