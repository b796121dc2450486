// SPDX-License-Identifier: Apache-2.0
#include "pagetables/flat_host_map.h"

#include <gtest/gtest.h>

namespace weir::pagetables {
namespace {

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

void expect_absent(const FlatHostMap& map, std::uint64_t at, std::uint32_t references) {
  const auto nothing = map.lookup(Gpa(at));
  ASSERT_FALSE(nothing.ok()) << std::hex << at;
  EXPECT_EQ(nothing.error().reason, FaultReason::kHostMapAbsent);
  EXPECT_EQ(nothing.error().stage, Stage::kHostMap);
  EXPECT_EQ(nothing.error().references, references);
}

TEST(FlatHostMap, EveryAddressBitOnce) {
  FlatHostMap map;
  map.add_regions(Gpa(0), 1);
  for (unsigned bit = 30; bit < 64; ++bit) map.add_regions(Gpa(std::uint64_t{1} << bit), 1);
  // Each page somewhere else, by one bit of its address and one of where it lies.
  for (unsigned bit = 12; bit < 64; ++bit)
    map.set(Gpa(std::uint64_t{1} << bit), Hpa(std::uint64_t{1} << (75 - bit)),
            Permissions::from_bits(bit));
  for (unsigned bit = 12; bit < 64; ++bit) {
    const std::uint64_t page = std::uint64_t{1} << bit;
    const auto mapping = map.lookup(Gpa(page + 0xabc));
    ASSERT_TRUE(mapping.ok()) << "bit " << bit;
    EXPECT_EQ(mapping->hpa, Hpa((std::uint64_t{1} << (75 - bit)) + 0xabc));
    EXPECT_EQ(mapping->permissions, Permissions::from_bits(bit));
    EXPECT_EQ(mapping->window, (AddressRange<Gpa>{Gpa(page), Gpa(page + 0xfff)}));
    EXPECT_EQ(mapping->references, 1U);
  }
  expect_absent(map, 0, 1);
  expect_absent(map, 0x3000, 1);
}

TEST(FlatHostMap, RegionsThatARangeTouches) {
  FlatHostMap map;
  map.add_regions(Gpa(3 * kGib - 1), 2);  // one byte in each of two
  map.add_regions(Gpa(7 * kGib), 0);      // nothing
  map.add_regions(Gpa(0), 1);             // before the others
  map.add_regions(Gpa(2 * kGib), kGib);   // there already
  map.set(Gpa(2 * kGib), Hpa(0x1000), Permissions::all());
  map.add_regions(Gpa(2 * kGib), 1);  // what is mapped stays
  EXPECT_TRUE(map.lookup(Gpa(2 * kGib)).ok());
  map.set(Gpa(4 * kGib - kPageSize), Hpa(0x2000), Permissions::all());
  EXPECT_TRUE(map.lookup(Gpa(4 * kGib - 1)).ok());
  expect_absent(map, 0, 1);
  // Outside every region nothing is read.
  for (const std::uint64_t outside : {kGib, 2 * kGib - 1, 4 * kGib, 7 * kGib, ~std::uint64_t{0}})
    expect_absent(map, outside, 0);
}

TEST(FlatHostMap, TheLastPageOfTheSpace) {
  FlatHostMap map;
  map.add_regions(Gpa(~std::uint64_t{0}), 1);
  map.set(Gpa(~std::uint64_t{0} << 12), Hpa(0x5000), Permissions::read_only());
  const auto mapping = map.lookup(Gpa(~std::uint64_t{0}));
  ASSERT_TRUE(mapping.ok());
  EXPECT_EQ(mapping->hpa, Hpa(0x5fff));
  EXPECT_EQ(mapping->window.last, Gpa(~std::uint64_t{0}));
}

TEST(FlatHostMap, PagesComeAndGo) {
  FlatHostMap map;
  map.add_regions(Gpa(0), kGib);
  map.set(Gpa(0x4000), Hpa(0x8000), Permissions::all());
  map.set(Gpa(0x4000), Hpa(0x9000), Permissions::read_only());
  EXPECT_EQ(map.lookup(Gpa(0x4008))->hpa, Hpa(0x9008));
  EXPECT_EQ(map.lookup(Gpa(0x4008))->permissions, Permissions::read_only());
  map.clear(Gpa(0x4000));
  expect_absent(map, 0x4000, 1);
  // Mapped without rights is not the same as absent, nor is a page at 0.
  map.set(Gpa(0x5000), Hpa(0), Permissions::none());
  ASSERT_TRUE(map.lookup(Gpa(0x5000)).ok());
  EXPECT_EQ(map.lookup(Gpa(0x5000))->hpa, Hpa(0));
  EXPECT_FALSE(map.is_radix());
}

}  // namespace
}  // namespace weir::pagetables
