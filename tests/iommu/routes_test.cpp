// SPDX-License-Identifier: Apache-2.0
//
// Routes come from the parse of the tables and from nothing else.
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr auto kEndpoint = DeviceScope::Kind::kEndpoint;
constexpr auto kBelow = DeviceScope::Kind::kSubHierarchy;

DeviceScope scope(DeviceScope::Kind kind, std::uint8_t bus, std::vector<PathStep> path) {
  return {.kind = kind, .start_bus = bus, .path = std::move(path)};
}
Location at(unsigned bus, unsigned device, unsigned function, std::uint16_t segment = 0) {
  return {.function = Requester::from_bdf(bus, device, function, segment)};
}
// 00:1c.1 is a bridge to bus 5, 05:00.0 a bridge to bus 6.
Location behind_two_bridges(unsigned device) {
  return {.function = Requester::from_bdf(6, device, 0),
          .bridges = {Requester::from_bdf(0, 0x1c, 1), Requester::from_bdf(5, 0, 0)}};
}

TEST(ScopeCovers, EndpointsByTheirWholePath) {
  const DeviceScope endpoint = scope(kEndpoint, 0, {{4, 0}});
  EXPECT_TRUE(scope_covers(endpoint, at(0, 4, 0)));
  EXPECT_FALSE(scope_covers(endpoint, at(0, 4, 1)));
  EXPECT_FALSE(scope_covers(endpoint, at(0, 5, 0)));
  EXPECT_FALSE(scope_covers(endpoint, at(1, 4, 0)));
  const DeviceScope deep = scope(kEndpoint, 0, {{0x1c, 1}, {0, 0}, {7, 0}});
  EXPECT_TRUE(scope_covers(deep, behind_two_bridges(7)));
  EXPECT_FALSE(scope_covers(deep, behind_two_bridges(8)));
  EXPECT_FALSE(scope_covers(scope(kEndpoint, 0, {{0x1c, 1}, {0, 0}}), behind_two_bridges(7)))
      << "an endpoint scope that names a bridge names the bridge alone";
  EXPECT_FALSE(scope_covers(scope(kEndpoint, 0, {}), at(0, 0, 0)));
}

// The guest numbers the buses below the root; a path does not depend on them.
TEST(ScopeCovers, BusNumbersBelowTheRootDoNotMatter) {
  Location moved = behind_two_bridges(7);
  moved.function = Requester::from_bdf(0x42, 7, 0);
  moved.bridges[1] = Requester::from_bdf(0x41, 0, 0);
  EXPECT_TRUE(scope_covers(scope(kEndpoint, 0, {{0x1c, 1}, {0, 0}, {7, 0}}), moved));
  EXPECT_FALSE(scope_covers(scope(kEndpoint, 0x42, {{7, 0}}), moved))
      << "the function's own bus is no root bus";
}

TEST(ScopeCovers, SubHierarchies) {
  const DeviceScope bridge = scope(kBelow, 0, {{0x1c, 1}});
  EXPECT_TRUE(scope_covers(bridge, behind_two_bridges(7)));
  EXPECT_TRUE(scope_covers(bridge, at(0, 0x1c, 1))) << "the bridge itself too";
  EXPECT_FALSE(scope_covers(bridge, at(0, 0x1c, 0)));
  EXPECT_TRUE(scope_covers(scope(kBelow, 0, {{0x1c, 1}, {0, 0}}), behind_two_bridges(7)));
  EXPECT_FALSE(scope_covers(scope(kBelow, 0, {{0x1c, 1}, {1, 0}}), behind_two_bridges(7)));
  EXPECT_FALSE(
      scope_covers(scope(kBelow, 0, {{0x1c, 1}, {0, 0}, {7, 0}, {0, 0}}), behind_two_bridges(7)));
}

Coverage two_units(bool second_takes_rest) {
  return {{UnitCoverage{.register_base = kUnitBase,
                        .scopes = {scope(kEndpoint, 0, {{4, 0}}), scope(kEndpoint, 0, {{5, 0}}),
                                   scope(kBelow, 0, {{0x1c, 1}})}},
           UnitCoverage{.register_base = kUnitBase + 0x1000,
                        .rest_of_segment = second_takes_rest,
                        .scopes = {scope(kEndpoint, 0, {{5, 0}}), scope(kEndpoint, 0, {{6, 0}})}}}};
}

// How a request of the function ends says where it was routed.
Outcome route_of(Machine& machine, const Location& location) {
  auto port = machine.iommu->attach(location);
  EXPECT_TRUE(port.ok()) << port.error();
  const auto got = (*port)->translate(Iova(kData.value()), 4, Access::kRead);
  return got ? got->outcome : Outcome::kFaulted;
}

TEST(Routes, CoveredGoesToItsUnitUncoveredBypasses) {
  Machine machine({.coverage = two_units(false)});
  machine.iommu->add_unit<FakeUnit>(kUnitBase + 0x1000);
  EXPECT_EQ(route_of(machine, at(0, 4, 0)), Outcome::kFaulted) << "translating, without contexts";
  EXPECT_EQ(route_of(machine, behind_two_bridges(7)), Outcome::kFaulted);
  EXPECT_EQ(route_of(machine, at(0, 6, 0)), Outcome::kPassedThrough) << "a unit that is off";
  EXPECT_EQ(route_of(machine, at(0, 7, 0)), Outcome::kBypassed);
  EXPECT_EQ(route_of(machine, at(0, 4, 0, 1)), Outcome::kBypassed) << "another segment";
}

TEST(Routes, TheRestOfTheSegment) {
  Machine machine({.coverage = two_units(true)});
  machine.iommu->add_unit<FakeUnit>(kUnitBase + 0x1000);
  EXPECT_EQ(route_of(machine, at(0, 7, 0)), Outcome::kPassedThrough);
  EXPECT_EQ(route_of(machine, at(0, 4, 0)), Outcome::kFaulted) << "named by the other";
  EXPECT_EQ(route_of(machine, at(0, 7, 0, 3)), Outcome::kBypassed);
}

TEST(Routes, WithoutTablesEveryoneBypasses) {
  Machine machine({.coverage = {}, .add_unit = false});
  EXPECT_EQ(route_of(machine, at(0, 4, 0)), Outcome::kBypassed);
}

TEST(Routes, RefusesInOneSentence) {
  Machine machine({.coverage = two_units(false)});
  const auto refused = [&](const Location& location) {
    const auto port = machine.iommu->attach(location);
    return port ? std::string() : port.error();
  };
  EXPECT_NE(refused(at(0, 5, 0)).find("two units"), std::string::npos);
  EXPECT_NE(refused(at(0, 6, 0)).find("not added"), std::string::npos);
  auto port = machine.iommu->attach(at(0, 4, 0));
  ASSERT_TRUE(port);
  EXPECT_NE(refused(at(0, 4, 0)).find("attached already"), std::string::npos);
  EXPECT_NE(refused(at(0, 4, 0)).find("attached already"), std::string::npos)
      << "the refused port did not take the first one's place";
  port->reset();
  EXPECT_TRUE(machine.iommu->attach(at(0, 4, 0))) << "detached, so free again";
}

TEST(Routes, TwoUnitsForTheRestAreRefused) {
  Coverage coverage = two_units(true);
  coverage.units[0].rest_of_segment = true;
  Machine machine({.coverage = coverage});
  EXPECT_FALSE(machine.iommu->attach(at(0, 7, 0)));
}

TEST(Routes, ABadTableIsAnErrorAndChangesNothing) {
  Machine machine({.coverage = {}, .add_unit = false});
  const auto parsed = machine.iommu->use_tables(FakeParser(two_units(true)), {});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().cause, "too short");
  EXPECT_EQ(route_of(machine, at(0, 7, 0)), Outcome::kBypassed);
}

TEST(Routes, UnitsAreNumberedInTheirOrder) {
  Machine machine({.coverage = two_units(false)});
  auto& second = machine.iommu->add_unit<FakeUnit>(kUnitBase + 0x1000);
  EXPECT_EQ(machine.unit->host().id(), UnitId{0});
  EXPECT_EQ(second.host().id(), UnitId{1});
}

}  // namespace
}  // namespace weir::testing_iommu
