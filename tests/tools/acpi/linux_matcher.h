// SPDX-License-Identifier: Apache-2.0
//
// Who is behind which unit, as Linux finds it out: from the bytes of a DMAR, IVRS or VIOT and from
// the functions as they are numbered on their buses now. Reads bytes by itself and shares nothing
// with weir's parsers. For DMAR: dmar_insert_dev_scope, device_lookup_iommu and
// is_downstream_to_pci_bridge; for IVRS: init_iommu_from_acpi and rlookup_amd_iommu; for VIOT:
// viot_pci_dev_iommu_init.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace weir::tools::acpi::test {

// What a guest sees of a function when it walks its buses.
struct Seen {
  std::uint16_t segment = 0;
  std::uint16_t bdf = 0;
  bool bridge = false;
  std::uint8_t secondary = 0;
  std::uint8_t subordinate = 0;
  std::optional<std::uint16_t> physical{};  // of a virtual function
  std::set<std::uint16_t> requesters{};     // numbers of its requests
};

struct Verdict {
  bool covered = false;
  std::uint64_t unit = 0;   // its register address; of a virtio-pci unit segment << 16 | bdf
  std::string complaint{};  // what a guest would say of the table
};

class LinuxMatcher {
 public:
  LinuxMatcher(std::span<const std::byte> table, const std::vector<Seen>& functions)
      : table_(table), functions_(functions) {}

  [[nodiscard]] Verdict dmar(const Seen& function) const;
  [[nodiscard]] Verdict ivrs(const Seen& function) const;
  [[nodiscard]] Verdict viot(const Seen& function) const;

 private:
  template <typename T>
  [[nodiscard]] T at(std::size_t offset) const;
  [[nodiscard]] const Seen* find(std::uint16_t segment, unsigned bus, unsigned device,
                                 unsigned function) const;
  // The function that a device scope at `offset` names, if it is there.
  [[nodiscard]] const Seen* resolve(std::size_t offset, std::uint16_t segment) const;
  [[nodiscard]] Verdict ivrs_number(std::uint16_t segment, std::uint16_t bdf) const;
  [[nodiscard]] Verdict viot_number(std::uint16_t segment, std::uint16_t bdf) const;

  std::span<const std::byte> table_;
  const std::vector<Seen>& functions_;
};

}  // namespace weir::tools::acpi::test
