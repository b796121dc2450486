// SPDX-License-Identifier: Apache-2.0
//
// Wishes against tables: whether what the embedder wants of every function can be had at all, and
// whether the parse of a table says it. A builder of tables runs both over its own bytes, so that
// no table leaves it which says something else; an embedder with bytes of its own can run the
// second.
//
// Pure functions; any thread. Answers name both sides, and what to do about it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/topology.h"

namespace weir {

// Contradictions that no table can express: requests that bear one number and are wished two ways,
// a unit behind itself, a unit that takes the rest of a segment in which something bypasses.
// REQUIRES: topology.check().
[[nodiscard]] Result<Done, std::string> check_wishes(const Topology& topology);

// For tables that go by numbers: one under which two ask or are looked for, of which one wishes to
// be behind a unit that is not the other's. kEverything: the table
// means devices of ACPI and interrupt sources by the numbers as well. REQUIRES: as above.
enum class NumbersOf : std::uint8_t { kFunctions, kEverything };
[[nodiscard]] Result<Done, std::string> check_numbers(const Topology& topology, NumbersOf whose);

// Whether every function, present or declared ahead, every device of ACPI and every interrupt
// source is covered as wished: by its unit, or (bypass and window) by nobody. REQUIRES: as above.
[[nodiscard]] Result<Done, std::string> check_coverage(const Topology& topology,
                                                       const Coverage& coverage);

// The same, all of them.
[[nodiscard]] std::vector<std::string> coverage_problems(const Topology& topology,
                                                         const Coverage& coverage);

// "unit pci0 (fed90000h)", for messages. REQUIRES: an index of the topology.
[[nodiscard]] std::string name_of_unit(const Topology& topology, std::uint32_t unit);

}  // namespace weir
