// SPDX-License-Identifier: Apache-2.0
//
// Each rule of the IVRS audit: a table that is right, and the one change that the rule finds.
#include "vendors/amdvi/ivrs_audit.h"

#include <gtest/gtest.h>

#include "tests/iommu/audit_sources.h"
#include "vendors/amdvi/ivrs.h"

namespace weir::amdvi {
namespace {

using Rules = std::vector<std::string>;

[[nodiscard]] constexpr std::uint8_t slot(unsigned device, unsigned function = 0) {
  return static_cast<std::uint8_t>(device << 3 | function);
}

struct Machine {
  Machine() {
    topology.add(RootBus{});
    for (const unsigned n : {0U, 1U}) {
      const FunctionId own = topology.add({.name = "iommu", .devfn = slot(0, 2 + n)});
      topology.add(UnitPlace{.register_base = 0xfed80000 + n * 0x80000U, .function = own});
    }
    topology.add({.name = "disk", .devfn = slot(4), .wish = Wish::unit(0)});
    topology.add({.name = "net", .devfn = slot(5), .wish = Wish::unit(1)});
    topology.add(InterruptSource{.id = 32, .as = Requester::from_bdf(0, 0x14, 0), .unit = 0});
    table = ivrs_of(topology).value();
  }
  // Of the definitions that count.
  [[nodiscard]] ivrs::Ivhd& unit(std::size_t which) {
    return *const_cast<ivrs::Ivhd*>(units_of(table)[which]);
  }
  [[nodiscard]] Rules audit() const {
    Rules rules;
    for (const Finding& finding : audit_ivrs(table, {.topology = &topology}, registers)) {
      test::expect_source(finding, {"io-apic-southbridge", "io-apic-missing", "features",
                                    "exclusion", "group-split", "bypass-destination"});
      if (finding.severity >= Severity::kWarning) rules.emplace_back(finding.rule);
    }
    return rules;
  }

  Topology topology;
  ivrs::Table table;
  std::vector<AuditedRegisters> registers{{0xfed80000, 0x840, 0x800}, {0xfee00000, 0x840, 0x800}};
};

TEST(IvrsAudit, ATableOfOursIsClean) {
  const Machine m;
  EXPECT_EQ(m.audit(), Rules{});
}

TEST(IvrsAudit, FeaturesAreThoseOfTheRegisters) {
  Machine m;
  m.registers[0].features ^= 1;
  EXPECT_EQ(m.audit(), Rules{"features"});
}

// Linux wants the southbridge's I/O APIC as 00:14.0.
TEST(IvrsAudit, IoApics) {
  Machine m;
  m.unit(0).entries.back().source = 0x00a1;
  EXPECT_EQ(m.audit(), (Rules{"io-apic-southbridge", "not-as-wished"}));
  m = Machine();
  m.unit(0).entries.back().handle = 33;
  EXPECT_EQ(m.audit(), Rules{"io-apic-missing"});
}

TEST(IvrsAudit, WhoIsCovered) {
  Machine m;
  m.unit(1).entries.push_back({.type = ivrs::entry::kSelect, .device = 0x0020});
  EXPECT_EQ(m.audit(), (Rules{"covered-twice", "not-as-wished"}));
  m = Machine();
  m.unit(1).entries.push_back({.type = ivrs::entry::kSelect, .device = 0x0003});
  EXPECT_EQ(m.audit(), (Rules{"lists-itself", "not-as-wished"}));
  m = Machine();
  m.unit(1).entries.insert(m.unit(1).entries.begin(), {.type = ivrs::entry::kAll});
  EXPECT_EQ(m.audit()[0], "catch-all-order");
  m = Machine();
  m.unit(0).entries.push_back({.type = ivrs::entry::kRangeStart});
  EXPECT_EQ(m.audit(), Rules{"entries"});
}

TEST(IvrsAudit, BlocksAndRegions) {
  Machine m;
  m.unit(1).base = 0xfed80000;
  EXPECT_EQ(m.audit()[0], "unit-twice");
  m = Machine();
  m.table.blocks.emplace_back(ivrs::Ivmd{.flags = 7, .base = 0x1000, .length = 0x800});
  EXPECT_EQ(m.audit(), Rules{"reserved-region"});
  EXPECT_EQ(audit_ivrs(ivrs::Table{})[0].rule, std::string("no-unit"));
}

}  // namespace
}  // namespace weir::amdvi
