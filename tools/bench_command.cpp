// SPDX-License-Identifier: Apache-2.0
#include "tools/bench_command.h"

#include <algorithm>
#include <ostream>

#include "tools/exit_status.h"
#include "tools/progress.h"

#ifdef WEIR_HAS_BENCH
#include "bench/bench.h"
#endif

namespace weir::tools {

#ifdef WEIR_HAS_BENCH

namespace {

// What --strict has to say goes to `err`, so that JSON on `out` stays JSON.
void say_what_is_missing(const bench::Report& report, std::ostream& err) {
  for (const bench::Figure& figure : report.figures) {
    if (figure.state == bench::FigureState::kMet) continue;
    err << "weir bench: " << figure.goal->id << " " << to_string(figure.state)
        << (is_required(*figure.goal) ? ", required: " : ", not required yet: ")
        << figure.goal->quantity << "\n";
  }
}

}  // namespace

int run_bench(const BenchOptions& options, std::ostream& out, std::ostream& err) {
  const auto goals = bench::all_goals();
  for (const std::string& id : options.figures) {
    if (std::none_of(goals.begin(), goals.end(), [&](const auto& goal) { return goal.id == id; })) {
      err << "weir bench: no figure is called " << id << "\n";
      return kUnusable;
    }
  }
  Progress progress;
  const bench::Report report =
      bench::run({.quick = options.quick, .only = options.figures},
                 [&](std::string_view what, double done) { progress.show(what, done); });
  progress.clear();
  if (options.json)
    print_json(report, out);
  else
    print_table(report, out);
  if (options.strict) say_what_is_missing(report, err);
  if (bench::any_wrong(report)) return kDifferent;
  return options.strict && !required_are_met(report.figures) ? kDifferent : kGood;
}

#else

int run_bench(const BenchOptions&, std::ostream&, std::ostream& err) {
  err << "weir bench: this build has no benchmarks (WEIR_BENCH was off)\n";
  return kUnusable;
}

#endif

}  // namespace weir::tools
