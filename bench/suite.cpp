// SPDX-License-Identifier: Apache-2.0
#include "bench/suite.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "bench/threads.h"
#include "bench/workload.h"

namespace weir::bench {
namespace {

// Keeps the repetitions of each case and prints nothing.
class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      Repetitions& to = cases_[run.run_name.function_name];
      if (run.error_occurred)
        to.trouble = run.error_message;
      else
        // Real time is the wall's; with one thread it would count what other processes take.
        to.ns.push_back((run.threads > 1 ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime()) /
                        Workload::kBatch);
    }
  }

  [[nodiscard]] static std::size_t middle_of(const std::vector<double>& values) {
    return values.size() / 2;
  }
  [[nodiscard]] Measured result(const Case& of) {
    Repetitions& repetitions = cases_[std::string(of.name)];
    std::vector<double>& ns = repetitions.ns;
    Measured measured{.name = std::string(of.name), .threads = of.threads};
    // The loops skip for no other reason.
    measured.wrong = !repetitions.trouble.empty();
    measured.trouble = repetitions.trouble;
    if (measured.trouble.empty() && ns.empty()) measured.trouble = "not measured";
    if (!measured.trouble.empty()) return measured;
    for (double& one : ns) one /= of.batches;
    std::sort(ns.begin(), ns.end());
    measured.repetitions = ns.size();
    const std::size_t middle = ns.size() / 2;
    measured.median_ns = ns.size() % 2 == 1 ? ns[middle] : (ns[middle - 1] + ns[middle]) / 2;
    measured.lowest_ns = ns.front();
    measured.highest_ns = ns.back();
    if (of.books != nullptr) {
      // Relaxed: nothing runs any more.
      const auto requests = of.books->requests.load(std::memory_order_relaxed);
      const auto hits = of.books->hits.load(std::memory_order_relaxed);
      if (requests != 0)
        measured.hit_rate = static_cast<double>(hits) / static_cast<double>(requests);
    }
    if (of.amount != nullptr && !of.amount->values.empty()) {
      std::vector<double>& values = of.amount->values;
      std::nth_element(values.begin(),
                       values.begin() + static_cast<std::ptrdiff_t>(middle_of(values)),
                       values.end());
      measured.amount = values[middle_of(values)];
      measured.unit = of.amount->unit;
      if (*measured.amount < of.amount->least) measured.trouble = "too slow for what it is called";
    }
    if (of.walks != nullptr) {
      // Relaxed: as above.
      const auto walks = of.walks->walks.load(std::memory_order_relaxed);
      const auto references = of.walks->references.load(std::memory_order_relaxed);
      if (walks != 0)
        measured.references = static_cast<double>(references) / static_cast<double>(walks);
    }
    return measured;
  }

 private:
  struct Repetitions {
    std::vector<double> ns;
    std::string trouble;
  };
  std::map<std::string, Repetitions> cases_;
};

// The harness takes its settings from a command line of its own.
void set_up_harness() {
  std::string arguments[] = {"weir", "--benchmark_enable_random_interleaving=true"};
  char* argv[] = {arguments[0].data(), arguments[1].data(), nullptr};
  int argc = 2;
  benchmark::Initialize(&argc, argv);
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace

std::vector<Measured> measure(const std::vector<Case>& cases, const SuiteOptions& options,
                              const OnProgress& on_progress) {
  set_up_harness();
  // The harness looks for the right number of iterations in a few short runs before the first
  // repetition of a case.
  constexpr double kSearches = 4;
  double expected_runs = 0;
  double runs = 0;
  for (const Case& one : cases) {
    const unsigned repetitions =
        one.processors > 1 ? options.threaded_repetitions : options.repetitions;
    if (std::max(one.threads, one.processors) > usable_processors()) continue;
    expected_runs += repetitions + kSearches;
    auto* registered = benchmark::RegisterBenchmark(
        std::string(one.name).c_str(), [&one, &on_progress, &runs, &expected_runs](auto& state) {
          if (state.thread_index() == 0 && on_progress)
            on_progress(one.name, std::min(1.0, runs++ / expected_runs));
          const PinnedThread pin(state.threads() > 1, static_cast<unsigned>(state.thread_index()));
          one.run(state);
        });
    registered->Repetitions(static_cast<int>(repetitions));
    if (one.iterations != 0)
      registered->Iterations(static_cast<benchmark::IterationCount>(one.iterations));
    else
      registered->MinTime(options.seconds);
    if (one.threads > 1) registered->Threads(static_cast<int>(one.threads))->UseRealTime();
  }
  Collector collector;
  {
    const IdleThread second;
    benchmark::RunSpecifiedBenchmarks(&collector, ".");
  }
  benchmark::ClearRegisteredBenchmarks();
  std::vector<Measured> results;
  for (const Case& one : cases) {
    results.push_back(collector.result(one));
    if (const unsigned needed = std::max(one.threads, one.processors); needed > usable_processors())
      results.back().trouble = "needs " + std::to_string(needed) + " processors";
  }
  return results;
}

}  // namespace weir::bench
