// SPDX-License-Identifier: Apache-2.0
//
// Tables in the processor's own format, 4 or 5 levels: VT-d first stage (FS; older texts FL; VT-d 2
// and 3) and AMD-Vi v2, the guest tables behind GCR3 (A8).
#pragma once

#include <cstdint>

#include "tests/model/steps.h"

namespace weir::model {

struct X86FirstStage {
  enum class Vendor : std::uint8_t { kVtd, kAmd };

  Vendor vendor = Vendor::kVtd;
  std::uint64_t root = 0;     // FSPTPTR, or what the GCR3 table says
  unsigned levels = 4;        // FSPM, GuestPagingMode: 4 or 5
  unsigned host_width = 52;   // HAW: address bits from here to 51 are reserved
  bool pages_1g = true;       // CAP.FS1GP; 2 MiB always
  bool sign_extended = true;  // false: AMD, PASID 0 under GIOV: the upper bits must be zero
  bool no_execute = true;     // NXE, EFR.NXSup; false: bit 63 is ignored
  bool write_protect = true;  // WPE; false: a privileged write does not need RW. AMD: always true
  bool supervisor = true;     // SRE: privileged requests are let through. AMD: always true
  bool execute_requests = true;    // ERE. AMD: always true
  bool smep = false;               // privileged requests do not execute from user pages. AMD: false
  bool extended_accessed = false;  // EAFE: bit 10 on every level used. VT-d only
  bool set_accessed = true;        // AMD: not GAUpdateDis
  bool set_dirty = true;           // AMD: not GDUpdateDis
};

// Order. Both: ERE, SRE, the canonical check, then per entry: read error, P, and
//   VT-d: U/S, RW, XD, then reserved bits (VT-d 3, "FS translation": "P,US,RW,rsvd");
//   AMD:  reserved bits, then U/S, RW, XD (settled 3, "Walk order", which says so for v1 tables).
// At one entry, then, VT-d names the right and AMD the reserved bit. Open in the sheets, and
// decided here:
// - v2's order as v1's; a right of a higher level before a reserved bit of a lower one.
// - SMEP is known at the leaf, with its other rights; its code is U/S's.
// - XD is ignored with NXE=0 or NXSup=0. Bit 12 of a large leaf is PAT. Bit 8 (G) is ignored above
// a
//   leaf, although the AMD64 processors reserve it in the topmost entry.
// - A, EA and D are set only where the whole translation succeeds, D by writes only. Hardware may
// set
//   A on the levels above the entry that stopped a walk, as other models do.
// - Under GIOV, PASID 0: an address with bits above the tables' reach is beyond the input width.
[[nodiscard]] Verdict walk(const X86FirstStage& tables, const Ask& ask, TableReader& reader);

}  // namespace weir::model
