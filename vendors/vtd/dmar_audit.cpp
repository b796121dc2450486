// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/dmar_audit.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "vendors/vtd/capability_registers.h"
#include "vendors/vtd/dmar.h"

namespace weir::vtd {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr const char* kOrder = "VT-d 8.2: structures in the order of their types";
constexpr const char* kCatchAll = "VT-d 8.3: the unit with INCLUDE_PCI_ALL after all others";

[[nodiscard]] std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%llxh", static_cast<unsigned long long>(value));
  return std::string(text.data(), static_cast<std::size_t>(length));
}

class Audit {
 public:
  Audit(const dmar::Table& table, const AuditedMachine& machine,
        std::span<const AuditedRegisters> registers)
      : table_(table), machine_(machine), registers_(registers) {
    for (const dmar::Structure& s : table.structures)
      if (const auto* drhd = std::get_if<dmar::Drhd>(&s)) units_.push_back(drhd);
  }

  [[nodiscard]] std::vector<Finding> run() {
    check_order();
    check_units();
    check_width();
    check_interrupts();
    check_regions();
    check_named_devices();
    check_affinities();
    check_device_tlbs();
    check_registers();
    check_scope_types();
    const auto coverage = coverage_of(table_);
    if (!coverage) {
      add(Severity::kError, "path", coverage.error().offset, coverage.error().cause, "VT-d 8.3.1");
      return std::move(findings_);
    }
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
  [[nodiscard]] bool flag(const auto& bit) const { return bit.is_set(table_.flags); }

  void check_order() {
    std::size_t highest = 0;
    for (const dmar::Structure& s : table_.structures) {
      if (std::holds_alternative<dmar::Unknown>(s)) continue;
      if (s.index() < highest)
        add(Severity::kWarning, "order", std::visit([](auto& e) { return e.offset; }, s),
            "a structure comes after one of a higher type", kOrder);
      highest = std::max(highest, s.index());
    }
    std::set<std::uint16_t> closed;
    for (const dmar::Drhd* unit : units_) {
      if (closed.contains(unit->segment))
        add(Severity::kError, "catch-all-order", unit->offset,
            "unit " + hex(unit->base) +
                " comes after the one that takes the rest of its segment: who matches in order "
                "never reaches it",
            kCatchAll);
      if (takes_rest(*unit)) closed.insert(unit->segment);
    }
  }

  [[nodiscard]] static bool takes_rest(const dmar::Drhd& unit) {
    return dmar::drhd::kIncludePciAll.is_set(unit.flags);
  }

  void check_units() {
    std::set<std::uint64_t> bases;
    std::set<std::uint16_t> segments, with_rest;
    for (const dmar::Drhd* unit : units_) {
      if (unit->base == 0 || unit->base % kPage != 0)
        add(Severity::kError, "register-base", unit->offset,
            "a unit's registers at " + hex(unit->base),
            "VT-d 8.3: page-aligned; boot: DMAR, a unit nowhere (6.12): 0 is \"Your BIOS is "
            "broken; "
            "DMAR reported at address 0\", and then no unit is used");
      if (!bases.insert(unit->base).second)
        add(Severity::kError, "unit-twice", unit->offset,
            "a second unit with registers at " + hex(unit->base),
            "Linux takes the first alone (dmar_parse_one_drhd)");
      if (!takes_rest(*unit) && unit->scopes.empty())
        add(Severity::kNote, "unit-without-devices", unit->offset,
            "unit " + hex(unit->base) + " covers nobody",
            "Linux switches such a unit off (init_no_remapping_devices)");
      segments.insert(unit->segment);
      if (takes_rest(*unit)) with_rest.insert(unit->segment);
    }
    if (units_.empty())
      add(Severity::kError, "no-unit", 0, "no remapping unit", "VT-d 8.2: at least one DRHD");
    for (const std::uint16_t segment : segments)
      if (!with_rest.contains(segment))
        add(Severity::kNote, "no-catch-all", 0,
            "no unit takes the rest of segment " + std::to_string(segment) +
                ": what no scope names bypasses, devices plugged in later too",
            "VT-d 8.3; boot: DMAR, no catch-all (6.12): what no scope names is in no iommu_group "
            "and "
            "its DMA goes on unmapped");
  }

  void check_width() {
    constexpr unsigned kLeast = 32, kMost = 64;
    const unsigned bits = table_.host_address_width + 1U;
    if (bits < kLeast || bits > kMost)
      add(Severity::kError, "host-address-width", dmar::header::kHostAddressWidth,
          std::to_string(bits) + " bits of host addresses", "VT-d 8.1");
    if (machine_.physical_bits && bits != *machine_.physical_bits)
      add(Severity::kError, "host-address-width", dmar::header::kHostAddressWidth,
          "the table says " + std::to_string(bits) + " bits of host addresses, the machine has " +
              std::to_string(*machine_.physical_bits),
          "VT-d 8.1: the platform's DMA reach, which is not the width of IOVAs");
  }

  [[nodiscard]] bool lists(std::uint8_t type, std::uint8_t id) const {
    for (const dmar::Drhd* unit : units_)
      for (const dmar::Scope& scope : unit->scopes)
        if (scope.type == type && scope.enumeration == id) return true;
    return false;
  }

  void check_interrupts() {
    namespace header = dmar::header;
    constexpr const char* kWithout =
        "VT-d 8.3.1; boot: DMAR, I/O APIC in no scope (6.12): \"ioapic 0 has no mapping iommu, "
        "interrupt remapping will be disabled\"";
    if (flag(header::kInterruptRemapping)) {
      const auto is_io_apic = [](const dmar::Scope& s) { return s.type == dmar::scope::kIoApic; };
      const auto has_one = [&](const dmar::Drhd* unit) {
        return std::ranges::any_of(unit->scopes, is_io_apic);
      };
      if (machine_.topology == nullptr && std::ranges::none_of(units_, has_one))
        add(Severity::kError, "io-apic-missing", dmar::header::kFlags,
            "interrupt remapping is promised and no I/O APIC is in a scope", kWithout);
      if (machine_.topology != nullptr)
        for (const InterruptSource& source : machine_.topology->interrupt_sources())
          if (source.kind == InterruptSource::Kind::kIoApic &&
              !lists(dmar::scope::kIoApic, source.id))
            add(Severity::kError, "io-apic-missing", dmar::header::kFlags,
                "interrupt remapping is promised and I/O APIC " + std::to_string(source.id) +
                    " is in no scope",
                kWithout);
    }
    constexpr std::uint32_t kHighestXapic = 0xfe;
    if (flag(header::kX2apicOptOut) && machine_.highest_apic_id &&
        *machine_.highest_apic_id > kHighestXapic)
      add(Severity::kError, "x2apic-opt-out", dmar::header::kFlags,
          "the guest is asked not to use x2APIC, and has APIC id " +
              std::to_string(*machine_.highest_apic_id),
          "VT-d 8.1; Linux stays in xAPIC mode (dmar_x2apic_optout), which has 8-bit ids");
    if (flag(header::kX2apicOptOut) && !flag(header::kInterruptRemapping))
      add(Severity::kWarning, "x2apic-opt-out", dmar::header::kFlags,
          "the opt-out counts only where interrupt remapping is promised", "VT-d 8.1");
    if (flag(header::kPlatformOptIn)) check_opt_in();
  }

  void check_opt_in() {
    if (machine_.topology == nullptr) return;
    const auto coverage = coverage_of(table_);
    if (!coverage) return;
    for (std::uint32_t i = 0; i < machine_.topology->functions(); ++i) {
      if (is_bridge((*machine_.topology)[{i}].kind)) continue;
      const auto found = covering(*coverage, machine_.topology->location({i}));
      if (!found || *found != nullptr) continue;
      add(Severity::kWarning, "platform-opt-in", dmar::header::kFlags,
          "the guest is told that no DMA goes unguarded, and " + machine_.topology->name({i}) +
              " bypasses",
          "VT-d 8.1; Linux turns translation on for it (dmar_platform_optin)");
      return;
    }
  }

  void check_regions() {
    for (const dmar::Structure& s : table_.structures) {
      const auto* r = std::get_if<dmar::Rmrr>(&s);
      if (r == nullptr) continue;
      constexpr const char* kSource =
          "VT-d 8.4: whole pages, in reserved memory; boot: DMAR, regions elsewhere (6.12): \"No "
          "firmware reserved region can cover this RMRR\", and the kernel is tainted";
      if (r->limit <= r->base || r->base % kPage != 0 || (r->limit + 1) % kPage != 0)
        add(Severity::kError, "reserved-region", r->offset,
            "a reserved region from " + hex(r->base) + " to " + hex(r->limit), kSource);
      else if (machine_.reserved_memory && !is_reserved(machine_, r->base, r->limit))
        add(Severity::kError, "reserved-region", r->offset,
            "the reserved region from " + hex(r->base) + " is ordinary memory to the guest",
            kSource);
      if (r->scopes.empty())
        add(Severity::kWarning, "reserved-region", r->offset, "a reserved region of no device",
            "VT-d 8.4: at least one device");
    }
  }

  void check_named_devices() {
    std::map<std::uint8_t, std::size_t> named;
    for (const dmar::Structure& s : table_.structures)
      if (const auto* a = std::get_if<dmar::Andd>(&s)) {
        named[a->number] = a->offset;
        if (a->rest.empty())
          add(Severity::kError, "named-device", a->offset, "a device name without an end",
              "VT-d 8.7: ends with a zero byte");
      }
    std::set<std::uint8_t> in_scopes;
    for (const dmar::Drhd* unit : units_)
      for (const dmar::Scope& scope : unit->scopes) {
        if (scope.type != dmar::scope::kNamespaceDevice) continue;
        in_scopes.insert(scope.enumeration);
        if (!named.contains(scope.enumeration))
          add(Severity::kError, "named-device", scope.offset,
              "a scope names device " + std::to_string(scope.enumeration) +
                  ", which no ANDD describes",
              "VT-d 8.3.1, 8.7");
      }
    for (const auto& [number, offset] : named)
      if (!in_scopes.contains(number))
        add(Severity::kWarning, "named-device", offset,
            "named device " + std::to_string(number) + " is in no scope",
            "VT-d 8.7; Linux says \"No IOMMU scope found\" (dmar_acpi_insert_dev_scope)");
  }

  void check_affinities() {
    for (const dmar::Structure& s : table_.structures)
      if (const auto* r = std::get_if<dmar::Rhsa>(&s))
        if (std::ranges::none_of(units_, [&](auto* unit) { return unit->base == r->base; }))
          add(Severity::kError, "affinity", r->offset,
              "an affinity of a unit at " + hex(r->base) + ", which is not there",
              "VT-d 8.6; boot: DMAR, regions elsewhere (6.12): \"RHSA refers to non-existent DMAR "
              "unit\"");
  }

  [[nodiscard]] const AuditedRegisters* registers_of(const dmar::Drhd& unit) const {
    const auto found = std::ranges::find(registers_, unit.base, &AuditedRegisters::base);
    return found == registers_.end() ? nullptr : &*found;
  }

  // A function's requests for translations are answered where its root port is in an ATSR or it is
  // in a SATC, and its unit has device TLBs.
  void check_device_tlbs() {
    std::vector<const std::vector<dmar::Scope>*> lists;
    bool all_ports = false;
    std::size_t first = 0;
    for (const dmar::Structure& s : table_.structures) {
      if (const auto* a = std::get_if<dmar::Atsr>(&s)) {
        lists.push_back(&a->scopes);
        all_ports |= dmar::atsr::kAllPorts.is_set(a->flags);
        if (first == 0) first = a->offset;
      }
      if (const auto* a = std::get_if<dmar::Satc>(&s)) {
        lists.push_back(&a->scopes);
        if (first == 0) first = a->offset;
      }
    }
    const auto has_no_device_tlbs = [this](const dmar::Drhd* unit) {
      const AuditedRegisters* r = registers_of(*unit);
      return r != nullptr && !reg::ecap::kDeviceTlb.is_set(r->extended_capability);
    };
    if (!lists.empty() && !units_.empty() && std::ranges::all_of(units_, has_no_device_tlbs))
      add(Severity::kWarning, "device-tlbs", first,
          "devices with TLBs are listed, and no unit has device TLBs", "VT-d 8.5, 10.4.3 (DT)");
    if (machine_.topology == nullptr || all_ports) return;
    const Topology& t = *machine_.topology;
    for (std::uint32_t i = 0; i < t.functions(); ++i) {
      if (!t[{i}].ats || t[{i}].wish.kind != Wish::Kind::kUnit) continue;
      const Location location = t.location({i});
      const auto named = [&](const std::vector<dmar::Scope>* list) {
        return std::ranges::any_of(*list, [&](const dmar::Scope& scope) {
          return scope_covers({.kind = DeviceScope::Kind::kSubHierarchy,
                               .start_bus = scope.start_bus,
                               .path = scope.path},
                              location);
        });
      };
      if (std::ranges::none_of(lists, named))
        add(Severity::kWarning, "device-tlbs", 0,
            t.name({i}) + " has ATS and is behind a unit, but no ATSR or SATC lists it",
            "VT-d 8.5, 8.8; Linux leaves its ATS off (dmar_ats_supported)");
    }
  }

  void check_registers() {
    std::set<bool> caching;
    for (const dmar::Drhd* unit : units_) {
      const AuditedRegisters* r = registers_of(*unit);
      if (r == nullptr) continue;
      const bool remaps = reg::ecap::kInterruptRemapping.is_set(r->extended_capability);
      if (flag(dmar::header::kInterruptRemapping) && !remaps)
        add(Severity::kError, "intr-remap", unit->offset,
            "the table promises interrupt remapping, which unit " + hex(unit->base) + " cannot do",
            "VT-d 8.1, 10.4.3 (IR); boot: DMAR, regions elsewhere (6.12): \"Not enabling interrupt "
            "remapping\"");
      if (!flag(dmar::header::kInterruptRemapping) && remaps)
        add(Severity::kNote, "intr-remap", unit->offset,
            "unit " + hex(unit->base) + " remaps interrupts and the table does not say so",
            "VT-d 8.1");
      caching.insert(reg::cap::kCachingMode.is_set(r->capability));
    }
    if (caching.size() == 2)
      add(Severity::kWarning, "caching-mode", 0, "units with caching mode beside units without",
          "VT-d 10.4.2 (CM); boot: DMAR, caching mode on one of two (6.12): \"IOMMU batching "
          "disallowed due to virtualization\", and what is behind the other unit is strict too");
  }

  // An endpoint is no bridge and a bridge no endpoint.
  void check_scope_types() {
    if (machine_.topology == nullptr) return;
    const Topology& t = *machine_.topology;
    for (const dmar::Drhd* unit : units_)
      for (const dmar::Scope& scope : unit->scopes) {
        const bool below = scope.type == dmar::scope::kSubHierarchy;
        if (!below && scope.type != dmar::scope::kEndpoint) continue;
        bool there = false;
        for (std::uint32_t i = 0; i < t.functions(); ++i) {
          const Location location = t.location({i});
          if (location.function.segment != unit->segment || location.physical ||
              !scope_covers({.kind = DeviceScope::Kind::kEndpoint,
                             .start_bus = scope.start_bus,
                             .path = scope.path},
                            location))
            continue;
          there = true;
          if (is_bridge(t[{i}].kind) != below)
            add(Severity::kError, "scope-type", scope.offset,
                t.name({i}) + (below ? " is no bridge, and a scope names it as one"
                                     : " is a bridge, and a scope names it as an endpoint"),
                "VT-d 8.3.1; boot: DMAR, an endpoint as a bridge (6.12): \"Device scope type does "
                "not "
                "match\", and then no unit is used");
        }
        if (!there)
          add(Severity::kNote, "scope-of-nobody", scope.offset,
              "a scope names a function that is not there", "VT-d 8.3.1");
      }
  }

  const dmar::Table& table_;
  const AuditedMachine& machine_;
  std::span<const AuditedRegisters> registers_;
  std::vector<const dmar::Drhd*> units_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> audit_dmar(const dmar::Table& table, const AuditedMachine& machine,
                                std::span<const AuditedRegisters> registers) {
  return Audit(table, machine, registers).run();
}

}  // namespace weir::vtd
