// SPDX-License-Identifier: Apache-2.0
//
// What register writes do: Control turns the unit, its rings and its features on and off; Status
// shows which of them run. accept_write belongs to a register write, under the unit's lock;
// Settling to the runner, which has none. That translation is off shows in the run bits once
// everything that rests on it has ended (L1).
//
// Never waits: what is not settled is asked about again in the next pass.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "iommu/unit.h"
#include "vendors/amdvi/shared.h"

namespace weir::amdvi {

// True: there is something for the runner.
[[nodiscard]] bool accept_write(Shared& shared, Outbox& outbox, std::uint64_t offset, unsigned size,
                                std::uint64_t value) WEIR_REQUIRES(shared.mutex);

// Lets device threads see the registers as they are now.
void publish(Shared& shared) WEIR_REQUIRES(shared.mutex);
void restart_logs(Shared& shared) WEIR_REQUIRES(shared.mutex);

// The runner's own; one thread at a time.
class Settling {
 public:
  void forget() { *this = Settling{}; }
  void take_up(Shared& shared, const Requests& requests) WEIR_EXCLUDES(shared.mutex);
  // Publishes what has settled. `resets`: of the pass; nothing is published across a reset.
  void finish(Shared& shared, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex);

 private:
  std::optional<Ticket> turning_off_;
};

}  // namespace weir::amdvi
