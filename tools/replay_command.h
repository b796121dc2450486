// SPDX-License-Identifier: Apache-2.0
//
// `weir replay TRACE…`: replays traces and prints what came of them. Any number of threads inside;
// one report after the other, in the order of the traces.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace weir::tools {

struct ReplayCommandOptions {
  std::vector<std::string> files;
  std::size_t entries = 1024;  // of the IOTLB
  bool reference = false;      // exact LRU over all entries; `entries` 0 is then no limit
  bool json = false;
};

// Reports go to `out`, the cause to `err` (one line) where a trace cannot be replayed; then nothing
// is written to `out`. Returns the exit status: 0 as the traces say, 1 something differed or was
// stale, 2 unreadable input or a mode not built.
[[nodiscard]] int run_replay(const ReplayCommandOptions& options, std::ostream& out,
                             std::ostream& err);

}  // namespace weir::tools
