// SPDX-License-Identifier: Apache-2.0
//
// Six machines whose tables are written out byte by byte in golden_test.cpp.
#pragma once

#include "iommu/topology.h"

namespace weir::tools::acpi::test {

// A PC: one unit with explicit scopes, one function that bypasses, an I/O APIC.
[[nodiscard]] Topology pc();
// Two root buses: a unit for what is below a bridge, and one that takes the rest; an HPET, a named
// device, reserved memory, a disk with ATS below a root port, NUMA nodes.
[[nodiscard]] Topology server();
// Integrated devices with ATS and properties.
[[nodiscard]] Topology system_on_chip();
// AMD: a function that bypasses, an alias behind a bridge, an I/O APIC at 00:14.0, reserved memory.
[[nodiscard]] Topology amd();
// The same with a device that ACPI names.
[[nodiscard]] Topology amd_with_named_device();
// A unit on PCI and a memory-mapped one, functions of two segments, an endpoint that is none.
[[nodiscard]] Topology virtual_machine();

}  // namespace weir::tools::acpi::test
