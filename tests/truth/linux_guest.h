// SPDX-License-Identifier: Apache-2.0
//
// Who is behind which unit, as Linux finds it out: from a second reading of the bytes (readings.h)
// and from what the guest sees of its machine (guest_view.h). Shares nothing with weir's parsers.
//   DMAR  dmar_insert_dev_scope, device_lookup_iommu, is_downstream_to_pci_bridge,
//         dmar_acpi_insert_dev_scope, ir_parse_ioapic_hpet_scope, dmar_find_matched_atsr_unit,
//         dmar_find_matched_satc_unit
//   IVRS  init_iommu_from_acpi, rlookup_amd_iommu, alias_table, get_acpihid_device_id
//   VIOT  viot_pci_dev_iommu_init, viot_mmio_dev_iommu_init
// Stricter than Linux in one thing: where it takes the first or the last of two units that name the
// same, that is a complaint.
//
// One thread; REQUIRES: the view outlives it.
#pragma once

#include <memory>

#include "tests/truth/guest_view.h"
#include "tests/truth/number_ranges.h"
#include "tests/truth/readings.h"

namespace weir::truth {

enum class Format : std::uint8_t { kDmar, kIvrs, kViot };

struct Verdict {
  bool covered = false;
  std::uint64_t unit = 0;   // its register address; of a virtio-pci unit segment << 16 | bdf
  std::string complaint{};  // what a guest would say of the table
};

// By the kind of unit in an IVRS (0 in a VIOT) and the unit as in a Verdict.
using Names = std::map<std::pair<std::uint8_t, std::uint64_t>, NumberRanges>;

class LinuxGuest {
 public:
  virtual ~LinuxGuest() = default;
  // Of the table as a whole; empty: none.
  [[nodiscard]] virtual std::string complaint() const = 0;
  [[nodiscard]] virtual Verdict of(const SeenFunction& function) const = 0;
  [[nodiscard]] virtual Verdict of(const SeenNamed& device) const = 0;
  [[nodiscard]] virtual Verdict of(const SeenSource& source) const = 0;
  // What else the table says, in one line for each thing it says it of; of functions by their
  // numbers. Compared with what the machine should have.
  [[nodiscard]] virtual std::set<std::string> facts() const = 0;
  // What each unit names by number, whether anybody bears it or not. A DMAR names by path.
  [[nodiscard]] virtual Names names() const { return {}; }
};

[[nodiscard]] std::unique_ptr<LinuxGuest> linux_guest(Format format, Bytes table,
                                                      const GuestView& view);
[[nodiscard]] std::unique_ptr<LinuxGuest> linux_with_dmar(Bytes table, const GuestView& view);
[[nodiscard]] std::unique_ptr<LinuxGuest> linux_with_ivrs(Bytes table, const GuestView& view);
[[nodiscard]] std::unique_ptr<LinuxGuest> linux_with_viot(Bytes table, const GuestView& view);

// The lines of facts().
[[nodiscard]] std::string fact(const char* what, std::uint64_t a, std::uint64_t b = 0,
                               std::uint64_t c = 0);

}  // namespace weir::truth
