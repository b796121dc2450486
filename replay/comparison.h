// SPDX-License-Identifier: Apache-2.0
//
// Holds what a unit answered against what the trace says, and has every answer judged for
// staleness. Writes its counts into a Report.
//
// For one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "replay/access_batch.h"
#include "replay/model_driver.h"
#include "replay/report.h"
#include "replay/stale_check.h"
#include "replay/trace_event.h"

namespace weir::replay {

class Comparison {
 public:
  Comparison(const StaleCheck& check, Report& report) : check_(check), report_(report) {}

  // A batch that has run.
  void take(const AccessBatch& batch);
  void take_record(std::uint64_t line, const FaultRecordWritten& logged, const FaultRecord& ours);
  void take_wait(std::uint64_t line, bool completed);
  void take_refusal(std::uint64_t line, const InvalidationDescriptor& descriptor);
  // A virtio request that came back with another status than OK.
  void take_refusal(std::uint64_t line, const char* request, std::uint8_t status);

 private:
  void take(const PendingAccess& access, const Answer& answer);
  void take_synthetic(const PendingAccess& access, const Answer& answer);
  // Nullopt: nothing to judge.
  std::optional<Freshness> judge(const PendingAccess& access, const Answer& answer);
  void take_window(const PendingAccess& access, const Answer& answer);
  // `count` goes up; the first few are described.
  void differs(std::uint64_t& count, std::uint64_t line, std::string what);

  const StaleCheck& check_;
  Report& report_;
};

}  // namespace weir::replay
