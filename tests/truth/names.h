// SPDX-License-Identifier: Apache-2.0
//
// Which numbers a table names by number, under which of its units: a set of ranges for each. What
// nobody bears can be found only here, as nothing that a guest sees asks for it.
//
// Plain values; any thread.
#pragma once

#include <string>

#include "iommu/topology.h"
#include "tests/truth/linux_guest.h"

namespace weir::truth {

// What `machine` wishes to have named, of all functions that are declared.
[[nodiscard]] Names names_due(const Topology& machine, Format format);

// The first difference; empty: none.
[[nodiscard]] std::string difference(const Names& said, const Names& due);

}  // namespace weir::truth
