// SPDX-License-Identifier: Apache-2.0
//
// The parts that both ways of making a DMAR begin with. Private to this folder; pure functions.
#pragma once

#include <cstdint>

#include "vendors/vtd/dmar.h"

namespace weir::vtd {

[[nodiscard]] dmar::Table empty_dmar(const DmarOptions& options);
// Of one of weir's units, without scopes.
[[nodiscard]] dmar::Drhd empty_drhd(std::uint64_t base, std::uint16_t segment, bool rest);

}  // namespace weir::vtd
