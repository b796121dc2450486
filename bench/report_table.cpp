// SPDX-License-Identifier: Apache-2.0
//
// The figures as a table: the ratio first, because it means the same on the next machine; then the
// nanoseconds it was made of.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <ostream>

#include "bench/bench.h"
#include "bench/walk_cases.h"

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
  std::string text = goal.bound == Bound::kAtMost    ? "<= "
                     : goal.bound == Bound::kAtLeast ? ">= "
                                                     : "";
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
    if (figure.ratio != 0) ratio = format("%.2f", figure.ratio);
    if (figure.denominator_ns != 0) {
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

[[nodiscard]] bool is_walk(std::string_view name) {
  const auto walks = all_walk_cases();
  return std::any_of(walks.begin(), walks.end(),
                     [name](const WalkCase& walk) { return walk.name == name; });
}

// Nanoseconds and references of a walk, by what it remembers and in which order pages are asked
// for.
void print_walks(const Report& report, std::ostream& out) {
  constexpr const char* kRow = "%-26s %16s %16s %16s\n";
  std::string rows;
  std::string cells[3];
  const auto walks = all_walk_cases();
  for (std::size_t i = 0; i < walks.size(); ++i) {
    std::string& cell = cells[i % 3];
    cell = format("-");
    for (const Measured& one : report.cases) {
      if (one.name != walks[i].name || !one.trouble.empty()) continue;
      cell = format("%.1f", one.median_ns);
      if (one.references) cell += format(" (%.2f)", *one.references);
    }
    if (i % 3 != 2 || (cells[0] == "-" && cells[1] == "-" && cells[2] == "-")) continue;
    const std::string_view name = walks[i].name;
    rows += format(kRow, std::string(name.substr(0, name.rfind(','))).c_str(), cells[0].c_str(),
                   cells[1].c_str(), cells[2].c_str());
  }
  if (rows.empty()) return;
  out << "\n"
      << format(kRow, "walks, ns (references)", "sequential", "ring of 512", "random 4 GiB")
      << rows;
}

void print_cases(const Report& report, std::ostream& out) {
  out << format("%-46s %8s %8s %8s %5s  %s\n", "case, ns per request", "median", "lowest",
                "highest", "runs", "hits");
  for (const Measured& one : report.cases) {
    if (!one.trouble.empty() || is_walk(one.name)) continue;
    std::string hits = one.hit_rate ? format("%.3f %%", *one.hit_rate * 100) : "";
    if (one.amount) hits += format("%.3g %s", *one.amount, std::string(one.unit).c_str());
    out << format("%-46s %8.2f %8.2f %8.2f %5zu  %s\n", one.name.c_str(), one.median_ns,
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
    print_walks(report, out);
  }
  for (const std::string& warning : report.warnings) out << "note: " << warning << "\n";
}

}  // namespace weir::bench
