// SPDX-License-Identifier: Apache-2.0
//
// The most exact table that a kind of bytes can hold: every function named one by one, whatever
// that leads to. Where even this one does not say what is wished, no bytes of the kind do; and
// where it does, weir has no reason to refuse. Also the bytes of a table with one structure taken
// out.
//
// Pure functions; any thread. Shares nothing with weir's builders.
#pragma once

#include <optional>

#include "iommu/topology.h"
#include "tests/truth/linux_guest.h"

namespace weir::truth {

// Nothing: some text or count has no place in it.
[[nodiscard]] std::optional<std::vector<std::byte>> written_one_by_one(const Topology& machine,
                                                                       Format format);

// Everything of the table that can be left out by itself: scopes, device entries, nodes, whole
// structures without any.
[[nodiscard]] std::vector<Place> parts_of(Format format, Bytes table);
// Without it; lengths, counts and checksum made right again.
[[nodiscard]] std::vector<std::byte> without(Format format, Bytes table, const Place& part);

// Length and checksum of the whole.
void seal(std::vector<std::byte>& table);

}  // namespace weir::truth
