// SPDX-License-Identifier: Apache-2.0
//
// Start here. `weir bench` in two calls: run() measures and makes the figures, print_table() or
// print_json() says them. What is measured and how: docs/bench.md.
//
// One call at a time in a process. run() throws std::runtime_error where a subject cannot be built
// or answers wrongly.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "bench/figures.h"
#include "bench/run_facts.h"
#include "bench/suite.h"

namespace weir::bench {

struct Options {
  bool quick = false;             // a second or two: shows that it works, measures nothing well
  std::vector<std::string> only;  // ids of figures; empty: all
};

struct Report {
  RunFacts facts;
  bool quick = false;
  std::size_t pages = 0;
  std::size_t iotlb_entries = 0;
  std::size_t requests = 0;
  std::vector<Measured> cases{};
  std::vector<Figure> figures{};
  // Something was measured that is not what it is called: said in words.
  std::vector<std::string> warnings{};
};

[[nodiscard]] Report run(const Options& options, const OnProgress& on_progress);

// True if some subject gave a wrong translation.
[[nodiscard]] bool any_wrong(const Report& report);

void print_table(const Report& report, std::ostream& out);
void print_json(const Report& report, std::ostream& out);

}  // namespace weir::bench
