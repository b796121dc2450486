// SPDX-License-Identifier: Apache-2.0
#include "iommu/audit.h"

#include <algorithm>

#include "iommu/wishes.h"

namespace weir {
namespace {

constexpr std::uint32_t kHighestIn8Bits = 0xfe;  // ffh is everybody
constexpr std::uint32_t kHighestIn15Bits = 0x7ffe;

[[nodiscard]] bool is_covered(const Coverage& coverage, const Location& location) {
  const auto found = covering(coverage, location);
  return found && *found != nullptr;
}

void audit_groups(const Coverage& coverage, const Topology& t, std::vector<Finding>& findings) {
  for (const std::vector<FunctionId>& group : t.groups()) {
    const auto covered = [&](FunctionId id) { return is_covered(coverage, t.location(id)); };
    // A bridge of its own accord asks for nothing; it is what lies below that matters.
    std::optional<FunctionId> in, out;
    for (const FunctionId id : group) {
      if (is_bridge(t[id].kind)) continue;
      (covered(id) ? in : out) = id;
    }
    if (in && out)
      findings.push_back(
          {.severity = Severity::kError,
           .rule = "group-split",
           .text = t.name(*in) + " is behind a unit and " + t.name(*out) +
                   " bypasses, but nothing keeps the two apart: give them one wish, or ACS to what "
                   "joins them",
           .source =
               "PCIe 6.0, 6.12; boot: DMAR, half a slot (6.12): the one has an iommu_group to "
               "itself and the other none; boot: DMAR, a whole slot (6.12): they belong to "
               "one"});
  }
}

void audit_destinations(const Coverage& coverage, const AuditedMachine& machine,
                        std::vector<Finding>& findings) {
  const Topology& t = *machine.topology;
  const std::uint32_t reach = machine.wide_destinations ? kHighestIn15Bits : kHighestIn8Bits;
  if (!machine.highest_apic_id || *machine.highest_apic_id <= reach) return;
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    if (is_bridge(t[{i}].kind) || is_covered(coverage, t.location({i}))) continue;
    findings.push_back(
        {.severity = Severity::kWarning,
         .rule = "bypass-destination",
         .text = t.name({i}) + " bypasses, and its messages reach APIC ids up to " +
                 std::to_string(reach) + " only, of " + std::to_string(*machine.highest_apic_id),
         .source = "SDM volume 3, 11.11.1: 8 destination bits in a message that is not remapped; "
                   "boot: DMAR, APIC id 256 (6.12): \"CPU 2 has invalid APIC ID 100. Aborting "
                   "bringup\"; Linux commit 26573a97746c (x86/apic: Fix x2apic enablement without "
                   "interrupt remapping); 15 bits where the hypervisor says so: Linux commits "
                   "ab0f59c6f135, 2e008ffe426f (KVM_FEATURE_MSI_EXT_DEST_ID)"});
    return;  // one such is enough to know
  }
}

}  // namespace

std::vector<Finding> audit_coverage(const Coverage& coverage, const AuditedMachine& machine) {
  std::vector<Finding> findings;
  for (std::size_t a = 0; a < coverage.units.size(); ++a)
    for (std::size_t b = 0; b < a; ++b)
      if (coverage.units[a].rest_of_segment && coverage.units[b].rest_of_segment &&
          coverage.units[a].segment == coverage.units[b].segment)
        findings.push_back({.rule = "two-catch-alls",
                            .text = "two units take the rest of segment " +
                                    std::to_string(coverage.units[a].segment),
                            .source = "VT-d 8.3: INCLUDE_PCI_ALL of one unit of a segment"});
  if (machine.topology == nullptr) return findings;
  for (std::string& problem : coverage_problems(*machine.topology, coverage))
    findings.push_back({.rule = "not-as-wished",
                        .text = std::move(problem),
                        .source = "the topology's wishes; routes come from the table"});
  audit_groups(coverage, *machine.topology, findings);
  audit_destinations(coverage, machine, findings);
  return findings;
}

bool is_reserved(const AuditedMachine& machine, std::uint64_t first, std::uint64_t last) {
  return std::ranges::any_of(*machine.reserved_memory, [&](const AuditedMachine::Memory& m) {
    return m.first <= first && last <= m.last;
  });
}

}  // namespace weir
