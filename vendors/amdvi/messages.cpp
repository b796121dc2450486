// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/messages.h"

#include "vendors/amdvi/interrupt_entry.h"

namespace weir::amdvi {

std::optional<Msi> own_message(const RegisterFile& registers, const reg::Register& own_message,
                               const std::optional<Msi>& pci_msi) {
  namespace xt = reg::xt;
  if (!reg::control::kX2apicOwn.is_set(registers.get(reg::control::kRegister))) return pci_msi;
  const std::uint64_t word = registers.get(own_message);
  const std::uint64_t destination = destination::kLow24.of(xt::kDestination.get(word)) |
                                    destination::kHigh8.of(xt::kDestinationHigh.get(word));
  return to_msi(
      {.destination = static_cast<std::uint32_t>(destination),
       .vector = static_cast<std::uint8_t>(xt::kVector.get(word)),
       .mode = xt::kLowest.is_set(word) ? DeliveryMode::kLowestPriority : DeliveryMode::kFixed,
       .logical = xt::kLogical.is_set(word)});
}

}  // namespace weir::amdvi
