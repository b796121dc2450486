// SPDX-License-Identifier: Apache-2.0
//
// What a run was: without it, figures mean nothing. One thread.
#pragma once

#include <string>

namespace weir::bench {

struct RunFacts {
  std::string version;     // of weir
  std::string build_type;  // as it was configured
  std::string compiler;
  std::string processor;
  unsigned processors = 0;  // that this process may use
  double load = 0;          // runnable processes over the last minute, before the run
  bool assertions = false;  // compiled in
};

[[nodiscard]] RunFacts run_facts();

}  // namespace weir::bench
