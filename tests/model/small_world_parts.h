// SPDX-License-Identifier: Apache-2.0
//
// What the small worlds of one stage and of two are made of. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/random_image.h"

namespace weir::model {

// Every kind of request that a stage of this format tells apart; the input is left at 0.
[[nodiscard]] std::vector<Ask> every_ask(const Format& format);

// The bits that an entry takes every combination of, where there is another one: rights, shape and
// one reserved bit.
[[nodiscard]] std::vector<std::uint64_t> pair_bits(const Format& format);

// `value`, its bits from the lowest up put at the places of `onto`.
[[nodiscard]] std::uint64_t spread(std::uint64_t value, const std::vector<std::uint64_t>& onto);

}  // namespace weir::model
