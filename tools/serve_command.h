// SPDX-License-Identifier: Apache-2.0
//
// `weir serve MACHINE.json`: serves the machine of the description over vfio-user, in the
// foreground, until it is told to end (SIGINT, SIGTERM). Docs: docs/serve.md.
#pragma once

#include <iosfwd>
#include <string>

namespace weir::tools {

struct ServeOptions {
  std::string description;          // a file
  std::string folder = "weir-run";  // of sockets and table; made if it is not there
  std::string qemu = "qemu-system-x86_64";
  std::string record;  // a file for a trace; empty: none
  bool check = false;  // judge every answer
  bool once = false;   // end when the last client has gone
};

// `out` gets the QEMU command (the first line, and nothing else until the machine ends or SIGUSR1
// asks for counters: then one line of JSON each); `err` everything that goes wrong, a line each.
// Returns the exit status: 0 served, 2 nothing could be served.
[[nodiscard]] int run_serve(const ServeOptions& options, std::ostream& out, std::ostream& err);

}  // namespace weir::tools
