// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/viot_audit.h"

#include <algorithm>
#include <string>
#include <utility>

#include "vendors/virtio_iommu/viot.h"

namespace weir::virtio_iommu {
namespace {

constexpr const char* kClause = "ACPI 6.5, 5.2.34";

class Audit {
 public:
  explicit Audit(const Viot& viot) : viot_(viot) {}

  [[nodiscard]] std::vector<Finding> run() {
    if (viot_.units.empty()) add(Severity::kError, "no-unit", "no unit", kClause);
    for (std::size_t i = 0; i < viot_.ranges.size(); ++i) {
      check_self(viot_.ranges[i]);
      for (std::size_t k = 0; k < i; ++k) compare(viot_.ranges[k], viot_.ranges[i]);
    }
    return std::move(findings_);
  }

 private:
  void add(Severity severity, const char* rule, std::string text, const char* source) {
    findings_.push_back(
        {.severity = severity, .rule = rule, .text = std::move(text), .source = source});
  }

  void check_self(const ViotRange& range) {
    namespace name = viot::pci_name;
    for (const std::uint64_t unit : viot_.units) {
      const Requester own{static_cast<std::uint16_t>(name::kSegment.get(unit)),
                          static_cast<std::uint16_t>(name::kBdf.get(unit))};
      if (name::kIsPci.is_set(unit) && range.first <= own && own <= range.last)
        add(Severity::kWarning, "lists-itself",
            "a unit's own function, " + to_string(own) + ", is among those translated",
            "virtio 1.4, 5.13; boot: VIOT, a unit in its own range (6.12): it gets no iommu_group");
    }
  }

  void compare(const ViotRange& a, const ViotRange& b) {
    if (a.first.segment == b.first.segment && a.first.bdf <= b.last.bdf &&
        b.first.bdf <= a.last.bdf)
      add(Severity::kError, "covered-twice",
          to_string(std::max(a.first, b.first)) + " is in two ranges",
          "ACPI 6.5, 5.2.34; Linux takes the first (viot_pci_dev_iommu_init)");
    const std::uint64_t a_last = a.first_endpoint + std::uint64_t{a.last.bdf} - a.first.bdf;
    const std::uint64_t b_last = b.first_endpoint + std::uint64_t{b.last.bdf} - b.first.bdf;
    if (a.unit == b.unit && a.first_endpoint <= b_last && b.first_endpoint <= a_last)
      add(Severity::kError, "endpoint-twice",
          "two functions behind one unit have the same endpoint id", "virtio 1.4, 5.13.6");
  }

  const Viot& viot_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> audit_viot(const viot::Table& table, const AuditedMachine& machine) {
  const auto viot = viot_of(table);
  if (!viot)
    return {{.rule = "nodes",
             .offset = viot.error().offset,
             .text = viot.error().cause,
             .source = kClause}};
  std::vector<Finding> findings = Audit(*viot).run();
  if (const auto coverage = coverage_of(table))
    for (Finding& finding : audit_coverage(*coverage, machine))
      findings.push_back(std::move(finding));
  if (machine.topology != nullptr && machine.highest_apic_id && *machine.highest_apic_id > 0xfe &&
      !machine.wide_destinations)
    findings.push_back({.severity = Severity::kWarning,
                        .rule = "no-interrupt-remapping",
                        .text = "APIC ids up to " + std::to_string(*machine.highest_apic_id) +
                                ", and a virtio-iommu remaps no interrupts",
                        .source = "virtio 1.4, 5.13 has no interrupt remapping"});
  return findings;
}

}  // namespace weir::virtio_iommu
