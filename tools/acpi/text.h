// SPDX-License-Identifier: Apache-2.0
//
// A table as text for people: one line a structure with its offset and fields, and then, in words,
// which functions it puts behind which unit.
//
// Pure functions; any thread.
#pragma once

#include <iosfwd>

#include "tools/acpi/table.h"

namespace weir::tools::acpi {

void print_table(std::ostream& out, const Table& table);

}  // namespace weir::tools::acpi
