// SPDX-License-Identifier: Apache-2.0
//
// A second reading of DMAR, IVRS and VIOT bytes, by offsets that nobody of weir wrote: those of the
// structures in Linux' include/acpi/actbl1.h (acpi_dmar_*), actbl2.h (acpi_ivrs_*) and actbl3.h
// (acpi_viot_*), which are ACPICA's. It shares nothing with weir's parsers. What iasl of Debian 12
// cannot decode is here too:
//   SATC   acpi_dmar_satc: flags 4, segment 6 (lore 20210203093329.1617808-1-baolu.lu)
//   SIDP   acpi_dmar_sidp: segment 6; the flags of acpi_dmar_device_scope at 2 (ACPICA's patch of
//          A. Neyman that adds ACPI_DMAR_TYPE_SIDP = 6)
//   40h    ACPI_IVRS_TYPE_HARDWARE3, device entries from 40; acpi_ivrs_device_hid: HID 4, CID 12,
//          uid_type 20 (ACPI_IVRS_UID_IS_STRING 2, ACPICA 7eb0b770cb0e), uid_length 21
//   VIOT   acpi_table_viot: count 36, offset 38; acpi_viot_pci_range, _mmio, _virtio_iommu_pci and
//          _virtio_iommu_mmio, node types 1 to 4
//
// Plain values; any thread. Never reads past the bytes; what is cut off is a complaint.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace weir::truth {

using Bytes = std::span<const std::byte>;

// Where a structure lies, and in which one.
struct Place {
  std::size_t at = 0;
  std::size_t bytes = 0;
  std::size_t inside = 0;  // offset of the structure around it; 0: the table itself
};

struct DmarReading {
  struct Scope {
    Place place;
    std::uint8_t type = 0, flags = 0, enumeration = 0, bus = 0;
    std::vector<std::pair<std::uint8_t, std::uint8_t>> path;
  };
  struct Structure {
    Place place;
    std::uint16_t type = 0;
    std::uint8_t flags = 0;  // DRHD, ATSR, SATC
    std::uint16_t segment = 0;
    std::uint64_t base = 0;       // DRHD, RMRR, RHSA
    std::uint64_t limit = 0;      // RMRR
    std::uint32_t proximity = 0;  // RHSA
    std::uint8_t number = 0;      // ANDD
    std::string name;             //
    std::vector<Scope> scopes;
  };
  std::vector<Structure> structures;
  std::string complaint;
};
[[nodiscard]] DmarReading read_dmar_again(Bytes table);

struct IvrsReading {
  struct Entry {
    Place place;
    std::uint8_t type = 0;
    std::uint16_t device = 0;
    std::uint16_t source = 0;              // alias, special
    std::uint8_t handle = 0, variety = 0;  // special
    std::string hid, uid;                  // ACPI
    std::uint8_t uid_type = 0;
  };
  struct Unit {
    Place place;
    std::uint8_t type = 0;
    std::uint16_t device = 0, segment = 0;
    std::uint64_t base = 0;
    std::vector<Entry> entries;
  };
  struct Memory {
    Place place;
    std::uint8_t type = 0, flags = 0;
    std::uint16_t device = 0, last = 0, segment = 0;
    std::uint64_t base = 0, length = 0;
  };
  std::vector<Unit> units;
  std::vector<Memory> memory;
  std::string complaint;
};
[[nodiscard]] IvrsReading read_ivrs_again(Bytes table);

struct ViotReading {
  struct Node {
    Place place;
    std::uint8_t type = 0;
    std::uint32_t endpoint = 0;
    std::uint16_t segment_start = 0, segment_end = 0, bdf_start = 0, bdf_end = 0;
    std::uint64_t base = 0;  // MMIO endpoint or unit
    std::uint16_t output = 0;
  };
  std::vector<Node> nodes;
  std::string complaint;
};
[[nodiscard]] ViotReading read_viot_again(Bytes table);

}  // namespace weir::truth
