// SPDX-License-Identifier: Apache-2.0
//
// What no table can express, and tables that say something else than what is wished: each refusal
// names both sides and the way out.
#include "iommu/wishes.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using Kind = FunctionKind;

[[nodiscard]] constexpr std::uint8_t slot(unsigned device, unsigned function = 0) {
  return static_cast<std::uint8_t>(device << 3 | function);
}

struct Small {
  Small() {
    topology.add(RootBus{.name = "PCI0"});
    topology.add(UnitPlace{.name = "dmar0", .register_base = 0xfed90000});
    disk = topology.add({.name = "disk", .devfn = slot(4), .wish = Wish::unit(0)});
    net = topology.add({.name = "net", .devfn = slot(5)});
  }
  Topology topology;
  FunctionId disk, net;
};

[[nodiscard]] std::string refusal(const Result<Done, std::string>& result) {
  return result ? "" : result.error();
}

[[nodiscard]] UnitCoverage names_device(std::uint64_t base, std::uint8_t device) {
  return {.register_base = base, .scopes = {{.start_bus = 0, .path = {{device, 0}}}}};
}

TEST(Wishes, TablesThatSayAsWished) {
  const Small m;
  EXPECT_TRUE(check_wishes(m.topology));
  EXPECT_TRUE(check_coverage(m.topology, Coverage{{names_device(0xfed90000, 4)}}));
}

TEST(Wishes, TablesThatSayOtherwise) {
  const Small m;
  EXPECT_EQ(refusal(check_coverage(m.topology, {})),
            "disk (00:04.0) wishes to be behind unit dmar0 (fed90000h), but no scope of the table "
            "names it: add it to that unit's");
  EXPECT_EQ(refusal(check_coverage(m.topology, Coverage{{names_device(0x1000, 4)}})),
            "disk (00:04.0) wishes to be behind unit dmar0 (fed90000h), but the table puts it "
            "behind a unit at 1000h: move it to the other unit's scopes");
  EXPECT_EQ(refusal(check_coverage(m.topology, Coverage{{UnitCoverage{.register_base = 0xfed90000,
                                                                      .rest_of_segment = true}}})),
            "net (00:05.0) wishes to bypass, but the table puts it behind unit dmar0 (fed90000h), "
            "which takes the rest of the segment: give that unit explicit scopes");
  Coverage both{{names_device(0xfed90000, 4)}};
  both.units[0].scopes.push_back({.start_bus = 0, .path = {{5, 0}}});
  EXPECT_EQ(refusal(check_coverage(m.topology, both)),
            "net (00:05.0) wishes to bypass, but the table puts it behind unit dmar0 (fed90000h): "
            "take it out of that unit's scopes");
}

TEST(Wishes, OneNumberTwoWishes) {
  Small m;
  const FunctionId bridge =
      m.topology.add({.kind = Kind::kPcieToPciBridge, .devfn = slot(6), .secondary = 3});
  m.topology.add({.kind = Kind::kConventional, .bridge = bridge, .devfn = slot(1)});
  m.topology.add(
      {.kind = Kind::kConventional, .bridge = bridge, .devfn = slot(2), .wish = Wish::unit(0)});
  EXPECT_EQ(refusal(check_wishes(m.topology)),
            "03:02.0 wishes to be behind unit dmar0 (fed90000h) and 03:01.0 wishes to bypass, but "
            "requests of both bear 03:00.0: give them one wish");
}

TEST(Wishes, TheRestOfASegmentInWhichSomethingBypasses) {
  Small m;
  m.topology.add(UnitPlace{.name = "all", .register_base = 0xfed91000, .takes_rest = true});
  EXPECT_EQ(refusal(check_wishes(m.topology)),
            "net (00:05.0) wishes to bypass, but unit all (fed91000h) takes the rest of segment 0: "
            "give that unit explicit scopes (takes_rest = false)");
}

TEST(Wishes, AUnitIsNotBehindItself) {
  Topology t;
  t.add(RootBus{});
  t.add({.devfn = slot(1), .wish = Wish::unit(0)});
  t.add(UnitPlace{.name = "viommu", .function = FunctionId{0}});
  EXPECT_EQ(refusal(check_wishes(t)),
            "00:01.0 is unit viommu (0h) itself and wishes to be behind unit viommu (0h): a unit's "
            "own accesses are never translated, let it bypass");
}

// Empty slots are part of what the tables promise: what is plugged in later gets what they say.
TEST(Wishes, EmptySlotsCount) {
  Small m;
  m.topology.add({.name = "slot7", .devfn = slot(7), .present = false, .wish = Wish::unit(0)});
  EXPECT_EQ(refusal(check_coverage(m.topology, Coverage{{names_device(0xfed90000, 4)}})),
            "slot7 (00:07.0) wishes to be behind unit dmar0 (fed90000h), but no scope of the table "
            "names it: add it to that unit's");
}

}  // namespace
}  // namespace weir
