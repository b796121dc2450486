// SPDX-License-Identifier: Apache-2.0
//
// The cases that replay something: a strict nested guest's rings, of which the table entries that a
// miss reads are counted, and a recording of weir's own, of which the translations a second are.
//
// Thread rules: those of cases.h.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "bench/cases.h"

namespace weir::bench {

namespace names {
inline constexpr std::string_view kStrictLeafOnly = "strict nested rings, leaf-only flushes";
inline constexpr std::string_view kStrictPlain = "strict nested rings, flushes without the hint";
inline constexpr std::string_view kReplaySpeed = "recording played back";
}  // namespace names

// Adds those whose name `wanted` lets through.
void add_replay_cases(std::vector<Case>& cases,
                      const std::function<bool(std::string_view)>& wanted);

}  // namespace weir::bench
