// SPDX-License-Identifier: Apache-2.0
//
// Findings about a firmware table: what a guest would make of it, what the machine it is for
// contradicts, and what is not as wished. Each vendor has the rules of its own table
// (dmar_audit.h, ivrs_audit.h, viot_audit.h); the ones here hold for all of them. Every rule names
// its source: a clause, or what a guest's driver does.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "iommu/coverage.h"
#include "iommu/topology.h"

namespace weir {

enum class Severity : std::uint8_t {
  kNote,     // lawful, and worth knowing
  kWarning,  // a guest works around it or does less
  kError,    // a guest refuses it, or is told a lie
};

struct Finding {
  Severity severity = Severity::kError;
  const char* rule = "";   // a name to look up in docs/acpi.md
  std::size_t offset = 0;  // into the table; 0: the table as a whole
  std::string text{};      // one sentence
  const char* source = "";
};

// What an audit may compare with; whatever is left out is not asked about.
struct AuditedMachine {
  const Topology* topology = nullptr;
  std::optional<std::uint32_t> highest_apic_id{};
  bool wide_destinations = false;  // 15-bit destination ids where no remapping applies
  std::optional<unsigned> physical_bits{};
  struct Memory {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  std::optional<std::vector<Memory>> reserved_memory{};  // as the memory map says
};

// Wishes that the table does not keep, functions covered twice, groups that nothing keeps apart and
// that are covered in part, and messages of bypassing functions to processors out of their reach.
[[nodiscard]] std::vector<Finding> audit_coverage(const Coverage& coverage,
                                                  const AuditedMachine& machine);

// Whether the region lies in reserved memory. REQUIRES: reserved_memory.
[[nodiscard]] bool is_reserved(const AuditedMachine& machine, std::uint64_t first,
                               std::uint64_t last);

}  // namespace weir
