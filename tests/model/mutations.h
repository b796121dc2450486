// SPDX-License-Identifier: Apache-2.0
//
// Ways in which a table can be wrong, or merely odd. For one thread.
#pragma once

#include <vector>

#include "tests/model/random_image.h"
#include "tests/model/table_planter.h"

namespace weir::model {

// Breaks none, one or a few of the world's entries, sometimes a root or a page. Stages and levels
// are chosen evenly, then one of the places there, then what happens to it.
void break_some(World& world, const std::vector<Place>& places, Random& random);

}  // namespace weir::model
