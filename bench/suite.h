// SPDX-License-Identifier: Apache-2.0
//
// Measures cases with Google Benchmark: repetitions of all cases in one random order, so that a
// subject and its baseline meet the same machine; a second thread alive throughout, because without
// one the C library leaves out the atomics of locks; thread CPU time for one thread, wall time and
// pinned threads for two; the median of the repetitions.
//
// One call at a time in a process: the harness keeps its cases in globals.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/cases.h"

namespace weir::bench {

struct SuiteOptions {
  unsigned repetitions = 15;          // of cases with one thread
  unsigned threaded_repetitions = 9;  // of the others
  double seconds = 0.03;              // of each repetition, at least
};

// Nanoseconds are those of one request; with several threads, wall time by all requests.
struct Measured {
  std::string name;
  unsigned threads = 1;
  std::size_t repetitions = 0;
  double median_ns = 0;
  double lowest_ns = 0;
  double highest_ns = 0;
  std::optional<double> hit_rate{};    // 0…1, of the measured requests
  std::optional<double> references{};  // table entries read for a walk
  std::optional<double> amount{};      // the median of what is not nanoseconds
  std::string_view unit{};             // of it
  bool wrong = false;                  // it gave a wrong translation
  std::string trouble{};               // not empty: why there are no figures
};

// Gives a value from 0 to 1 while it runs.
using OnProgress = std::function<void(std::string_view what, double done)>;

[[nodiscard]] std::vector<Measured> measure(const std::vector<Case>& cases,
                                            const SuiteOptions& options,
                                            const OnProgress& on_progress);

}  // namespace weir::bench
