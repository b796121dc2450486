// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

#include <algorithm>
#include <cstdio>

#include "bench/flush_cases.h"
#include "bench/walk_cases.h"
#include "bench/workload.h"

namespace weir::bench {
namespace {

// The least that holds every page of the workload without one pushing out another.
constexpr std::size_t kEntries = 8192;
constexpr double kGoodHitRate = 0.999;

// For those who wonder whether the third probe is what costs; no goal names it.
constexpr std::string_view kAlsoShown[] = {names::kOneProbe, names::kHitAlone};

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", share * 100);
  return text;
}

std::vector<std::string> warnings_for(const Report& report) {
  std::vector<std::string> warnings;
  for (const Measured& one : report.cases) {
    if (!one.trouble.empty()) warnings.push_back(one.name + ": " + one.trouble);
    if (one.hit_rate && *one.hit_rate < kGoodHitRate)
      warnings.push_back(one.name + ": only " + percent(*one.hit_rate) + " of the requests hit");
  }
  if (report.quick) warnings.push_back("a quick run: it shows that everything works, not how fast");
  if (report.facts.assertions) warnings.push_back("assertions are compiled in");
  return warnings;
}

}  // namespace

Report run(const Options& options, const OnProgress& on_progress) {
  const auto wanted_id = [&](std::string_view id) {
    return options.only.empty() ||
           std::find(options.only.begin(), options.only.end(), id) != options.only.end();
  };
  const auto wanted_case = [&](std::string_view name) {
    for (const Goal& goal : all_goals())
      if (wanted_id(goal.id) && (goal.numerator == name || goal.denominator == name)) return true;
    const auto walks = all_walk_cases();
    if (options.only.empty() && std::any_of(walks.begin(), walks.end(),
                                            [name](const WalkCase& w) { return w.name == name; }))
      return true;
    if (wanted_id("G6") && is_flush_case_to_show(name)) return true;
    return options.only.empty() &&
           (std::find(std::begin(kAlsoShown), std::end(kAlsoShown), name) != std::end(kAlsoShown));
  };

  const std::size_t requests = std::size_t{1} << (options.quick ? 16 : 18);
  Report report{.facts = run_facts(),
                .quick = options.quick,
                .pages = WorkloadOptions{}.pages,
                .iotlb_entries = kEntries,
                .requests = requests};
  const std::vector<Case> cases =
      make_cases({.iotlb_entries = kEntries, .requests = requests}, wanted_case);
  SuiteOptions suite;
  if (options.quick) suite = {.repetitions = 3, .threaded_repetitions = 3, .seconds = 0.001};
  report.cases = measure(cases, suite, on_progress);
  report.figures = make_figures(report.cases, wanted_id);
  report.warnings = warnings_for(report);
  return report;
}

bool any_wrong(const Report& report) {
  return std::any_of(report.cases.begin(), report.cases.end(),
                     [](const Measured& one) { return one.wrong; });
}

}  // namespace weir::bench
