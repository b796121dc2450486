// SPDX-License-Identifier: Apache-2.0
//
// Routes follow the machine: buses renumbered, BARs moved and switched off, functions plugged and
// pulled; by the bytes that are there, and nothing of an old way is used after the completion.
#include <gtest/gtest.h>

#include "iommu/topology.h"
#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint8_t slot(unsigned device) { return static_cast<std::uint8_t>(device << 3); }

// 00:1c.0 and 00:1d.0 are ports to buses 1 and 2, each with a function below; 00:05.0 has a BAR of
// memory. What the bytes say is the test's.
class Follow : public testing::Test {
 protected:
  Follow() : Follow({}, {}, {}) {}
  Follow(std::vector<FunctionRange> covered, Wish wish_of_left, Wish wish_of_right) {
    Coverage coverage;
    if (!covered.empty())
      coverage.units.push_back({.register_base = kUnitBase, .functions = std::move(covered)});
    machine = std::make_unique<Machine>(Machine::Options{.coverage = coverage});
    topology.add(RootBus{.name = "PCI0"});
    topology.add(UnitPlace{.name = "unit", .register_base = kUnitBase});
    left_port = topology.add({.kind = FunctionKind::kRootPort,
                              .devfn = slot(0x1c),
                              .secondary = 1,
                              .subordinate = 1});
    right_port = topology.add({.kind = FunctionKind::kRootPort,
                               .devfn = slot(0x1d),
                               .secondary = 2,
                               .subordinate = 2});
    left = topology.add(
        {.kind = FunctionKind::kEndpoint, .bridge = left_port, .wish = wish_of_left});
    right = topology.add(
        {.kind = FunctionKind::kEndpoint, .bridge = right_port, .wish = wish_of_right});
    owner = topology.add(
        Function{.devfn = slot(5),
                 .bars = {{.index = 2, .base = kData.value(), .bytes = 0x10000}}});
    topology.add(WindowPlace{.name = "buffer",
                             .first = 0x1000,
                             .base = 0x1000,
                             .bytes = 0x2000,
                             .bar = WindowPlace::InBar{.function = owner, .index = 2}});
  }
  std::unique_ptr<DmaPort> attach(FunctionId id) {
    auto port = machine->iommu->attach(topology, id);
    if (!port) ADD_FAILURE() << port.error();
    return port ? std::move(port).value() : nullptr;
  }
  RouteView::Kind kind(const DmaPort& port) { return machine->iommu->route_of(port).kind; }
  Change follow() { return machine->iommu->follow(topology, &refused); }
  void swap_buses() {
    ASSERT_TRUE(topology.renumber(right_port, 9, 9));
    ASSERT_TRUE(topology.renumber(left_port, 2, 2));
    ASSERT_TRUE(topology.renumber(right_port, 1, 1));
  }

  std::unique_ptr<Machine> machine;
  Topology topology;
  FunctionId left_port, right_port, left, right, owner;
  std::vector<std::string> refused;
};

// Number 0x100 (01:00.0) is covered, whoever bears it.
class FollowNumbers : public Follow {
 protected:
  FollowNumbers() : Follow({{.first = 0x100, .last = 0x100}}, Wish::unit(0), {}) {}
};

TEST_F(FollowNumbers, TwoFunctionsChangePlaces) {
  const auto a = attach(left);
  const auto b = attach(right);
  EXPECT_EQ(a->requester(), Requester::from_bdf(1, 0, 0));
  EXPECT_EQ(kind(*a), RouteView::Kind::kUnit);
  EXPECT_EQ(kind(*b), RouteView::Kind::kBypass);
  auto pin = b->map(Iova(kData.value()), 8, Access::kWrite).value();
  swap_buses();
  const Change change = follow();
  EXPECT_TRUE(refused.empty());
  EXPECT_EQ(a->requester(), Requester::from_bdf(2, 0, 0));
  EXPECT_EQ(b->requester(), Requester::from_bdf(1, 0, 0));
  EXPECT_EQ(kind(*a), RouteView::Kind::kBypass) << "what the bytes say of 02:00.0";
  EXPECT_EQ(kind(*b), RouteView::Kind::kUnit);
  EXPECT_FALSE(change.complete()) << "held from when it was on bypass";
  const auto t = b->translate(Iova(kData.value()), 8, Access::kWrite);
  ASSERT_FALSE(t);
  EXPECT_EQ(t.error().reason, FaultReason::kContextNotPresent);
  EXPECT_EQ(t.error().request.requester, Requester::from_bdf(1, 0, 0)) << "under its new number";
  pin.release();
  EXPECT_TRUE(change.complete());
  EXPECT_TRUE(machine->iommu->resolve_msi(Requester::from_bdf(2, 0, 0), 0xfee00000, 0));
  EXPECT_TRUE(follow().complete()) << "nothing has changed since";
}

// What a function's own TLB holds is of the unit that it has left; its name in there is the new one.
TEST_F(FollowNumbers, TheFunctionsOwnTlbIsEmptied) {
  class Device final : public AtsDevice {
   public:
    void on_invalidate(const AtsInvalidation& what) override { asked.push_back(what); }
    void on_page_response(const PageResponse&) override {}
    std::vector<AtsInvalidation> asked;
  };
  const auto device = std::make_shared<Device>();
  const auto a = attach(left);
  a->set_ats_device(device);
  swap_buses();
  const Change change = follow();
  ASSERT_EQ(device->asked.size(), 1u);
  EXPECT_TRUE(device->asked[0].all_pasids);
  EXPECT_FALSE(change.complete());
  EXPECT_TRUE(a->acknowledge_invalidation(device->asked[0].id));
  EXPECT_TRUE(change.complete());
}

// The rest of the segment is behind the unit: the route stays, the number does not.
class FollowContexts : public Follow {
 protected:
  FollowContexts() : Follow({{.first = 0, .last = 0xffff}}, Wish::unit(0), Wish::unit(0)) {}
};

TEST_F(FollowContexts, AreThoseOfTheNewNumber) {
  Tables first(*machine), second(*machine);
  first.map(Iova(0x5000), kData);
  second.map(Iova(0x5000), kData + kPageSize);
  machine->unit->set_context(Requester::from_bdf(1, 0, 0),
                             FakeUnit::second_stage(1, first.root()));
  machine->unit->set_context(Requester::from_bdf(2, 0, 0),
                             FakeUnit::second_stage(2, second.root()));
  const auto a = attach(left);
  EXPECT_EQ(a->translate(Iova(0x5000), 8, Access::kRead)->gpa, kData);
  swap_buses();
  EXPECT_TRUE(follow().complete());
  EXPECT_EQ(a->translate(Iova(0x5000), 8, Access::kRead)->gpa, kData + kPageSize);
}

class FollowWindow : public Follow {
 protected:
  FollowWindow() : Follow({}, Wish::window(0), {}) {}
};

TEST_F(FollowWindow, AWindowFollowsItsBar) {
  const auto a = attach(left);
  const Iova at(kData.value() + 0x1000);
  EXPECT_EQ(a->translate(at, 8, Access::kRead)->outcome, Outcome::kWindowed);
  EXPECT_FALSE(a->translate(at - 1, 1, Access::kRead));
  auto pin = a->map(at, 8, Access::kWrite).value();
  ASSERT_TRUE(topology.set_bar(
      owner, {.index = 2, .base = kData.value() + 0x20000, .bytes = 0x10000}));
  const Change change = follow();
  EXPECT_FALSE(change.complete());
  EXPECT_EQ(a->translate(at, 8, Access::kRead).error().reason, FaultReason::kOutsideWindow);
  EXPECT_TRUE(a->translate(at + 0x20000, 8, Access::kRead));
  pin.release();
  EXPECT_TRUE(change.complete());
}

TEST_F(FollowWindow, ABarThatIsNotDecodedHasNoWindow) {
  const auto a = attach(left);
  Bar bar{.index = 2, .base = kData.value(), .bytes = 0x10000, .decoded = false};
  ASSERT_TRUE(topology.set_bar(owner, bar));
  EXPECT_TRUE(follow().complete());
  const Iova at(kData.value() + 0x1000);
  EXPECT_EQ(a->translate(at, 8, Access::kRead).error().reason, FaultReason::kDetached);
  bar.decoded = true;
  ASSERT_TRUE(topology.set_bar(owner, bar));
  EXPECT_TRUE(follow().complete());
  EXPECT_TRUE(a->translate(at, 8, Access::kRead));
  // A guest may put it where no window can be.
  bar.base = 0xfee00000;
  ASSERT_TRUE(topology.set_bar(owner, bar));
  EXPECT_TRUE(follow().complete());
  EXPECT_EQ(kind(*a), RouteView::Kind::kNone);
}

TEST_F(Follow, AFunctionIsPulledAndPluggedAgain) {
  auto a = attach(left);
  ASSERT_TRUE(topology.unplug(left));
  EXPECT_TRUE(follow().complete());
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].find("it is not there any more"), std::string::npos) << refused[0];
  EXPECT_EQ(a->translate(Iova(kData.value()), 8, Access::kRead).error().reason,
            FaultReason::kDetached);
  EXPECT_FALSE(machine->iommu->attach(topology, left)) << "an empty slot";
  ASSERT_TRUE(topology.plug(left));
  EXPECT_TRUE(follow().complete());
  EXPECT_TRUE(refused.empty());
  EXPECT_TRUE(a->translate(Iova(kData.value()), 8, Access::kRead));
  a.reset();
  EXPECT_TRUE(attach(left)) << "and as another port";
}

// What the bytes say of a function that is added later is what it gets; a wish changes nothing.
class FollowContradictions : public Follow {
 protected:
  FollowContradictions() : Follow({{.first = 0x200, .last = 0x200}}, Wish::unit(0), {}) {}
};

TEST_F(FollowContradictions, AreRefusedWithBothSidesNamed) {
  const auto uncovered = machine->iommu->attach(topology, left);
  ASSERT_FALSE(uncovered);
  EXPECT_EQ(uncovered.error(), "01:00.0 is wished behind a unit, and the tables name none for it");
  const auto covered = machine->iommu->attach(topology, right);
  ASSERT_FALSE(covered);
  EXPECT_EQ(covered.error(),
            "02:00.0 is wished to bypass, and the tables say that a unit covers it: list that "
            "unit's functions one by one, without this one");
}

// Two functions behind a bridge bear its number; each is attached, and both are one requester.
TEST_F(Follow, FunctionsThatBearOneNumber) {
  const FunctionId bridge = topology.add({.kind = FunctionKind::kPciBridge,
                                          .devfn = slot(0x1e),
                                          .secondary = 7,
                                          .subordinate = 7});
  const FunctionId one = topology.add(
      {.kind = FunctionKind::kConventional, .bridge = bridge, .devfn = slot(1)});
  const FunctionId other = topology.add(
      {.kind = FunctionKind::kConventional, .bridge = bridge, .devfn = slot(2)});
  const auto a = attach(one);
  const auto b = attach(other);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->requester(), Requester::from_bdf(7, 1, 0));
  const std::uint32_t data = 0x41;
  EXPECT_TRUE(b->write(Iova(0xfee00000), std::as_bytes(std::span(&data, 1))));
  EXPECT_EQ(machine->seen.device_msis[0].first, Requester::from_bdf(0, 0x1e, 0));
  EXPECT_TRUE(machine->iommu->set_bus_master(b->requester(), false).complete());
  EXPECT_TRUE(a->translate(Iova(kData.value()), 8, Access::kRead));
  EXPECT_FALSE(b->translate(Iova(kData.value()), 8, Access::kRead));
}

}  // namespace
}  // namespace weir::testing_iommu
