// SPDX-License-Identifier: Apache-2.0
//
// Small worlds of two stages by exhaustion: valid tables of one format over valid tables of
// another, in which one entry of each stage takes every combination of rights, shape and one
// reserved bit, at every level of both. For one thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/model/small_worlds.h"

namespace weir::model {

// Every format over every format, as small as they come (AMD-Vi v1 with two levels or three), once
// with accessed and dirty bits where they are a choice and once without.
[[nodiscard]] std::vector<std::pair<Format, Format>> nested_small_world_formats();

// What a visit is worth: in an ordinary run requests to one input, in a long one to two.
enum class Inputs : std::uint8_t { kZeroDigits, kZeroAndOneDigits };

// The lower entry is in turn the last on the way to the output, to the upper stage's leaf table and
// to its root, and each one above. Gives the number of visits.
std::uint64_t visit_nested_worlds(const Format& upper, const Format& lower, Inputs inputs,
                                  const Visit& visit);

}  // namespace weir::model
