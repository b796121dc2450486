// SPDX-License-Identifier: Apache-2.0
//
// The figures as a table: the ratio first, because it means the same on the next machine; then the
// nanoseconds it was made of.
#include <cstdarg>
#include <cstdio>
#include <ostream>

#include "bench/bench.h"

namespace weir::bench {
namespace {

__attribute__((format(printf, 1, 2))) std::string format(const char* how, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, how);
  std::vsnprintf(line, sizeof line, how, arguments);
  va_end(arguments);
  return line;
}

std::string goal_of(const Goal& goal) {
  if (!goal.built()) return std::string(goal.goal_in_words);
  std::string text = goal.bound == Bound::kAtMost ? "<= " : ">= ";
  text += format("%g", goal.goal);
  if (goal.stretch != 0) text += format(" (%g)", goal.stretch);
  return text;
}

void print_figures(const Report& report, std::ostream& out) {
  constexpr const char* kRow = "%-4s %-50s %7s  %14s  %-40s %s\n";
  out << format(kRow, "id", "quantity", "ratio", "ns", "goal (stretch)", "state");
  std::string_view previous;
  for (const Figure& figure : report.figures) {
    const Goal& goal = *figure.goal;
    std::string ratio = "-";
    std::string ns = "-";
    if (figure.ratio != 0) {
      ratio = format("%.2f", figure.ratio);
      ns = format("%.2f / %.2f", figure.numerator_ns, figure.denominator_ns);
    }
    std::string state(to_string(figure.state));
    if (figure.state == FigureState::kMet && figure.stretch_met) state += ", stretch too";
    if (is_required(goal)) state += " (required)";
    const std::string_view id = goal.id == previous ? "" : goal.id;
    previous = goal.id;
    out << format(kRow, std::string(id).c_str(), std::string(goal.quantity).c_str(), ratio.c_str(),
                  ns.c_str(), goal_of(goal).c_str(), state.c_str());
  }
}

void print_cases(const Report& report, std::ostream& out) {
  out << format("%-40s %8s %8s %8s %5s  %s\n", "case, ns per request", "median", "lowest",
                "highest", "runs", "hits");
  for (const Measured& one : report.cases) {
    if (!one.trouble.empty()) continue;
    const std::string hits = one.hit_rate ? format("%.3f %%", *one.hit_rate * 100) : "";
    out << format("%-40s %8.2f %8.2f %8.2f %5zu  %s\n", one.name.c_str(), one.median_ns,
                  one.lowest_ns, one.highest_ns, one.repetitions, hits.c_str());
  }
}

}  // namespace

void print_table(const Report& report, std::ostream& out) {
  const RunFacts& facts = report.facts;
  out << "weir " << facts.version << ", " << facts.build_type << ", " << facts.compiler << "\n"
      << facts.processor << ", " << facts.processors << " processors, load "
      << format("%.2f", facts.load) << " before the run\n"
      << report.pages << " pages of 4 KiB, IOTLB of " << report.iotlb_entries << " entries, "
      << report.requests << " requests drawn at random\n\n";
  print_figures(report, out);
  if (!report.cases.empty()) {
    out << "\n";
    print_cases(report, out);
  }
  for (const std::string& warning : report.warnings) out << "note: " << warning << "\n";
}

}  // namespace weir::bench
