// SPDX-License-Identifier: Apache-2.0
#include "bench/figures.h"

#include <algorithm>
#include <array>

#include "bench/flush_cases.h"
#include "bench/replay_cases.h"
#include "bench/strict_guest.h"
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
    {"G4", "bypass with ACCESS_PLATFORM negotiated / bypass", kAtMost, 1.1, 0, kOffered, kBypass},
    {"G4", "mistaken: looked up where nothing translates / that", kAtLeast, 1, 0, kThreeProbes,
     kOffered},
    {"G4", "window / hit", kAtMost, 1.2, 0, kWindow, kHit},
    {"G5", "1 thread / 2, time of a request, disjoint devices", kAtLeast, 1.8, 0, kHit, kHitTwo},
    {"G5", "the same, one device", kAtLeast, 1.5, 0, kHit, kHitTwoSame},
    {"G5", "the same, 0.1 % flushes", kAtLeast, 1.5, 0, kMixed, kMixedTwo},
    {"G6", "reader alone / beside 1 M page flushes/s", kAtLeast, 0.8, 0, kHit, kHitBeside64},
    {"G7", "page flush, 64 k resident / 1 k resident", kAtMost, 1.3, 0, kPageFlushMany,
     kPageFlushFew},
    {"G7", "page flush, 64 k resident / hit", kAtMost, 60, 0, kPageFlushMany, kHit},
    {"G7", "page flush through the queue / hit", kAtMost, 60, 0, kPageFlushQueued, kHit},
    {"G8", "domain flush, 64 k resident / hit", kAtMost, 25, 0, kDomainFlushMany, kHit},
    {"G8", "domain flush, 64 k resident / 1 k resident", kAtMost, 1.3, 0, kDomainFlushMany,
     kDomainFlushFew},
    {"G8", "global flush, 64 k resident / hit", kAtMost, 25, 0, kGlobalFlush, kHit},
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
     .quantity = "the same, strict NVMe and NIC rings, leaf-only",
     .bound = kAtMost,
     .goal = 2.1,
     .numerator = kStrictLeafOnly,
     .of = Of::kReferences},
    {.id = "G9",
     .quantity = "the same, flushes without the hint",
     .bound = kAtMost,
     .goal = 9,
     .numerator = kStrictPlain,
     .of = Of::kReferences},
    {"G10", "warm nested miss / bare one-stage walk, hot", kAtMost, 3, 0, kWarmNestedRing,
     kBareOneRing},
    {.id = "G11",
     .quantity = "cold nested miss / bare nested walk, 4 GiB",
     .bound = kAtMost,
     .goal = 1.3,
     .numerator = kNestedByTurns,
     .of = Of::kAmount},
    {.id = "G12",
     .quantity = "strict nested guest, 2 cores, M lookups/s",
     .bound = kAtLeast,
     .goal = 70,
     .numerator = kStrictLookups,
     .of = Of::kAmount},
    {.id = "G12",
     .quantity = "of it: M misses/s",
     .bound = kAtLeast,
     .goal = 7.9,
     .numerator = kStrictMisses,
     .of = Of::kAmount},
    {.id = "G12",
     .quantity = "and M flushes/s, completed every 64",
     .bound = kAtLeast,
     .goal = 0.78,
     .numerator = kStrictFlushes,
     .of = Of::kAmount},
    {"G13", "verified hit / hit, one stage, tables in cache", kAtMost, 4, 0, kVerifiedFew, kHitFew},
    {.id = "G14",
     .quantity = "recording replayed, M translations/s, one core",
     .bound = kAtLeast,
     .goal = 20,
     .numerator = kReplaySpeed,
     .of = Of::kAmount},
    {.id = "G15",
     .quantity = "bytes per IOTLB entry",
     .bound = kAtMost,
     .goal = 64,
     .numerator = kBytesPerEntry,
     .of = Of::kAmount},
    {.id = "G15",
     .quantity = "bytes per idle attached device",
     .bound = kAtMost,
     .goal = 1024,
     .numerator = kBytesPerDevice,
     .of = Of::kAmount},
    {.id = "G15",
     .quantity = "seconds to attach 10 000 devices and domains",
     .bound = kAtMost,
     .goal = 1,
     .numerator = kAttach,
     .of = Of::kAmount},
};

// The ids that --strict insists on: those whose goals are all reached with some room on an
// otherwise idle machine. A part that reaches its goals adds its id here, so that it cannot lose
// them unnoticed.
constexpr std::array<std::string_view, 4> kRequired{"G1", "G4", "G6", "G13"};

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
    if (one.name == goal.numerator) {
      if (goal.of == Of::kReferences && one.references) figure.ratio = *one.references;
      if (goal.of == Of::kAmount && one.amount) figure.ratio = *one.amount;
    }
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
  if (goal.of != Of::kTime) return make_count(goal, measured);
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
    return !is_required(*figure.goal) || figure.state == FigureState::kMet;
  });
}

}  // namespace weir::bench
