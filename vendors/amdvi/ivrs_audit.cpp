// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/ivrs_audit.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "vendors/amdvi/ivrs.h"

namespace weir::amdvi {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint16_t kSouthbridge = 0x00a0;  // 00:14.0

class Audit {
 public:
  Audit(const ivrs::Table& table, const AuditedMachine& machine,
        std::span<const AuditedRegisters> registers)
      : table_(table), machine_(machine), registers_(registers), units_(units_of(table)) {}

  [[nodiscard]] std::vector<Finding> run() {
    check_units();
    check_io_apics();
    check_memory();
    check_registers();
    const auto coverage = coverage_of(table_);
    if (!coverage) {
      add(Severity::kError, "entries", coverage.error().offset, coverage.error().cause,
          "48882 5.2.2.1");
      return std::move(findings_);
    }
    check_coverage(*coverage);
    for (Finding& finding : audit_coverage(*coverage, machine_))
      findings_.push_back(std::move(finding));
    return std::move(findings_);
  }

 private:
  void add(Severity severity, const char* rule, std::size_t offset, std::string text,
           const char* source) {
    findings_.push_back({.severity = severity,
                         .rule = rule,
                         .offset = offset,
                         .text = std::move(text),
                         .source = source});
  }

  void check_units() {
    if (units_.empty())
      add(Severity::kError, "no-unit", 0, "no hardware definition", "48882 5.2.2");
    std::set<std::uint64_t> bases;
    for (const ivrs::Ivhd* unit : units_) {
      if (unit->base == 0 || unit->base % kPage != 0)
        add(Severity::kError, "register-base", unit->offset,
            "a unit's registers are not at the start of a page", "48882 5.2.2");
      if (!bases.insert(unit->base).second)
        add(Severity::kError, "unit-twice", unit->offset, "a unit is there twice", "48882 5.2.2");
    }
    // Definitions of one unit by several types have to agree: older guests read the lower ones.
    for (const ivrs::Block& block : table_.blocks) {
      const auto* low = std::get_if<ivrs::Ivhd>(&block);
      if (low == nullptr || std::ranges::find(units_, low) != units_.end()) continue;
      const auto same = [&](const ivrs::Ivhd* high) {
        return high->base == low->base && high->device == low->device &&
               high->segment == low->segment;
      };
      if (std::ranges::none_of(units_, same))
        add(Severity::kWarning, "types-disagree", low->offset,
            "a unit is defined by a lower type alone, which nobody reads any more",
            "48882 5.2.2; Linux reads the highest type of the table "
            "(get_highest_supported_ivhd_type)");
    }
  }

  void check_io_apics() {
    std::set<std::uint8_t> listed;
    bool southbridge = false;
    for (const ivrs::Ivhd* unit : units_)
      for (const ivrs::Entry& e : unit->entries)
        if (e.type == ivrs::entry::kSpecial && e.variety == ivrs::entry::kIoApic) {
          listed.insert(e.handle);
          southbridge |= e.source == kSouthbridge;
        }
    if (!southbridge)
      add(Severity::kError, "io-apic-southbridge", 0, "no I/O APIC is listed as 00:14.0 (A0h)",
          "boot: IVRS, I/O APIC elsewhere (6.12): \"No southbridge IOAPIC found\", \"Disabling "
          "interrupt remapping\"");
    if (machine_.topology == nullptr) return;
    for (const InterruptSource& source : machine_.topology->interrupt_sources())
      if (source.kind == InterruptSource::Kind::kIoApic && !listed.contains(source.id))
        add(Severity::kError, "io-apic-missing", 0,
            "I/O APIC " + std::to_string(source.id) + " is in no special entry",
            "48882 5.2.2.5; boot: IVRS, I/O APIC in no entry (6.12): \"IOAPIC[0] not in IVRS "
            "table\", "
            "\"Disabling interrupt remapping\"");
  }

  void check_memory() {
    for (const ivrs::Block& block : table_.blocks) {
      const auto* m = std::get_if<ivrs::Ivmd>(&block);
      if (m == nullptr) continue;
      if (m->length == 0 || m->base % kPage != 0 || m->length % kPage != 0)
        add(Severity::kError, "reserved-region", m->offset,
            "a reserved region does not consist of whole pages", "48882 5.2.3");
      else if (machine_.reserved_memory && !is_reserved(machine_, m->base, m->base + m->length - 1))
        add(Severity::kWarning, "reserved-region", m->offset,
            "a reserved region is ordinary memory to the guest", "48882 5.2.3");
      if (ivrs::ivmd::kExclusion.is_set(m->flags))
        add(Severity::kNote, "exclusion", m->offset,
            "an exclusion range, which Linux makes a one-to-one map",
            "48882 5.2.3; boot: IVRS, I/O APIC elsewhere (6.12): reserved_regions has it as "
            "direct");
      if (m->type == ivrs::ivmd::kRange && m->last_device < m->device)
        add(Severity::kError, "reserved-region", m->offset,
            "a range of devices ends before it begins", "48882 5.2.3");
    }
  }

  void check_registers() {
    for (const ivrs::Ivhd* unit : units_) {
      const auto found = std::ranges::find(registers_, unit->base, &AuditedRegisters::base);
      if (found == registers_.end() || unit->type == ivrs::ivhd::kType10) continue;
      if (ivrs::header::kFeatures.is_set(table_.info) &&
          (unit->features != found->features || unit->features2 != found->features2))
        add(Severity::kError, "features", unit->offset,
            "the features in the table are not those in the unit's registers",
            "48882 5.2.2, 3.3; boot: IVRS, I/O APIC elsewhere (6.12): \"EFR mismatch. Use IVHD "
            "EFR\"");
    }
  }

  void check_coverage(const Coverage& coverage) {
    for (std::size_t i = 0; i < coverage.units.size(); ++i) {
      const UnitCoverage& unit = coverage.units[i];
      if (unit.rest_of_segment && i != 0)
        for (std::size_t k = 0; k < i; ++k)
          if (coverage.units[k].segment == unit.segment)
            add(Severity::kError, "catch-all-order", units_[i]->offset,
                "a unit takes all functions after another has named some",
                "a later entry overrides an earlier one in Linux (set_dev_entry_from_acpi)");
      const std::uint16_t own = units_[i]->device;
      const auto holds = [own](FunctionRange range) { return range.holds(own); };
      if (unit.rest_of_segment || std::ranges::any_of(unit.functions, holds))
        add(Severity::kWarning, "lists-itself", units_[i]->offset,
            "a unit's own function is among those it translates", "48882 2.1.1; 5.2.2.1");
      for (std::size_t k = 0; k < i; ++k)
        if (coverage.units[k].segment == unit.segment) compare(coverage.units[k], unit, i);
    }
  }

  void compare(const UnitCoverage& a, const UnitCoverage& b, std::size_t index) {
    for (const FunctionRange x : a.functions)
      for (const FunctionRange y : b.functions)
        if (x.first <= y.last && y.first <= x.last)
          return add(Severity::kError, "covered-twice", units_[index]->offset,
                     to_string(Requester::from_sid(std::max(x.first, y.first), a.segment)) +
                         " is named by two units",
                     "48882 5.2.2.1");
  }

  const ivrs::Table& table_;
  const AuditedMachine& machine_;
  std::span<const AuditedRegisters> registers_;
  std::vector<const ivrs::Ivhd*> units_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> audit_ivrs(const ivrs::Table& table, const AuditedMachine& machine,
                                std::span<const AuditedRegisters> registers) {
  return Audit(table, machine, registers).run();
}

}  // namespace weir::amdvi
