// SPDX-License-Identifier: Apache-2.0
//
// Interrupt remapping (manual chapter 5): from a message and the function that sent it to another
// message, a posted one, or a fault. Every message names its requester; there is no other way in.
//
// Any thread; never waits. remap() writes nothing; post() writes the posted-interrupt descriptor.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iommu/interrupts.h"
#include "pagetables/physical_memory.h"
#include "vendors/vtd/capabilities.h"
#include "vendors/vtd/interrupt_entries.h"

namespace weir::vtd {

// IRTA_REG as latched by SIRTP, with GSTS.CFIS beside it: one word, so that a message meets both
// from one moment.
namespace interrupt_state {
inline constexpr Bit<4> kCompatibility{"CFIS", "compatibility format passes"};
static_assert((kCompatibility.kMask & reg::irta::kLayout.defined) == 0);
}  // namespace interrupt_state

struct InterruptTable {
  std::uint64_t state = 0;  // interrupt_state over IRTA_REG
  const Capabilities& capabilities;
  InterruptEntries& entries;
};

[[nodiscard]] Result<RemappedInterrupt, Fault> remap(const InterruptTable& table,
                                                     const Request& request, Msi msi,
                                                     const pagetables::PhysicalMemory& memory);

// A message that remap() called posted is being sent. The notification, if one is due.
[[nodiscard]] Result<std::optional<Msi>, Fault> post(const InterruptTable& table,
                                                     const Request& request,
                                                     const RemappedInterrupt& posted,
                                                     const pagetables::PhysicalMemory& memory);

}  // namespace weir::vtd
