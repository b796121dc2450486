// SPDX-License-Identifier: Apache-2.0
//
// The flattened device tree as a source of routes, for machines without ACPI: which functions a
// host bridge's iommu-map puts behind which unit, and which devices name one in `iommus`.
//
// A unit is named as in viot.h: by the address of its registers, or by its PCI function where it
// stands below a host bridge. The segment of a host bridge is its linux,pci-domain, or 0.
//
// Stateless; any thread. A tree is hostile input: every length is checked, and an error names its
// offset. Sources: Devicetree Specification 0.4, chapter 5; bindings pci/pci-iommu.txt and
// iommu/iommu.txt, virtio/iommu (virtio 1.4, 5.13.1).
#pragma once

#include "iommu/coverage.h"

namespace weir::virtio_iommu {

// For Iommu::use_tables.
[[nodiscard]] const TableParser& device_tree_parser();

}  // namespace weir::virtio_iommu
