// SPDX-License-Identifier: Apache-2.0
//
// Small worlds by exhaustion: valid tables in which one entry, or one and the entry it leads to,
// take every value of the bits that matter. For one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/model/random_image.h"

namespace weir::model {

using Visit = std::function<void(const World&, const Ask&)>;

// The formats that the small worlds are worth running on: every number of levels, and each
// capability that an entry's meaning hangs on, off and on.
[[nodiscard]] std::vector<Format> small_world_formats();

// One entry, at each level in turn: all 4096 values of its low twelve bits, with each of a list of
// upper bits, under every kind of request; with a stride, every so many of them. Gives the number
// of visits.
std::uint64_t visit_one_entry_worlds(const Format& format, const Visit& visit, unsigned stride = 1);

// Two entries, at each two levels that follow one another: every combination of rights, shape and
// one reserved bit in both.
std::uint64_t visit_two_entry_worlds(const Format& format, const Visit& visit);

}  // namespace weir::model
