// SPDX-License-Identifier: Apache-2.0
//
// VT-d second-stage tables (SS; older texts SL), 3, 4 or 5 levels (VT-d 2, "SS PTE").
#pragma once

#include <cstdint>

#include "tests/model/steps.h"

namespace weir::model {

struct VtdSecondStage {
  std::uint64_t root = 0;     // SSPTPTR
  unsigned levels = 4;        // by AW: 3, 4 or 5
  unsigned guest_width = 57;  // MGAW; the reach is the smaller of it and the levels'
  unsigned host_width = 52;   // HAW: address bits from here to 51 are reserved
  bool pages_2m = true;       // CAP.SSLPS
  bool pages_1g = true;
  bool snoop_control = false;   // ECAP.SC: bit 11 (SNP) of a leaf has a meaning
  bool transient_leaf = false;  // bit 62 (TM) of a leaf has a meaning: revisions before 3.2
  bool accessed_dirty = false;  // SSADE: A is bit 8, D is bit 9
};

// Open in the sheets, and decided here: for an atomic without either right, read is named. Bit 2
// (X) decides nothing and execute requests need read. A and D are set only where the whole
// translation succeeds.
[[nodiscard]] Verdict walk(const VtdSecondStage& tables, const Ask& ask, TableReader& reader);

}  // namespace weir::model
