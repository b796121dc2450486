// SPDX-License-Identifier: Apache-2.0
//
// Whether a table says of a machine what was wished, in the eyes of its guest: as the machine is,
// with everything plugged that was declared ahead (one way and the other where two were declared
// for one slot), and, where tables go by path, after its buses were numbered anew. And whether it
// names no number besides.
//
// Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "iommu/topology.h"
#include "tests/truth/linux_guest.h"

namespace weir::truth {

// The first thing that it does not; nothing: the truth. `with_facts`: also what a table says
// besides who is covered.
[[nodiscard]] std::optional<std::string> untruth(const Topology& machine, Format format,
                                                 Bytes table, bool with_facts = true);

// How a table names it: by the address of its registers, or by its own number.
[[nodiscard]] std::uint64_t name_of(const Topology& machine, std::uint32_t unit, Format format);

// By weir.
[[nodiscard]] Result<std::vector<std::byte>, std::string> build(const Topology& machine,
                                                                Format format);

}  // namespace weir::truth
