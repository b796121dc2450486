// SPDX-License-Identifier: Apache-2.0
#include "tools/verify_command.h"

#include <ostream>

#include "tools/exit_status.h"
#include "tools/progress.h"
#include "tools/verify/verify_files.h"

namespace weir::tools {

int run_verify(const VerifyOptions& options, std::ostream& out, std::ostream& err) {
  Progress progress;
  const auto report = verify::verify_files(
      options.files, {.failures = options.failures, .deviations = options.deviations},
      {.caches = options.caches},
      [&](const std::string& file, double done) { progress.show(file, done); });
  progress.clear();
  if (!report) {
    err << "weir verify: " << report.error().to_string() << "\n";
    return kUnusable;
  }
  report->print(out);
  return report->total().failed == 0 ? kGood : kDifferent;
}

}  // namespace weir::tools
