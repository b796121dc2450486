// SPDX-License-Identifier: Apache-2.0
//
// Replays a trace: feeds its events to the model driver and its accesses to device ports, and
// compares what comes out with what the trace says. A QEMU log is a whole input: before each access
// the model's tables are made to say what the log shows.
//
//   fill          writes that leaf, with the log's page size and permissions
//   fault         takes the permission away, and the leaf with it when none is left
//   hit           changes nothing, except where the log begins after the leaf was written
//   descriptors, context words, register writes   are taken as they are
//
// A log has no direction for what succeeded, and no length: read if the leaf allows it, else write,
// of one byte.
//
// A guest's ftrace is a whole input too: its maps, unmaps and flushes are taken as they are, and
// accesses, which it does not show, are made up (ftrace_replay.h). The two are never merged.
//
// Any thread; traces share nothing.
#pragma once

#include <functional>
#include <string>

#include "iommu/iommu.h"
#include "replay/model_driver.h"
#include "replay/report.h"
#include "replay/trace_error.h"

namespace weir::replay {

struct ReplayOptions {
  // QEMU's own IOTLB has as many.
  CacheOptions caches{.organisation = CacheOptions::Organisation::kSetAssociative, .entries = 1024};
  // Called now and then with how far the trace has been read, 0…1.
  std::function<void(double part)> progress{};
  // A fault to seed in tests; see there.
  VtdModelDriver::Lose lose{};
};

// The kind of trace is told from its first lines.
[[nodiscard]] Result<Report, TraceError> replay_trace(const std::string& path,
                                                      const ReplayOptions& options);

}  // namespace weir::replay
