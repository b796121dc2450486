// SPDX-License-Identifier: Apache-2.0
//
// Machines of a few random functions with random wishes, half of them such that every format can
// express them.
#pragma once

#include <random>
#include <vector>

#include "iommu/topology.h"
#include "tests/tools/acpi/linux_matcher.h"

namespace weir::tools::acpi::test {

enum class Format : std::uint8_t { kDmar, kIvrs, kViot };

[[nodiscard]] Topology random_machine(std::mt19937& random, Format format);

// As a guest sees it, empty slots left out.
[[nodiscard]] std::vector<Seen> seen_functions(const Topology& topology);

// Why the wishes cannot be had, told from the functions as they stand and not from any builder's
// mind; empty where they can.
[[nodiscard]] std::string why_not(const Topology& topology, Format format);

}  // namespace weir::tools::acpi::test
