// SPDX-License-Identifier: Apache-2.0
//
// What a run was: the version that ran, what compiled it, the machine it ran on, and what asking
// the time costs there. Whoever compares two reports needs these first.
//
// Any thread; read once per process.
#pragma once

#include <string>

namespace weir::replay {

struct RunEnvironment {
  std::string version;
  std::string compiler;
  bool optimised = false;
  bool sanitized = false;
  std::string processor;
  unsigned processors = 0;
  double clock_ns = 0;  // one look at the clock
};

[[nodiscard]] const RunEnvironment& run_environment();

}  // namespace weir::replay
