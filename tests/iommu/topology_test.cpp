// SPDX-License-Identifier: Apache-2.0
//
// A Topology's numbers: what a function is called while buses are renumbered, what its requests
// bear behind bridges, which functions nothing keeps apart, and that changes which contradict the
// rest change nothing.
#include "iommu/topology.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using Kind = FunctionKind;

[[nodiscard]] constexpr std::uint8_t slot(unsigned device, unsigned function = 0) {
  return static_cast<std::uint8_t>(device << 3 | function);
}

// 00:1c.0 root port to bus 1, 01:00.0 PCIe-to-PCI bridge to bus 2, 02:03.0 and 02:04.0 PCI devices.
struct Bridged {
  Bridged() {
    topology.add(RootBus{.name = "PCI0"});
    port = topology.add(
        {.kind = Kind::kRootPort, .devfn = slot(0x1c), .secondary = 1, .subordinate = 2});
    bridge = topology.add(
        {.kind = Kind::kPcieToPciBridge, .bridge = port, .secondary = 2, .subordinate = 2});
    left = topology.add({.kind = Kind::kConventional, .bridge = bridge, .devfn = slot(3)});
    right = topology.add({.kind = Kind::kConventional, .bridge = bridge, .devfn = slot(4)});
  }
  Topology topology;
  FunctionId port, bridge, left, right;
};

TEST(Topology, NumbersFollowTheBridgesAbove) {
  Bridged m;
  EXPECT_TRUE(m.topology.check());
  EXPECT_EQ(m.topology.number(m.left), Requester::from_bdf(2, 3, 0));
  const auto before = m.topology.revision();
  EXPECT_TRUE(m.topology.renumber(m.port, 0x40, 0x41));
  EXPECT_TRUE(m.topology.renumber(m.bridge, 0x41, 0x41));
  EXPECT_NE(m.topology.revision(), before);
  EXPECT_EQ(m.topology.number(m.left), Requester::from_bdf(0x41, 3, 0));
  const Location location = m.topology.location(m.left);
  EXPECT_EQ(location.bridges,
            (std::vector{Requester::from_bdf(0, 0x1c, 0), Requester::from_bdf(0x40, 0, 0)}));
  EXPECT_FALSE(m.topology.renumber(m.left, 3, 3)) << "no bridge";
}

// PCIe-to-PCI bridge specification 1.0, 2.3: the bridge takes ownership, as secondary bus, 0, 0.
TEST(Topology, RequestsBehindABridgeBearItsNumber) {
  Bridged m;
  EXPECT_EQ(m.topology.requester(m.left), Requester::from_bdf(2, 0, 0));
  EXPECT_EQ(m.topology.requester(m.right), m.topology.requester(m.left));
  EXPECT_EQ(m.topology.location(m.left).alias, Requester::from_bdf(2, 0, 0));
  EXPECT_EQ(m.topology.requester(m.bridge), Requester::from_bdf(1, 0, 0));
  EXPECT_FALSE(m.topology.location(m.bridge).alias);

  const FunctionId old = m.topology.add(
      {.kind = Kind::kPciBridge, .devfn = slot(0x1e), .secondary = 9, .subordinate = 9});
  const FunctionId below =
      m.topology.add({.kind = Kind::kConventional, .bridge = old, .devfn = slot(1)});
  EXPECT_EQ(m.topology.requester(below), Requester::from_bdf(0, 0x1e, 0));
  const FunctionId quirk = m.topology.add({.devfn = slot(5), .alias = 0x0020});
  EXPECT_EQ(m.topology.requester(quirk), Requester::from_bdf(0, 4, 0));
}

// PCIe 6.0, 7.5.3.4: the high function-number bits that are not in use.
TEST(Topology, PhantomFunctionsAreRequestersToo) {
  Topology t;
  t.add(RootBus{});
  const FunctionId id = t.add({.devfn = slot(3, 1), .phantom_bits = 1});
  EXPECT_EQ(t.requesters(id),
            (std::vector{Requester::from_bdf(0, 3, 1), Requester::from_bdf(0, 3, 5)}));
  const FunctionId most = t.add({.devfn = slot(4), .phantom_bits = 3});
  EXPECT_EQ(t.requesters(most).size(), 8U);
  EXPECT_TRUE(t.check());
  t.add({.devfn = slot(5, 4), .phantom_bits = 1});
  EXPECT_FALSE(t.check());
}

[[nodiscard]] std::size_t group_of(const Topology& t, FunctionId id) {
  const auto groups = t.groups();
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (const FunctionId member : groups[i])
      if (member == id) return i;
  return groups.size();
}

TEST(Topology, GroupsAreWhatNothingKeepsApart) {
  Bridged m;
  EXPECT_EQ(group_of(m.topology, m.left), group_of(m.topology, m.right));
  EXPECT_EQ(group_of(m.topology, m.left), group_of(m.topology, m.bridge));
  EXPECT_NE(group_of(m.topology, m.port), group_of(m.topology, m.bridge)) << "the port has ACS";

  Topology t;
  t.add(RootBus{});
  const FunctionId a = t.add({.devfn = slot(2, 0), .isolates = false});
  const FunctionId b = t.add({.devfn = slot(2, 1), .isolates = false});
  const FunctionId c = t.add({.devfn = slot(3, 0)});
  EXPECT_EQ(group_of(t, a), group_of(t, b));
  EXPECT_NE(group_of(t, a), group_of(t, c));
  // As a guest has it (tests/guest, "audit: DMAR, a whole slot"): no ACS without PCI Express.
  const FunctionId f = t.add({.kind = Kind::kConventional, .devfn = slot(5, 0)});
  const FunctionId g = t.add({.kind = Kind::kConventional, .devfn = slot(5, 1)});
  EXPECT_EQ(group_of(t, f), group_of(t, g));
  // A port without ACS: what is below both ports of its slot can meet in it.
  const FunctionId p =
      t.add({.kind = Kind::kRootPort, .devfn = slot(4, 0), .secondary = 1, .isolates = false});
  const FunctionId q =
      t.add({.kind = Kind::kRootPort, .devfn = slot(4, 1), .secondary = 2, .isolates = false});
  const FunctionId d = t.add({.kind = Kind::kEndpoint, .bridge = p});
  const FunctionId e = t.add({.kind = Kind::kEndpoint, .bridge = q});
  EXPECT_EQ(group_of(t, d), group_of(t, e));
}

TEST(Topology, AWindowFollowsItsBar) {
  Topology t;
  t.add(RootBus{});
  const FunctionId owner =
      t.add({.devfn = slot(3), .bars = {{.index = 2, .base = 0xc0000000, .bytes = 0x10000}}});
  const auto window = t.add(WindowPlace{.first = 0x1000,
                                        .base = 0x4000,
                                        .bytes = 0x8000,
                                        .bar = WindowPlace::InBar{.function = owner, .index = 2}});
  ASSERT_TRUE(t.window_now(window));
  EXPECT_EQ(t.window_now(window)->base, 0xc0004000U);
  EXPECT_TRUE(t.set_bar(owner, {.index = 2, .base = 0xd0000000, .bytes = 0x10000}));
  EXPECT_EQ(t.window_now(window)->base, 0xd0004000U);
  EXPECT_TRUE(
      t.set_bar(owner, {.index = 2, .base = 0xd0000000, .bytes = 0x10000, .decoded = false}));
  EXPECT_FALSE(t.window_now(window));
  EXPECT_TRUE(t.set_bar(owner, {.index = 2, .base = 0xd0000000, .bytes = 0x8000}));
  EXPECT_FALSE(t.window_now(window)) << "it would reach past the BAR";
  EXPECT_FALSE(t.set_bar(owner, {.index = 5}));
}

TEST(Topology, SlotsAreFilledAndEmptied) {
  Topology t;
  t.add(RootBus{});
  const FunctionId port =
      t.add({.kind = Kind::kRootPort, .devfn = slot(1), .present = false, .secondary = 1});
  const FunctionId card = t.add({.kind = Kind::kEndpoint, .bridge = port, .present = false});
  EXPECT_FALSE(t.plug(card)) << "the port is not there";
  EXPECT_TRUE(t.plug(port));
  EXPECT_TRUE(t.plug(card));
  EXPECT_FALSE(t.plug(card));
  EXPECT_TRUE(t.unplug(port));
  EXPECT_FALSE(t[card].present);
  EXPECT_FALSE(t.unplug(card));
}

TEST(Topology, ContradictionsAreRefusedAndChangeNothing) {
  Topology t;
  t.add(RootBus{});
  const FunctionId a = t.add({.kind = Kind::kRootPort, .devfn = slot(1), .secondary = 1});
  const FunctionId b = t.add({.kind = Kind::kRootPort, .devfn = slot(2), .secondary = 2});
  t.add({.name = "disk", .kind = Kind::kEndpoint, .bridge = a});
  t.add({.name = "net", .kind = Kind::kEndpoint, .bridge = b});
  ASSERT_TRUE(t.check());
  const auto refused = t.renumber(b, 1, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), "net (01:00.0) and disk (01:00.0) have the same number");
  EXPECT_EQ(t[b].secondary, 2);
  t.add({.devfn = slot(5), .wish = Wish::unit(0)});
  ASSERT_FALSE(t.check());
  EXPECT_EQ(t.check().error(), "00:05.0 wishes a unit that is not there");
}

TEST(Covering, InterruptSourcesAndNamedDevicesAreNotFunctions) {
  const Coverage coverage{{UnitCoverage{
      .register_base = 1,
      .rest_of_segment = true,
      .scopes = {{.kind = DeviceScope::Kind::kIoApic, .start_bus = 0xf0, .path = {{0x1f, 7}}}}}}};
  const auto who = [&](Origin origin, unsigned bus) {
    const auto found =
        covering(coverage, {.function = Requester::from_bdf(bus, 0x1f, 7), .origin = origin});
    return found.ok() && *found != nullptr;
  };
  EXPECT_TRUE(who(Origin::kIoApic, 0xf0));
  EXPECT_FALSE(who(Origin::kIoApic, 0xf1)) << "the rest of the segment is functions";
  EXPECT_FALSE(who(Origin::kHpet, 0xf0));
  EXPECT_FALSE(who(Origin::kNamed, 0xf0));
  EXPECT_TRUE(who(Origin::kFunction, 0xf1));
}

}  // namespace
}  // namespace weir
