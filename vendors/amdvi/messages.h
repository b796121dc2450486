// SPDX-License-Identifier: Apache-2.0
//
// The unit's own interrupts: through the MSI capability of its PCI function, which the embedder
// tells it of, or, with Control.IntCapXTEn, through the XT registers (48882 section 3.4.12).
//
// Works on the register file under the unit's lock; messages are sent by the caller once the lock
// is gone. Never sends by itself.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "iommu/unit.h"
#include "vendors/amdvi/register_file.h"

namespace weir::amdvi {

// `own_message`: the XT register of the cause. Nothing: no way to say it has been set up.
[[nodiscard]] std::optional<Msi> own_message(const RegisterFile& registers,
                                             const reg::Register& own_message,
                                             const std::optional<Msi>& pci_msi);

// Messages collected under the lock, to be sent without it.
class Outbox {
 public:
  void add(const std::optional<Msi>& message) {
    if (message && count_ < messages_.size()) messages_[count_++] = *message;
  }
  void send(UnitHost& host) const {
    for (std::size_t i = 0; i < count_; ++i) host.raise(messages_[i]);
  }

 private:
  std::array<Msi, 8> messages_{};
  std::size_t count_ = 0;
};

}  // namespace weir::amdvi
