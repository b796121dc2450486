// SPDX-License-Identifier: Apache-2.0
//
// The weir command. Everything it does is in command_line.cpp and the subcommands it calls.

#include <iostream>

#include "tools/command_line.h"

int main(int argc, char** argv) {
  return weir::tools::run_command_line(argc, argv, std::cout, std::cerr);
}
