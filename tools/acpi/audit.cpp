// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/audit.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <utility>

#include "tools/acpi/numbers.h"
#include "tools/acpi/topology_json.h"
#include "vendors/amdvi/ivrs_audit.h"
#include "vendors/virtio_iommu/viot_audit.h"
#include "vendors/vtd/dmar_audit.h"

namespace weir::tools::acpi {
namespace {

using Json = nlohmann::ordered_json;

struct Facts {
  AuditedMachine machine;
  std::vector<vtd::AuditedRegisters> vtd;
  std::vector<amdvi::AuditedRegisters> amdvi;
};

[[nodiscard]] std::optional<std::uint64_t> number_in(const Json& json) {
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (json.is_string()) return number_of(json.get_ref<const std::string&>());
  return std::nullopt;
}
[[nodiscard]] std::optional<std::uint64_t> number_at(const Json& object, const char* name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  return found == object.end() ? std::nullopt : number_in(*found);
}

// Empty: good.
[[nodiscard]] std::string read_registers(const Json& list, Facts& facts) {
  if (!list.is_array()) return "registers: is no list";
  for (const Json& each : list) {
    const auto base = number_at(each, "base");
    const auto cap = number_at(each, "cap"), ecap = number_at(each, "ecap");
    const auto efr = number_at(each, "efr");
    if (base && cap && ecap) {
      facts.vtd.push_back({*base, *cap, *ecap});
    } else if (base && efr) {
      facts.amdvi.push_back({*base, *efr, number_at(each, "efr2").value_or(0)});
    } else {
      return "registers: has an entry without base, cap and ecap, or base and efr";
    }
  }
  return {};
}

[[nodiscard]] std::string read_memory(const Json& list, Facts& facts) {
  auto& memory = facts.machine.reserved_memory.emplace();
  if (!list.is_array()) return "reserved_memory: is no list";
  for (const Json& each : list) {
    const auto first = number_at(each, "first"), last = number_at(each, "last");
    if (!first || !last) return "reserved_memory: has an entry without first and last";
    memory.push_back({*first, *last});
  }
  return {};
}

[[nodiscard]] std::string read_facts(const Json& json, Facts& facts) {
  if (const auto found = json.find("registers"); found != json.end())
    if (auto wrong = read_registers(*found, facts); !wrong.empty()) return wrong;
  if (const auto found = json.find("reserved_memory"); found != json.end())
    if (auto wrong = read_memory(*found, facts); !wrong.empty()) return wrong;
  if (const auto id = number_at(json, "highest_apic_id"))
    facts.machine.highest_apic_id = static_cast<std::uint32_t>(*id);
  if (const auto bits = number_at(json, "physical_bits"))
    facts.machine.physical_bits = static_cast<unsigned>(*bits);
  if (const auto wide = json.find("wide_destinations"); wide != json.end() && wide->is_boolean())
    facts.machine.wide_destinations = wide->get<bool>();
  return {};
}

[[nodiscard]] std::vector<Finding> findings_of(const Table& table, const Facts& facts) {
  if (const auto* dmar = std::get_if<vtd::dmar::Table>(&table))
    return vtd::audit_dmar(*dmar, facts.machine, facts.vtd);
  if (const auto* ivrs = std::get_if<amdvi::ivrs::Table>(&table))
    return amdvi::audit_ivrs(*ivrs, facts.machine, facts.amdvi);
  return virtio_iommu::audit_viot(std::get<virtio_iommu::viot::Table>(table), facts.machine);
}

}  // namespace

Result<std::vector<Finding>, std::string> audit(const Table& table, const Json* machine) {
  Facts facts;
  if (machine == nullptr) return findings_of(table, facts);
  const auto topology = topology_from_json(*machine);
  if (!topology) return Failure{topology.error()};
  if (auto wrong = read_facts(*machine, facts); !wrong.empty()) return Failure{std::move(wrong)};
  facts.machine.topology = &*topology;
  return findings_of(table, facts);
}

bool print_findings(std::ostream& out, const std::vector<Finding>& findings) {
  constexpr std::array<std::pair<Severity, const char*>, 3> kWords = {
      {{Severity::kError, "error"}, {Severity::kWarning, "warning"}, {Severity::kNote, "note"}}};
  std::string counts;
  for (const auto& [severity, word] : kWords) {
    std::size_t count = 0;
    for (const Finding& finding : findings) {
      if (finding.severity != severity) continue;
      ++count;
      out << word << ": offset " << finding.offset << ": " << finding.text << " [" << finding.rule
          << "; " << finding.source << "]\n";
    }
    if (!counts.empty()) counts += ", ";
    counts.append(std::to_string(count)).append(" ").append(word).append("s");
  }
  out << counts << "\n";
  return std::ranges::any_of(
      findings, [](const Finding& finding) { return finding.severity == Severity::kError; });
}

}  // namespace weir::tools::acpi
