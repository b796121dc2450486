// SPDX-License-Identifier: Apache-2.0
//
// The command buffer (48882 section 2.4): fetches commands between head and tail, hands what they
// ask for to the core, and completes COMPLETION_WAIT once everything before it has ended (L1).
// Until then it stays parked there, head not advanced. An illegal command, or memory that is not
// there, stops it: an event, CmdBufRun = 0, the head at the culprit, until software has turned the
// buffer off and on.
//
// The runner's only, one thread at a time, with no lock held. Never waits. A pass is bounded by
// what software has queued: the head follows the tail round the ring and stops at it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "iommu/unit.h"
#include "vendors/amdvi/commands.h"
#include "vendors/amdvi/shared.h"
#include "vendors/common/outstanding.h"

namespace weir::amdvi {

class CommandQueue {
 public:
  void forget() { *this = CommandQueue{}; }
  void run(Shared& shared, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex);

 private:
  struct Position {
    Gpa at;
    std::uint64_t head_after = 0;
  };

  // True: the head has moved on.
  [[nodiscard]] bool step(Shared& shared, std::uint64_t resets);
  [[nodiscard]] static std::optional<Position> next(Shared& shared);
  // True: done. False: parked, or stopped.
  [[nodiscard]] bool carry_out(Shared& shared, const Command& command, const Position& position,
                               std::uint64_t resets);
  [[nodiscard]] bool invalidate(Shared& shared, std::span<const iotlb::Invalidation> what);
  [[nodiscard]] bool forget_first(Shared& shared, const Prefetch& prefetch);
  [[nodiscard]] bool ask_device(Shared& shared, const ForgetInDevice& what, Gpa command);
  [[nodiscard]] bool complete(Shared& shared, const CompletionWait& wait, std::uint64_t resets);
  static void stop(Shared& shared, EventCode code, Gpa at, std::uint64_t resets);

  Outstanding outstanding_;
};

}  // namespace weir::amdvi
