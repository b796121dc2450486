// SPDX-License-Identifier: Apache-2.0
#include "bench/figures.h"

#include <algorithm>
#include <array>

#include "bench/walk_cases.h"

namespace weir::bench {
namespace {

using enum Bound;
using namespace names;

constexpr Goal kGoals[] = {
    {"G1", "IOTLB lookup / array load, throughput", kAtMost, 6, 4.5, kLookup, kArray},
    {"G1", "IOTLB lookup / array load, dependent", kAtMost, 2.0, 0, kLookupChain, kArrayChain},
    {"G2", "hit in a burst of 32 / array load, throughput", kAtMost, 10, 7, kHit, kArray},
    {"G2", "hit in a burst of 32 / array load, dependent", kAtMost, 2.2, 0, kHitChain, kArrayChain},
    {"G3", "mutex + unordered_map / hit", kAtLeast, 2.5, 0, kLockedMap, kHit},
    {"G3", "tbb::concurrent_hash_map / hit", kAtLeast, 3.5, 0, kConcurrentMap, kHit},
    {"G3", "three-probe hash + mutex / hit", kAtLeast, 5, 0, kThreeProbes, kHit},
    {"G3", "three-probe hash + mutex / hit, 2 threads", kAtLeast, 10, 20, kThreeProbesTwo, kHitTwo},
    {"G4", "bypass / hit, both in a burst, slots", kAtMost, 0.6, 0, kBypass, kHit},
    {.id = "G4",
     .quantity = "or: bypass / array load",
     .bound = kAtMost,
     .goal = 2,
     .numerator = kBypass,
     .denominator = kArray,
     .or_previous = true},
    {.id = "G5",
     .quantity = "2 threads / 1 thread, throughput",
     .goal_in_words = ">= 1.8 disjoint devices, >= 1.5 same device"},
    {.id = "G6",
     .quantity = "reader beside 1 M page invalidations/s / alone",
     .goal_in_words = ">= 0.8, completed every 64"},
    {.id = "G7",
     .quantity = "page invalidation, 64 k resident / 1 k resident",
     .goal_in_words = "<= 1.3; <= 60 hits each"},
    {.id = "G8", .quantity = "domain or global invalidation", .goal_in_words = "O(1), <= 25 hits"},
    {.id = "G9",
     .quantity = "table references per miss, 4x4 nested, no caches",
     .bound = kExactly,
     .goal = 24,
     .numerator = kColdNestedRandom,
     .of = Of::kReferences},
    {.id = "G9",
     .quantity = "the same, sequential, 64 tables cached per stage",
     .bound = kAtMost,
     .goal = 5,
     .numerator = kTablesNestedSequential,
     .of = Of::kReferences},
    {.id = "G9",
     .quantity = "the same, strict NVMe and NIC replay",
     .goal_in_words = "<= 2.1 leaf-only, <= 9 without"},
    {"G10", "warm nested miss / bare one-stage walk, hot", kAtMost, 3, 0, kWarmNestedRing,
     kBareOneRing},
    {"G11", "cold nested miss / bare nested walk, 4 GiB", kAtMost, 1.3, 0, kColdNestedRandom,
     kBareNestedRandom},
    {.id = "G12",
     .quantity = "strict nested guest, 2 cores, lookups/s",
     .goal_in_words = ">= 70 M with 7.9 M misses/s"},
    {"G13", "verified hit / hit, one stage, tables in cache", kAtMost, 4, 0, kVerifiedFew, kHitFew},
    {.id = "G14", .quantity = "replay, translations/s, one core", .goal_in_words = ">= 20 M"},
    {.id = "G15",
     .quantity = "bytes per IOTLB entry, per idle device",
     .goal_in_words = "<= 64, <= 1 KiB; 10 000 attach in < 1 s"},
};

// The ids that --strict insists on. None is asked for yet; a part that has reached its goals adds
// its id here, so that it cannot lose them unnoticed.
constexpr std::array<std::string_view, 0> kRequired{};

double median_of(std::span<const Measured> measured, std::string_view name, std::string& trouble) {
  for (const Measured& one : measured) {
    if (one.name != name) continue;
    if (!one.trouble.empty()) trouble = one.name + ": " + one.trouble;
    return one.median_ns;
  }
  trouble = std::string(name) + ": not measured";
  return 0;
}

[[nodiscard]] bool within(Bound bound, double ratio, double goal) {
  switch (bound) {
    case kAtMost:
      return ratio <= goal;
    case kAtLeast:
      return ratio >= goal;
    case kExactly:
      return ratio == goal;
  }
  return false;
}

// A count needs no second case to compare with.
Figure make_count(const Goal& goal, std::span<const Measured> measured) {
  Figure figure{.goal = &goal};
  for (const Measured& one : measured)
    if (one.name == goal.numerator && one.references) figure.ratio = *one.references;
  if (figure.ratio == 0) {
    figure.trouble = std::string(goal.numerator) + ": not measured";
    figure.state = FigureState::kNotMeasured;
  } else {
    figure.state =
        within(goal.bound, figure.ratio, goal.goal) ? FigureState::kMet : FigureState::kNotMet;
  }
  return figure;
}

Figure make_figure(const Goal& goal, std::span<const Measured> measured) {
  Figure figure{.goal = &goal};
  if (!goal.built()) return figure;
  if (goal.of == Of::kReferences) return make_count(goal, measured);
  figure.numerator_ns = median_of(measured, goal.numerator, figure.trouble);
  figure.denominator_ns = median_of(measured, goal.denominator, figure.trouble);
  if (!figure.trouble.empty()) {
    figure.state = FigureState::kNotMeasured;
    return figure;
  }
  figure.ratio = figure.numerator_ns / figure.denominator_ns;
  figure.state =
      within(goal.bound, figure.ratio, goal.goal) ? FigureState::kMet : FigureState::kNotMet;
  figure.stretch_met = goal.stretch != 0 && within(goal.bound, figure.ratio, goal.stretch);
  return figure;
}

}  // namespace

std::span<const Goal> all_goals() { return kGoals; }

bool is_required(const Goal& goal) {
  return std::find(kRequired.begin(), kRequired.end(), goal.id) != kRequired.end();
}

std::string_view to_string(FigureState state) {
  switch (state) {
    case FigureState::kMet:
      return "met";
    case FigureState::kNotMet:
      return "not met";
    case FigureState::kNotYet:
      return "not yet";
    case FigureState::kNotMeasured:
      return "not measured";
  }
  return "";
}

std::vector<Figure> make_figures(std::span<const Measured> measured,
                                 const std::function<bool(std::string_view id)>& wanted) {
  std::vector<Figure> figures;
  for (const Goal& goal : kGoals) {
    if (!wanted(goal.id)) continue;
    figures.push_back(make_figure(goal, measured));
    if (!goal.or_previous) continue;
    Figure& one = figures[figures.size() - 2];
    Figure& other = figures.back();
    if (one.state == FigureState::kMet || other.state == FigureState::kMet)
      one.state = other.state = FigureState::kMet;
  }
  return figures;
}

bool required_are_met(std::span<const Figure> figures) {
  return std::all_of(figures.begin(), figures.end(), [](const Figure& figure) {
    return !is_required(*figure.goal) || figure.state == FigureState::kMet ||
           figure.state == FigureState::kNotYet;
  });
}

}  // namespace weir::bench
