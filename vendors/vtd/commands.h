// SPDX-License-Identifier: Apache-2.0
//
// The commands that registers carry: translation and interrupt remapping, their tables,
// compatibility format (GCMD_REG), context and IOTLB invalidation (CCMD_REG, IOTLB_REG). accept()
// belongs to a register write, under the unit's lock; pass() to the runner, which has none. A
// command's status bit changes only when everything that rests on the old state has ended (L1).
//
// Never waits: what is not settled is asked about again in the next pass.
#pragma once

#include <cstdint>
#include <optional>

#include "iommu/unit.h"
#include "vendors/vtd/shared.h"

namespace weir::vtd {

// GCMD_REG was written with `value`.
void accept_global_command(Shared& shared, std::uint64_t value) WEIR_REQUIRES(shared.mutex);
// Registers whose command has not completed yet take no writes.
[[nodiscard]] bool command_pending(const Shared& shared, std::uint64_t offset)
    WEIR_REQUIRES(shared.mutex);

// The runner's own; one thread at a time.
class Commands {
 public:
  void forget() { *this = Commands{}; }
  void take_up(Shared& shared, const Requests& requests) WEIR_EXCLUDES(shared.mutex);
  // Publishes what has settled. `resets`: of the pass; nothing is published across a reset.
  void finish(Shared& shared, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex);

 private:
  // A command under way, and the value that its register gets in the end.
  struct Pending {
    Ticket ticket{};
    std::uint64_t outcome = 0;
  };
  struct PendingRoot {
    Ticket contexts{};
    Ticket translations{};
  };
  void take_up_modes(Shared& shared, const Requests& requests) WEIR_EXCLUDES(shared.mutex);
  void take_up_interrupts(Shared& shared, const Requests& requests) WEIR_EXCLUDES(shared.mutex);
  void finish_interrupts(Shared& shared, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex);
  [[nodiscard]] static Pending start_context_command(Shared& shared) WEIR_EXCLUDES(shared.mutex);
  [[nodiscard]] static Pending start_iotlb_command(Shared& shared) WEIR_EXCLUDES(shared.mutex);

  std::optional<Pending> translation_;
  std::optional<PendingRoot> root_;
  std::optional<Pending> context_;
  std::optional<Pending> iotlb_;
  std::optional<Pending> protection_;
  std::optional<Ticket> interrupt_table_;
  std::optional<Pending> remapping_;
  std::optional<Pending> compatibility_;
};

}  // namespace weir::vtd
