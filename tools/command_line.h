// SPDX-License-Identifier: Apache-2.0
//
// The weir command without its process: takes the arguments apart and runs the subcommand they
// name. command_line.cpp is the one place that knows options; each subcommand lives in a pair of
// files of its own (verify_command.h, …) as a plain function over a plain struct.
//
// One thread. Nothing is thrown: whatever goes wrong becomes one line on `err` and exit status 2.
#pragma once

#include <iosfwd>

namespace weir::tools {

[[nodiscard]] int run_command_line(int argc, const char* const* argv, std::ostream& out,
                                   std::ostream& err);

}  // namespace weir::tools
