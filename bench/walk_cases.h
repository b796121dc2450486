// SPDX-License-Identifier: Apache-2.0
//
// The cases about misses: walks with and without caches against the bare loads, over the tables of
// walk_world.h. Every request depends on the answer before it, and no request is found in the
// IOTLB: it holds four entries.
//
// Thread rules: those of cases.h.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "bench/cases.h"

namespace weir::bench {

enum class WalkPattern : std::uint8_t { kSequential, kRing, kRandom };
enum class WalkStages : std::uint8_t { kOne, kNested };
// What a walk may remember.
enum class WalkMemory : std::uint8_t {
  kBare,    // not weir: the loads alone
  kCold,    // nothing
  kTables,  // 64 tables of each stage, but no finished stage-2 translation
  kWarm,    // 64 tables of each stage and 1024 finished stage-2 translations
};

// One cell of the table of walks.
struct WalkCase {
  WalkStages stages = WalkStages::kOne;
  WalkMemory memory = WalkMemory::kBare;
  WalkPattern pattern = WalkPattern::kSequential;
  std::string_view name;
};
[[nodiscard]] std::span<const WalkCase> all_walk_cases();

namespace names {
inline constexpr std::string_view kBareOneRing = "one-stage walk, bare, ring";
inline constexpr std::string_view kBareNestedRing = "nested walk, bare, ring";
inline constexpr std::string_view kBareNestedRandom = "nested walk, bare, random";
inline constexpr std::string_view kColdNestedRing = "nested miss, cold, ring";
inline constexpr std::string_view kColdNestedRandom = "nested miss, cold, random";
inline constexpr std::string_view kNestedByTurns = "nested miss, cold, random / bare, by turns";
inline constexpr std::string_view kTablesNestedSequential = "nested miss, tables, sequential";
inline constexpr std::string_view kWarmNestedRing = "nested miss, warm, ring";
}  // namespace names

// Adds those whose name `wanted` lets through.
void add_walk_cases(std::vector<Case>& cases, const std::function<bool(std::string_view)>& wanted);

}  // namespace weir::bench
