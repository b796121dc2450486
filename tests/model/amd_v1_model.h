// SPDX-License-Identifier: Apache-2.0
//
// AMD-Vi v1 tables (host page tables), 1 to 6 levels (A7, with X1, X2 and X5 of the settled sheet).
#pragma once

#include <cstdint>

#include "tests/model/steps.h"

namespace weir::model {

struct AmdV1 {
  std::uint64_t root = 0;
  unsigned mode = 3;          // levels, 1…6
  bool memory_class = false;  // later revisions: bits 58:57 of a leaf have a meaning (PMC)
  bool set_accessed = false;  // DTE.HAD is 1 or 3
  bool set_dirty = false;     // DTE.HAD is 3
};

// Order (settled 3, "Walk order"): the device-table entry's rights, the Mode's reach, then per
// entry: read, PR, reserved bits, IR and IW, leaf or NextLevel < level, skipped bits. As events:
//   kNotPresent                    PR=0
//   kNo{Read,Write}Permission      PR=1 PE=1
//   kReservedBits                  PR=1 PE=0 RZ=1
//   kReservedBits, kLevelEncoding  PR=1 PE=0 RZ=0
//   kBeyondInputWidth              PR=1 PE=0 RZ=0
//   k(Root)TableUnreadable         PAGE_TAB_HARDWARE_ERROR
// Open in the sheets, and decided here:
// - An entry with NextLevel 0 or 7 has the reserved bits of a PTE, any other those of a PDE.
// - NextLevel=7 with bits [50:12] of the address all ones (2^52 and none) is a bad level encoding,
//   since sizes end at 2^51. So is a leaf at level 6.
// - NextLevel=7 with exactly the next level's size (2 MiB at level 1) is one too: settled 3,
//   "NextLevel 0/7", says smaller. Other evidence lets it through.
// - For an atomic without either right, read is named.
// - A is set on every level, D only in the replica that was used.
[[nodiscard]] Verdict walk(const AmdV1& tables, const Ask& ask, TableReader& reader);

}  // namespace weir::model
