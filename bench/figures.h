// SPDX-License-Identifier: Apache-2.0
//
// The figures that weir is to reach, with their goals, and what a run made of them. A figure is the
// ratio of two cases' medians from one run, or a count; the goals are ratios too, so that they mean
// the same on every machine.
//
// Constants and plain values; any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bench/suite.h"

namespace weir::bench {

enum class Bound : std::uint8_t { kAtMost, kAtLeast, kExactly };
// What of the numerator: its time, by that of the denominator; the table entries it read; or what
// its case counts.
enum class Of : std::uint8_t { kTime, kReferences, kAmount };

struct Goal {
  std::string_view id;
  std::string_view quantity;
  Bound bound = Bound::kAtMost;
  double goal = 0;
  double stretch = 0;            // 0: none
  std::string_view numerator{};  // cases
  std::string_view denominator{};
  // This row and the one before it are two ways to reach one goal.
  bool or_previous = false;
  Of of = Of::kTime;
};

// In the order of their numbers; several rows may have one id.
[[nodiscard]] std::span<const Goal> all_goals();
// Whether a figure must be met for `weir bench --strict` to succeed.
[[nodiscard]] bool is_required(const Goal& goal);

enum class FigureState : std::uint8_t {
  kMet,
  kNotMet,
  kNotMeasured,  // this machine cannot, or a case went wrong: `trouble` says which
};
[[nodiscard]] std::string_view to_string(FigureState state);

struct Figure {
  const Goal* goal = nullptr;
  FigureState state = FigureState::kNotMeasured;
  bool stretch_met = false;
  double ratio = 0;
  double numerator_ns = 0;
  double denominator_ns = 0;
  std::string trouble{};
};

// One for each of all_goals() whose id `wanted` lets through.
[[nodiscard]] std::vector<Figure> make_figures(
    std::span<const Measured> measured, const std::function<bool(std::string_view id)>& wanted);

// False if a required figure was missed.
[[nodiscard]] bool required_are_met(std::span<const Figure> figures);

}  // namespace weir::bench
