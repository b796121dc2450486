// SPDX-License-Identifier: Apache-2.0
//
// Runs vector files through the machines of their modes. For one thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "replay/trace_error.h"
#include "tools/verify/machine.h"
#include "tools/verify/report.h"

namespace weir::verify {

// Called after every case with how far the file is: 0…1.
using OnProgress = std::function<void(const std::string& file, double done)>;

// All of them or none: every header is looked at before any case is run, and the first thing that
// cannot be read ends it.
[[nodiscard]] Result<Report, replay::TraceError> verify_files(const std::vector<std::string>& paths,
                                                              const ReportLimits& limits,
                                                              const MachineOptions& machine,
                                                              const OnProgress& on_progress);

}  // namespace weir::verify
