// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/commands.h"

#include <bit>

#include "vendors/amdvi/command_layout.h"

namespace weir::amdvi {
namespace {

using command::Opcode;
namespace pages = command::pages;

[[nodiscard]] bool clean(const CommandWords& words, const Layout& low,
                         const Layout& high = command::kNothing) {
  return (words[0] & low.reserved) == 0 && (words[1] & high.reserved) == 0;
}

[[nodiscard]] Requester device_of(const CommandWords& words, std::uint16_t segment) {
  return Requester::from_sid(static_cast<std::uint16_t>(command::kDevice.get(words[0])), segment);
}

[[nodiscard]] Pasid pasid_of(std::uint64_t value) { return {static_cast<std::uint32_t>(value)}; }

[[nodiscard]] std::optional<AddressRange<Iova>> named_pages(const CommandWords& words) {
  return pages_of(pages::kAddress.in_place(words[1]), pages::kSized.is_set(words[1]));
}

// The guest bit means something only where guest tables are.
[[nodiscard]] bool guest_bit_fits(const CommandWords& words, const Options& options) {
  return options.guest_tables || !pages::kGuest.is_set(words[1]);
}

[[nodiscard]] std::optional<Command> decode_wait(const CommandWords& words) {
  namespace wait = command::wait;
  // The data may be anything. f asks that nothing younger begins before: commands run in order
  // here.
  if ((words[0] & wait::kLow.reserved) != 0) return std::nullopt;
  CompletionWait result;
  if (wait::kStore.is_set(words[0])) result.store_at = Gpa(wait::kAddress.in_place(words[0]));
  result.data = words[1];
  result.interrupt = wait::kInterrupt.is_set(words[0]);
  return result;
}

[[nodiscard]] std::optional<Command> decode_forget_pages(const CommandWords& words,
                                                         const Options& options) {
  namespace layout = command::forget_pages;
  if (!clean(words, layout::kLow, layout::kHigh) || !guest_bit_fits(words, options))
    return std::nullopt;
  ForgetPages result;
  result.domain = DomainId{static_cast<std::uint32_t>(layout::kDomain.get(words[0]))};
  if (pages::kGuest.is_set(words[1])) result.pasid = pasid_of(layout::kPasid.get(words[0]));
  const auto range = named_pages(words);
  result.everything = !range;
  result.range = range.value_or(whole_space<Iova>());
  result.tables_too = pages::kTables.is_set(words[1]);
  return result;
}

[[nodiscard]] std::optional<Command> decode_forget_in_device(const CommandWords& words,
                                                             const Options& options,
                                                             std::uint16_t segment) {
  namespace layout = command::forget_in_device;
  const bool reserved = !clean(words, layout::kLow, layout::kHigh) ||
                        layout::kType.get(words[1]) != 0;  // EFR.InvIotlbTypeSup is 0
  if (!options.device_tlb || reserved || !guest_bit_fits(words, options)) return std::nullopt;
  ForgetInDevice result;
  result.device = device_of(words, segment);
  if (pages::kGuest.is_set(words[1]))
    result.pasid = pasid_of(layout::kPieceLow.of(layout::kPasidLow.get(words[0])) |
                            layout::kPieceMiddle.of(layout::kPasidMiddle.get(words[0])) |
                            layout::kPieceHigh.of(layout::kPasidHigh.get(words[0])));
  result.range = named_pages(words).value_or(whole_space<Iova>());
  return result;
}

[[nodiscard]] std::optional<Command> decode_prefetch(const CommandWords& words,
                                                     const Options& options,
                                                     std::uint16_t segment) {
  namespace layout = command::prefetch;
  if (!options.prefetch || !clean(words, layout::kLow, layout::kHigh) ||
      !guest_bit_fits(words, options))
    return std::nullopt;
  Prefetch result;
  result.device = device_of(words, segment);
  if (pages::kGuest.is_set(words[1])) result.pasid = pasid_of(layout::kPasid.get(words[0]));
  result.range = named_pages(words).value_or(whole_space<Iova>());
  result.forget = layout::kForget.is_set(words[1]);
  return result;
}

[[nodiscard]] std::optional<Command> decode_response(const CommandWords& words,
                                                     const Options& options,
                                                     std::uint16_t segment) {
  namespace layout = command::response;
  if (!options.page_requests || !clean(words, layout::kLow, layout::kHigh)) return std::nullopt;
  AnswerRequest result;
  result.device = device_of(words, segment);
  if (pages::kGuest.is_set(words[1])) result.pasid = pasid_of(layout::kPasid.get(words[0]));
  result.tag = static_cast<std::uint16_t>(layout::kIndex.get(words[1]));
  result.status = static_cast<std::uint8_t>(layout::kStatus.get(words[1]));
  return result;
}

}  // namespace

std::optional<AddressRange<Iova>> pages_of(std::uint64_t address, bool sized) {
  const std::uint64_t inside_page = kPageSize - 1;
  const std::uint64_t filled = address | inside_page;
  const Iova page = Iova(address & ~inside_page);
  if (!sized) return AddressRange<Iova>{page, page + inside_page};
  // The zero bit itself still belongs to the offset: 2^(n+1) bytes for zero bit n.
  const auto zero = static_cast<unsigned>(std::countr_one(filled));
  if (zero >= 63) return std::nullopt;
  const std::uint64_t inside = bit_mask(zero, 0);
  return AddressRange<Iova>{Iova(address & ~inside), Iova(address | inside)};
}

std::optional<Command> decode_command(const CommandWords& words, const Options& options,
                                      std::uint16_t segment) {
  // Opcodes that are not here, 9 and Ah among them (EFR.vIommuSup is 0), are illegal.
  switch (static_cast<Opcode>(command::kOpcode.get(words[0]))) {
    case Opcode::kCompletionWait:
      return decode_wait(words);
    case Opcode::kForgetDevice:
      if (!clean(words, command::device::kLow)) return std::nullopt;
      return ForgetDevice{device_of(words, segment)};
    case Opcode::kForgetPages:
      return decode_forget_pages(words, options);
    case Opcode::kForgetInDevice:
      return decode_forget_in_device(words, options, segment);
    case Opcode::kForgetInterrupts:
      if (!clean(words, command::device::kLow)) return std::nullopt;
      return ForgetInterrupts{device_of(words, segment)};
    case Opcode::kPrefetch:
      return decode_prefetch(words, options, segment);
    case Opcode::kAnswerRequest:
      return decode_response(words, options, segment);
    case Opcode::kForgetAll:
      if (!options.invalidate_all || !clean(words, command::forget_all::kLow)) return std::nullopt;
      return ForgetAll{};
  }
  return std::nullopt;
}

}  // namespace weir::amdvi
