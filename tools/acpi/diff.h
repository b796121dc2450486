// SPDX-License-Identifier: Apache-2.0
//
// What differs between two tables, field by field. Structures that only one of them has are found
// as long as those around them are equal.
//
// Pure functions; any thread.
#pragma once

#include <iosfwd>

#include "tools/acpi/table.h"

namespace weir::tools::acpi {

// Prints one line a difference: "- " what only `a` has, "+ " what only `b` has. False: none.
[[nodiscard]] bool print_differences(std::ostream& out, const Table& a, const Table& b);

}  // namespace weir::tools::acpi
