// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/events.h"

namespace weir::vtd {
namespace {

inline constexpr Field<63, 32> kUpperHalf{"upper half of the message address"};

[[nodiscard]] Msi message(const RegisterFile& registers, const Event& event) {
  return {
      .address = kUpperHalf.with(registers.get(event.address), registers.get(event.upper_address)),
      .data = static_cast<std::uint32_t>(registers.get(event.data))};
}

}  // namespace

std::optional<Msi> signal(RegisterFile& registers, const Event& event) {
  if (reg::event::kMask.is_set(registers.get(event.control))) {
    registers.set_bits(event.control, reg::event::kPending.kMask);
    return std::nullopt;
  }
  lapse(registers, event);
  return message(registers, event);
}

std::optional<Msi> after_unmasking(RegisterFile& registers, const Event& event) {
  const std::uint64_t control = registers.get(event.control);
  if (reg::event::kMask.is_set(control) || !reg::event::kPending.is_set(control))
    return std::nullopt;
  return signal(registers, event);
}

void lapse(RegisterFile& registers, const Event& event) {
  registers.clear_bits(event.control, reg::event::kPending.kMask);
}

}  // namespace weir::vtd
