// SPDX-License-Identifier: Apache-2.0
//
// A world and a request in words, for whoever has to find out which side is wrong. One thread.
#pragma once

#include <string>

#include "tests/model/random_image.h"

namespace weir::compare {

// The formats, the request, and every entry that the oracle reads for it, in order.
[[nodiscard]] std::string describe(const model::World& world, const model::Ask& ask);

}  // namespace weir::compare
