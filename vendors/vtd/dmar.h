// SPDX-License-Identifier: Apache-2.0
//
// The DMAR table: parsed into the neutral Coverage that routes come from, and built for machines
// that have none of their own. Remapping-hardware units (DRHD) and PCI device scopes; other
// structures are stepped over with their lengths checked.
//
// Stateless; any thread. A table that lies about its lengths is refused with offset and cause.
#pragma once

#include <cstddef>
#include <vector>

#include "iommu/coverage.h"

namespace weir::vtd {

[[nodiscard]] const TableParser& dmar_parser();

struct DmarOptions {
  unsigned host_address_bits = 48;  // of the machine, not of the IOVA space
  bool interrupt_remapping = false;
};

// The bytes of a DMAR with one DRHD per covered unit, in the order given (the manual wants the one that
// covers the rest of a segment last); checksum right. REQUIRES: what the table's length fields can hold,
// at most 124 steps to a path and 64 KiB of scopes to a unit.
[[nodiscard]] std::vector<std::byte> build_dmar(const Coverage& coverage,
                                                const DmarOptions& options = {});

}  // namespace weir::vtd
