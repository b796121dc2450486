// SPDX-License-Identifier: Apache-2.0
//
// `weir bench [FIGURE…]`: measures, and compares with the goals. One thread.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace weir::tools {

struct BenchOptions {
  std::vector<std::string> figures;  // ids; empty: all
  bool json = false;
  bool strict = false;
  bool quick = false;
};

// Returns the exit status: 0; 1 if a subject translated wrongly or, with `strict`, a required
// figure was missed; 2 for an unknown figure, or a build without bench/.
[[nodiscard]] int run_bench(const BenchOptions& options, std::ostream& out, std::ostream& err);

}  // namespace weir::tools
