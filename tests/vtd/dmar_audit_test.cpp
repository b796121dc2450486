// SPDX-License-Identifier: Apache-2.0
//
// Each rule of the DMAR audit: a table that is right, and the one change that the rule finds.
#include "vendors/vtd/dmar_audit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/iommu/audit_sources.h"
#include "vendors/vtd/capability_registers.h"
#include "vendors/vtd/dmar.h"

namespace weir::vtd::test {
namespace {

[[nodiscard]] constexpr std::uint8_t slot(unsigned device, unsigned function = 0) {
  return static_cast<std::uint8_t>(device << 3 | function);
}

[[nodiscard]] std::vector<std::string> rules(const std::vector<Finding>& findings,
                                             Severity least = Severity::kWarning) {
  std::vector<std::string> rules;
  for (const Finding& finding : findings) {
    weir::test::expect_source(finding,
                              {"no-catch-all", "io-apic-missing", "caching-mode", "group-split",
                               "bypass-destination", "affinity", "scope-type", "register-base"});
    if (finding.severity == Severity::kError)
      weir::test::expect_source(finding, {"reserved-region", "intr-remap"});
    if (finding.severity >= least) rules.emplace_back(finding.rule);
  }
  return rules;
}

using Rules = std::vector<std::string>;

// Two units, an I/O APIC, a disk with ATS, a named device, a reserved region, a function that
// bypasses.
struct Machine {
  Machine() {
    topology.add(RootBus{.name = "PCI0"});
    topology.add(UnitPlace{.name = "one", .register_base = 0xfed90000, .proximity = 0});
    topology.add(UnitPlace{.name = "two", .register_base = 0xfed91000});
    const FunctionId port = topology.add({.name = "port",
                                          .kind = FunctionKind::kRootPort,
                                          .devfn = slot(0x1c),
                                          .wish = Wish::unit(0),
                                          .secondary = 1,
                                          .subordinate = 1});
    disk = topology.add({.name = "disk",
                         .kind = FunctionKind::kEndpoint,
                         .bridge = port,
                         .wish = Wish::unit(0),
                         .ats = true});
    usb = topology.add({.name = "usb", .devfn = slot(4), .wish = Wish::unit(1)});
    net = topology.add({.name = "net", .devfn = slot(5)});
    topology.add(InterruptSource{.id = 2, .as = Requester::from_bdf(0xff, 0, 0), .unit = 0});
    topology.add(NamedDevice{
        .path = "\\_SB.I2C0", .as = Requester::from_bdf(0, 0x15, 0), .wish = Wish::unit(1)});
    topology.add(ReservedRegion{.first = 0x7a000000, .last = 0x7a000fff, .functions = {usb}});
    table = dmar_of(topology, {.host_address_bits = 39, .interrupt_remapping = true}).value();
    facts.physical_bits = 39;
    facts.highest_apic_id = 7;
    facts.reserved_memory = {{0x7a000000, 0x7affffff}};
  }
  template <typename T>
  [[nodiscard]] T& get(std::size_t which = 0) {
    for (auto& s : table.structures)
      if (auto* found = std::get_if<T>(&s); found != nullptr && which-- == 0) return *found;
    std::abort();
  }
  [[nodiscard]] Rules audit() const {
    AuditedMachine machine = facts;
    machine.topology = &topology;
    return rules(audit_dmar(table, machine, registers));
  }

  Topology topology;
  FunctionId disk, usb, net;
  dmar::Table table;
  AuditedMachine facts;
  std::vector<AuditedRegisters> registers{{0xfed90000, 0, 0xf}, {0xfed91000, 0, 0xf}};
};

TEST(DmarAudit, ATableOfOursIsClean) {
  const Machine m;
  EXPECT_EQ(m.audit(), Rules{});
  EXPECT_EQ(rules(audit_dmar(m.table)), Rules{}) << "nor alone";
}

TEST(DmarAudit, UnitsAndTheirOrder) {
  Machine m;
  m.get<dmar::Drhd>().flags = 1;
  EXPECT_EQ(rules(audit_dmar(m.table)), Rules{"catch-all-order"});
  m = Machine();
  std::swap(m.table.structures[1], m.table.structures[2]);
  EXPECT_EQ(rules(audit_dmar(m.table)), Rules{"order"});
  m = Machine();
  m.get<dmar::Drhd>(1).base = 0xfed90000;
  EXPECT_EQ(rules(audit_dmar(m.table)), Rules{"unit-twice"});
  m.get<dmar::Drhd>(1).base = 0;
  EXPECT_EQ(rules(audit_dmar(m.table)), Rules{"register-base"});
  m = Machine();
  for (auto i : {0U, 1U}) m.get<dmar::Drhd>(i).flags = 1;
  const Rules both = rules(audit_dmar(m.table));
  EXPECT_TRUE(std::ranges::count(both, "two-catch-alls"));
  EXPECT_EQ(rules(audit_dmar(dmar::Table{.host_address_width = 38}))[0], "no-unit");
}

// What each unit can do has to be what the table promises.
TEST(DmarAudit, Registers) {
  Machine m;
  m.registers[1].extended_capability = 0x7;  // no IR
  EXPECT_EQ(m.audit(), Rules{"intr-remap"});
  m = Machine();
  m.registers[1].capability = 1U << 7;  // CM
  EXPECT_EQ(m.audit(), Rules{"caching-mode"});
  m = Machine();
  for (auto& r : m.registers) r.extended_capability = 0xb;  // no DT
  EXPECT_EQ(m.audit(), Rules{"device-tlbs"});
}

TEST(DmarAudit, Interrupts) {
  Machine m;
  std::erase_if(m.get<dmar::Drhd>().scopes,
                [](const dmar::Scope& s) { return s.type == dmar::scope::kIoApic; });
  EXPECT_EQ(m.audit(), (Rules{"io-apic-missing", "not-as-wished"}));
  EXPECT_EQ(rules(audit_dmar(m.table)), Rules{"io-apic-missing"});
  m = Machine();
  m.table.flags |= 2;
  EXPECT_EQ(m.audit(), Rules{});
  m.facts.highest_apic_id = 300;
  EXPECT_EQ(m.audit(), (Rules{"x2apic-opt-out", "bypass-destination"}));
  m.facts.wide_destinations = true;
  EXPECT_EQ(m.audit(), Rules{"x2apic-opt-out"}) << "15 bits are enough for it";
  m = Machine();
  m.table.flags = 2;
  EXPECT_EQ(m.audit(), Rules{"x2apic-opt-out"}) << "without remapping it means nothing";
  m.table.flags = 4;
  EXPECT_EQ(m.audit(), Rules{"platform-opt-in"}) << "the network card bypasses";
}

TEST(DmarAudit, RegionsWidthsNamesAndAffinities) {
  Machine m;
  m.facts.reserved_memory = {{0x70000000, 0x79ffffff}};
  EXPECT_EQ(m.audit(), Rules{"reserved-region"});
  m = Machine();
  m.get<dmar::Rmrr>().limit = 0x7a000ffe;
  EXPECT_EQ(m.audit(), Rules{"reserved-region"});
  m = Machine();
  m.facts.physical_bits = 48;
  EXPECT_EQ(m.audit(), Rules{"host-address-width"}) << "D3";
  m = Machine();
  m.get<dmar::Andd>().number = 9;
  EXPECT_EQ(m.audit(), (Rules{"named-device", "named-device"})) << "either side";
  m = Machine();
  m.get<dmar::Rhsa>().base = 0x1000;
  EXPECT_EQ(m.audit(), Rules{"affinity"});
}

TEST(DmarAudit, AtsThatNobodyAnswers) {
  Machine m;
  std::erase_if(m.table.structures,
                [](const auto& s) { return std::holds_alternative<dmar::Atsr>(s); });
  EXPECT_EQ(m.audit(), Rules{"device-tlbs"});
}

TEST(DmarAudit, Wishes) {
  Machine m;
  m.get<dmar::Drhd>(1).scopes.push_back({.start_bus = 0, .path = {{5, 0}}});
  EXPECT_EQ(m.audit(), Rules{"not-as-wished"}) << "D2";
  m = Machine();
  m.get<dmar::Drhd>().scopes.back().type = dmar::scope::kEndpoint;
  const Rules found = m.audit();
  EXPECT_TRUE(std::ranges::count(found, "scope-type")) << "the port is a bridge";
  EXPECT_TRUE(std::ranges::count(found, "not-as-wished")) << "and the disk is below it";
}

// A function that bypasses and one that does not, and nothing between them.
TEST(DmarAudit, GroupsAreNotSplit) {
  Topology t;
  t.add(RootBus{});
  t.add(UnitPlace{.register_base = 0xfed90000});
  t.add({.devfn = slot(4, 0), .wish = Wish::unit(0), .isolates = false});
  t.add({.devfn = slot(4, 1), .isolates = false});
  const auto table = dmar_of(t);
  ASSERT_TRUE(table) << "a table can say it, so it is a finding";
  EXPECT_EQ(rules(audit_dmar(*table, {.topology = &t})), Rules{"group-split"});
}

}  // namespace
}  // namespace weir::vtd::test
