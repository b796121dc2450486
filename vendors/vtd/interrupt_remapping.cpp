// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/interrupt_remapping.h"

#include "pagetables/wide_load.h"
#include "vendors/vtd/interrupt_tables.h"
#include "vendors/vtd/reading.h"

namespace weir::vtd {
namespace {

using EntryWords = InterruptEntries::Words;

namespace entry = interrupt_entry;

// One message on its way: the fault names its index once it is known.
struct Message {
  const Request& request;
  std::uint32_t index = 0;
  std::uint64_t entry_at = 0;
  bool silenced = false;

  [[nodiscard]] Failure<Fault> fault(Code code, FaultReason reason) const {
    Fault result = make_fault(request, code, reason, silenced);
    result.entry_at = entry_at;
    result.vendor_detail = index;
    return Failure{result};
  }
};

[[nodiscard]] bool is_extended(const InterruptTable& table) {
  return table.capabilities.options.extended_interrupts && reg::irta::kExtended.is_set(table.state);
}

// Handle and subhandle are added without wrapping: FFFFh + 1 is beyond every table.
[[nodiscard]] std::uint32_t index_of(Msi msi) {
  namespace address = interrupt_address;
  const std::uint64_t handle = interrupt_handle::kLow.of(address::kHandleLow.get(msi.address)) |
                               interrupt_handle::kHigh.of(address::kHandleHigh.get(msi.address));
  const bool more = address::kSubhandleValid.is_set(msi.address);
  return static_cast<std::uint32_t>(handle + (more ? interrupt_data::kSubhandle.get(msi.data) : 0));
}

[[nodiscard]] std::uint64_t reserved_destination(bool extended) {
  namespace re = remapped_entry;
  return extended ? 0 : re::kDestination.kMask & ~re::kShortDestination.kMask;
}

[[nodiscard]] bool is_posted(const InterruptTable& table, const EntryWords& words) {
  return table.capabilities.options.posted_interrupts && entry::kPosted.is_set(words[0]);
}

[[nodiscard]] std::optional<DeliveryMode> decode_mode(std::uint64_t field) {
  switch (field) {
    case 0:
      return DeliveryMode::kFixed;
    case 1:
      return DeliveryMode::kLowestPriority;
    case 2:
      return DeliveryMode::kSmi;
    case 4:
      return DeliveryMode::kNmi;
    case 5:
      return DeliveryMode::kInit;
    case 7:
      return DeliveryMode::kExternal;
    default:
      return std::nullopt;
  }
}

[[nodiscard]] bool has_reserved(const InterruptTable& table, const EntryWords& words) {
  if (!entry::decode_validation(words[1])) return true;
  if (is_posted(table, words))
    return (words[0] & posted_entry::kLow.reserved) != 0 ||
           (words[1] & posted_entry::kHigh.reserved) != 0;
  namespace re = remapped_entry;
  // IM is reserved without CAP.PI, and so are delivery modes without a meaning.
  const std::uint64_t low =
      re::kLow.reserved | reserved_destination(is_extended(table)) | entry::kPosted.kMask;
  return (words[0] & low) != 0 || (words[1] & re::kHigh.reserved) != 0 ||
         !decode_mode(re::kDeliveryMode.get(words[0]));
}

[[nodiscard]] bool source_is_valid(std::uint64_t high, Requester requester) {
  // SQ: which of the function's bits need not match.
  static constexpr std::array<std::uint16_t, 4> kIgnored = {
      0, static_cast<std::uint16_t>(bit_mask(2, 2)), static_cast<std::uint16_t>(bit_mask(2, 1)),
      static_cast<std::uint16_t>(bit_mask(2, 0))};
  const std::uint64_t source = entry::kSource.get(high);
  switch (entry::decode_validation(high).value_or(SourceValidation::kNone)) {
    case SourceValidation::kNone:
      return true;
    case SourceValidation::kSource:
      return ((source ^ requester.bdf) & ~kIgnored[entry::kSourceQualifier.get(high)]) == 0;
    case SourceValidation::kBus:
      return entry::kFirstBus.get(source) <= requester.bus() &&
             requester.bus() <= entry::kLastBus.get(source);
  }
  return false;
}

[[nodiscard]] RemappedInterrupt remapped(const EntryWords& words, std::uint32_t index,
                                         bool extended) {
  namespace re = remapped_entry;
  const std::uint64_t low = words[0];
  const std::uint64_t destination =
      extended ? re::kDestination.get(low) : re::kShortDestination.get(low);
  return RemappedInterrupt::remapped(
      {.destination = static_cast<std::uint32_t>(destination),
       .vector = static_cast<std::uint8_t>(entry::kVector.get(low)),
       .mode = decode_mode(re::kDeliveryMode.get(low)).value_or(DeliveryMode::kFixed),
       .logical = re::kLogical.is_set(low),
       .redirection_hint = re::kHint.is_set(low),
       .level = re::kLevel.is_set(low)},
      index);
}

[[nodiscard]] RemappedInterrupt posted(const EntryWords& words, std::uint32_t index,
                                       bool silenced) {
  namespace pe = posted_entry;
  RemappedInterrupt result;
  result.kind = RemappedInterrupt::Kind::kPosted;
  result.interrupt.vector = static_cast<std::uint8_t>(entry::kVector.get(words[0]));
  result.index = index;
  result.descriptor = Gpa(descriptor_address::kHigh.of(pe::kDescriptorHigh.get(words[1])) |
                          descriptor_address::kLow.of(pe::kDescriptorLow.get(words[0])));
  result.urgent = pe::kUrgent.is_set(words[0]);
  result.vendor_detail = silenced ? 1 : 0;
  return result;
}

}  // namespace

Result<RemappedInterrupt, Fault> remap(const InterruptTable& table, const Request& request, Msi msi,
                                       const pagetables::PhysicalMemory& memory) {
  Message message{.request = request};
  const bool extended = is_extended(table);
  if (!interrupt_address::kRemappable.is_set(msi.address)) {
    // 5.1.4: compatibility format is blocked with EIME, and without CFIS.
    if (extended || !interrupt_state::kCompatibility.is_set(table.state))
      return message.fault(Code::kCompatibilityBlocked, FaultReason::kInterruptBlocked);
    return RemappedInterrupt::as_it_is(msi);
  }
  message.index = index_of(msi);
  if (interrupt_address::kSubhandleValid.is_set(msi.address) &&
      interrupt_data::kReserved.is_set(msi.data))
    return message.fault(Code::kInterruptReserved, FaultReason::kInterruptMalformed);
  const std::uint64_t last = bit_mask(static_cast<unsigned>(reg::irta::kSize.get(table.state)), 0);
  if (message.index > last)
    return message.fault(Code::kInterruptIndex, FaultReason::kInterruptIndex);

  message.entry_at = reg::irta::kTable.in_place(table.state) + message.index * entry::kBytes;
  const std::uint64_t ticket = table.entries.begin_fill();
  auto words = table.entries.find(message.index);
  if (!words) {
    const auto loaded = pagetables::load_pair(memory, Gpa(message.entry_at));
    if (!loaded) return message.fault(Code::kInterruptAccess, FaultReason::kInterruptUnreadable);
    words = *loaded;
    if (entry::kPresent.is_set((*words)[0])) table.entries.fill(ticket, message.index, *words);
  }
  message.silenced = entry::kFaultDisable.is_set((*words)[0]);
  if (!entry::kPresent.is_set((*words)[0]))
    return message.fault(Code::kInterruptNotPresent, FaultReason::kInterruptNotPresent);
  if (has_reserved(table, *words))
    return message.fault(Code::kInterruptEntryReserved, FaultReason::kInterruptReserved);
  if (!source_is_valid((*words)[1], request.requester))
    return message.fault(Code::kInterruptSource, FaultReason::kInterruptSource);
  return is_posted(table, *words) ? posted(*words, message.index, message.silenced)
                                  : remapped(*words, message.index, extended);
}

Result<std::optional<Msi>, Fault> post(const InterruptTable& table, const Request& request,
                                       const RemappedInterrupt& posted,
                                       const pagetables::PhysicalMemory& memory) {
  namespace pd = posted_descriptor;
  constexpr int kAttempts = 64;
  const Message message{.request = request,
                        .index = posted.index.value_or(0),
                        .entry_at = posted.descriptor.value(),
                        .silenced = posted.vendor_detail != 0};
  const Gpa control_at = posted.descriptor + pd::kControlAt;
  const Gpa request_at =
      posted.descriptor + pd::kRequestWord.get(posted.interrupt.vector) * sizeof(std::uint64_t);
  const unsigned bit = static_cast<unsigned>(pd::kRequestBit.get(posted.interrupt.vector));
  const auto unreadable = [&message] {
    return message.fault(Code::kDescriptorAccess, FaultReason::kInterruptUnreadable);
  };
  // Sets what `change` makes of the word at `at`; gives the word before, or nothing.
  const auto update = [&memory](Gpa at, auto change) -> std::optional<std::uint64_t> {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const auto word = memory.load64(at);
      if (!word) return std::nullopt;
      std::uint64_t seen = *word;
      const std::uint64_t wanted = change(seen);
      if (wanted == seen) return seen;
      const auto done = memory.compare_exchange64(at, seen, wanted);
      if (!done) return std::nullopt;
      if (*done) return *word;
    }
    return std::nullopt;
  };

  const auto control = memory.load64(control_at);
  if (!control) return unreadable();
  if ((*control & pd::kControl.reserved) != 0)
    return message.fault(Code::kDescriptorReserved, FaultReason::kInterruptReserved);
  // The request first: who is notified must find it.
  if (!update(request_at, [bit](std::uint64_t word) { return word | bit_mask(bit, bit); }))
    return unreadable();
  const auto notify = [urgent = posted.urgent](std::uint64_t word) {
    return !pd::kOutstanding.is_set(word) && (urgent || !pd::kSuppress.is_set(word));
  };
  const auto before = update(control_at, [&notify](std::uint64_t word) {
    return notify(word) ? word | pd::kOutstanding.kMask : word;
  });
  if (!before) return unreadable();
  if (!notify(*before)) return std::optional<Msi>{};
  const std::uint64_t destination =
      is_extended(table) ? pd::kDestination.get(*before) : pd::kShortDestination.get(*before);
  return std::optional(to_msi({.destination = static_cast<std::uint32_t>(destination),
                               .vector = static_cast<std::uint8_t>(pd::kVector.get(*before))}));
}

}  // namespace weir::vtd
