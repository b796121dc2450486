// SPDX-License-Identifier: Apache-2.0
//
// The invalidation queue (manual 6.5.2): fetches descriptors between head and tail, hands what they
// ask for to the core, and completes wait descriptors once everything before them has ended (L1).
// Until then it stays parked at the wait, head not advanced. A descriptor that is not understood
// stops it: IQE, with the head at the culprit; it goes on from there when software has cleared IQE.
//
// All but accept_tail belongs to the runner, one thread at a time, with no lock held. Never waits.
// A pass is bounded by what software has queued: the head follows the tail and stops at it, and
// only further writes of IQT_REG move the tail.
#pragma once

#include <cstdint>
#include <optional>

#include "iommu/unit.h"
#include "vendors/common/outstanding.h"
#include "vendors/vtd/descriptors.h"
#include "vendors/vtd/invalidations.h"
#include "vendors/vtd/shared.h"

namespace weir::vtd {

// IQT_REG was written. The message to send, if that was an error.
[[nodiscard]] std::optional<Msi> accept_tail(Shared& shared) WEIR_REQUIRES(shared.mutex);

class Queue {
 public:
  void forget() { *this = Queue{}; }
  void take_up(Shared& shared, const Requests& requests) WEIR_EXCLUDES(shared.mutex);
  void run(Shared& shared, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex);

 private:
  // True: the head has moved on.
  [[nodiscard]] bool step(Shared& shared, std::uint64_t resets);
  [[nodiscard]] std::optional<std::uint64_t> next_head(Shared& shared);
  [[nodiscard]] bool carry_out(Shared& shared, const descriptor::Command& command,
                               std::uint64_t resets);
  void complete(Shared& shared, const descriptor::Wait& wait, std::uint64_t resets);
  void finish_disabling(Shared& shared, std::uint64_t resets);

  // As latched when the queue was enabled.
  Gpa base_;
  std::uint64_t bytes_ = 0;
  bool wide_ = false;

  [[nodiscard]] std::uint64_t descriptor_bytes() const {
    return wide_ ? descriptor::kWideBytes : descriptor::kBytes;
  }
  void abort_after_timeout(Shared& shared, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex);

  bool disabling_ = false;
  bool waiting_ = false;             // parked at the wait descriptor under the head
  std::uint64_t timeouts_seen_ = 0;  // of Shared::timeouts
  Outstanding outstanding_;
};

}  // namespace weir::vtd
