// SPDX-License-Identifier: Apache-2.0
//
// The parts that both ways of making an IVRS begin with. Private to this folder; pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "vendors/amdvi/ivrs.h"

namespace weir::amdvi {

// Without blocks.
[[nodiscard]] ivrs::Table empty_ivrs(const IvrsOptions& options);
// Of one of weir's units, without entries.
[[nodiscard]] ivrs::Ivhd empty_ivhd(std::uint8_t type, const IvrsOptions& options);
// A select, or the start and the end of a range.
void add_range(std::vector<ivrs::Entry>& entries, FunctionRange range);

}  // namespace weir::amdvi
