// SPDX-License-Identifier: Apache-2.0
//
// `weir verify VECTOR…`: compares what this build does with recorded test vectors. One thread.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "iommu/iommu.h"

namespace weir::tools {

struct VerifyOptions {
  std::vector<std::string> files;
  std::size_t failures = 10;   // failing operations to show in full
  std::size_t deviations = 0;  // differing operations to show in full for each QEMU deviation
  CacheOptions caches;         // of the units
};

// The report goes to `out` when everything was read, the cause to `err` (one line) when not.
// Returns the exit status: 0 all passed, 1 some failed, 2 unreadable input or a mode not built.
[[nodiscard]] int run_verify(const VerifyOptions& options, std::ostream& out, std::ostream& err);

}  // namespace weir::tools
