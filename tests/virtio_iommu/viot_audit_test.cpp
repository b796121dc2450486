// SPDX-License-Identifier: Apache-2.0
//
// Each rule of the VIOT audit.
#include "vendors/virtio_iommu/viot_audit.h"

#include <gtest/gtest.h>

#include "tests/iommu/audit_sources.h"
#include "vendors/virtio_iommu/viot.h"

namespace weir::virtio_iommu::test {
namespace {

using Rules = std::vector<std::string>;

[[nodiscard]] Rules rules(const viot::Table& table, const AuditedMachine& machine = {}) {
  Rules rules;
  for (const Finding& finding : audit_viot(table, machine)) {
    weir::test::expect_source(finding, {"lists-itself", "group-split", "bypass-destination"});
    rules.emplace_back(finding.rule);
  }
  return rules;
}

// A unit at 00:01.0, and functions 00:02.0 to 00:03.7 behind it.
[[nodiscard]] viot::Table small() {
  const std::uint64_t unit = name_of_pci(Requester::from_bdf(0, 1, 0));
  return parse_viot_table(build_viot({.units = {unit},
                                      .ranges = {{.unit = unit,
                                                  .first = {0, 0x10},
                                                  .last = {0, 0x1f},
                                                  .first_endpoint = 0x10}}}))
      .value();
}

TEST(ViotAudit, Rules) {
  EXPECT_EQ(rules(small()), Rules{});
  viot::Table t = small();
  t.nodes.push_back(t.nodes[1]);
  EXPECT_EQ(rules(t), (Rules{"covered-twice", "endpoint-twice"}));
  std::get<viot::PciRange>(t.nodes[2]).bdf_start = 0x20;
  std::get<viot::PciRange>(t.nodes[2]).bdf_end = 0x20;
  EXPECT_EQ(rules(t), Rules{"endpoint-twice"});
  t = small();
  std::get<viot::PciRange>(t.nodes[1]).bdf_start = 0x08;
  EXPECT_EQ(rules(t), Rules{"lists-itself"});
  std::get<viot::PciRange>(t.nodes[1]).output_node = 50;
  EXPECT_EQ(rules(t), Rules{"nodes"});
  t.nodes.clear();
  EXPECT_EQ(rules(t), Rules{"no-unit"});
}

TEST(ViotAudit, AgainstAMachine) {
  Topology m;
  m.add(RootBus{});
  m.add({.name = "net", .devfn = 0x10});
  EXPECT_EQ(rules(small(), {.topology = &m}), Rules{"not-as-wished"});
  EXPECT_EQ(rules(small(), {.topology = &m, .highest_apic_id = 300}),
            (Rules{"not-as-wished", "no-interrupt-remapping"}));
}

}  // namespace
}  // namespace weir::virtio_iommu::test
