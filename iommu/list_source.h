// SPDX-License-Identifier: Apache-2.0
//
// Who is behind which unit, as a list in text, for machines whose guests read no firmware table:
//
//   # to the end of the line
//   unit 0xfed90000 segment 1     # its registers; segment 0 if left out
//     function 00:04.0
//     path 00:1c.1/00.0           # below bridges, whatever their buses are called
//     below 00:1c.0               # a bridge, and all that is behind it
//     range 02:00.0-02:1f.7
//     mmio 0x9050000              # a device that is no PCI function
//     io_apic f0:1f.0
//     hpet 00:0f.0
//     rest                        # and every function that no other unit names
//
// Stateless; any thread. What is not of the form is refused with its offset.
#pragma once

#include "iommu/coverage.h"

namespace weir {

[[nodiscard]] const TableParser& list_parser();

}  // namespace weir
