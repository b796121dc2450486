// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <unordered_set>

#include "base/ids.h"

namespace weir {
namespace {

// What must not compile at all is in tests/house/must_not_compile; these are its positive side.
static_assert(!std::is_convertible_v<std::uint64_t, Gpa>);
static_assert(!std::is_convertible_v<Gpa, std::uint64_t>);
static_assert(!std::is_constructible_v<Gpa, Iova> && !std::is_constructible_v<Hpa, Gpa>);
static_assert(!std::is_constructible_v<Ipa, Iova> && !std::is_constructible_v<Gpa, Ipa>);
static_assert(std::is_trivially_copyable_v<Iova> && sizeof(Iova) == 8);

TEST(Address, ArithmeticWrapsAndDistancesArePlain) {
  EXPECT_EQ(Gpa(0x1000) + 0x234, Gpa(0x1234));
  EXPECT_EQ(Gpa(0x1234) - 0x234u, Gpa(0x1000));
  EXPECT_EQ(Gpa(0x1234) - Gpa(0x1000), 0x234u);
  EXPECT_EQ(Gpa(0xffffffffffffffff) + 1, Gpa(0));
  EXPECT_EQ(Gpa(0) - 1u, Gpa(0xffffffffffffffff));
  EXPECT_LT(Gpa(0x7fffffffffffffff), Gpa(0x8000000000000000)) << "addresses are unsigned";
}

TEST(Address, PageBaseAndOffset) {
  const Iova iova(0x123456789abcdef0);
  EXPECT_EQ(iova.page_base(12), Iova(0x123456789abcd000));
  EXPECT_EQ(iova.page_offset(12), 0xef0u);
  EXPECT_EQ(iova.page_base(21), Iova(0x123456789aa00000));
  EXPECT_EQ(iova.page_offset(21), 0x1cdef0u);
  EXPECT_EQ(iova.page_base(30), Iova(0x1234567880000000));
  EXPECT_EQ(iova.page_offset(30), 0x1abcdef0u);
  EXPECT_EQ(iova.page_base(0), iova);
  EXPECT_EQ(iova.page_offset(0), 0u);
  EXPECT_EQ(Iova(~0ull).page_base(63), Iova(0x8000000000000000));
  EXPECT_EQ(Iova(~0ull).page_offset(63), 0x7fffffffffffffffu);
}

TEST(AddressRange, IsClosedAtBothEnds) {
  const AddressRange<Iova> range{Iova(0x1000), Iova(0x1fff)};
  EXPECT_FALSE(range.contains(Iova(0xfff)));
  EXPECT_TRUE(range.contains(Iova(0x1000)));
  EXPECT_TRUE(range.contains(Iova(0x1fff)));
  EXPECT_FALSE(range.contains(Iova(0x2000)));
  EXPECT_TRUE(range.overlaps({Iova(0x1fff), Iova(0x5000)}));
  EXPECT_TRUE(range.overlaps({Iova(0), Iova(0x1000)}));
  EXPECT_TRUE(range.overlaps({Iova(0), Iova(~0ull)}));
  EXPECT_TRUE(range.overlaps({Iova(0x1800), Iova(0x1800)}));
  EXPECT_FALSE(range.overlaps({Iova(0x2000), Iova(~0ull)}));
  EXPECT_FALSE(range.overlaps({Iova(0), Iova(0xfff)}));
}

TEST(AddressRange, TheWholeSpaceHasALastByte) {
  const auto all = whole_space<Gpa>();
  EXPECT_TRUE(all.contains(Gpa(0)));
  EXPECT_TRUE(all.contains(Gpa(0xffffffffffffffff)));
  EXPECT_TRUE(all.overlaps({Gpa(0xffffffffffffffff), Gpa(0xffffffffffffffff)}));
}

TEST(Ids, SourceIdsReadAsBusDeviceFunction) {
  const Requester r = Requester::from_sid(0x12fd, 7);
  EXPECT_EQ(r.bus(), 0x12);
  EXPECT_EQ(r.device(), 31u);
  EXPECT_EQ(r.function(), 5u);
  EXPECT_EQ(r.devfn(), 0xfd);
  EXPECT_EQ(r.segment, 7);
  EXPECT_EQ(Requester::from_bdf(0x12, 31, 5, 7), r);
  // Higher bits are dropped instead of running into the neighbour's field.
  EXPECT_EQ(Requester::from_bdf(0x112, 33, 13), Requester::from_bdf(0x12, 1, 5));
}

TEST(Ids, EqualDomainsOfTwoUnitsDiffer) {
  const DomainTag here{UnitId{0}, DomainId{5}};
  const DomainTag there{UnitId{1}, DomainId{5}};
  EXPECT_NE(here, there);
}

TEST(Ids, AddressesAndRequestersCanBeKeys) {
  std::unordered_set<Gpa> seen{Gpa(1), Gpa(2), Gpa(1)};
  EXPECT_EQ(seen.size(), 2u);
  const std::hash<Requester> hash;
  EXPECT_NE(hash(Requester{0, 8}), hash(Requester{1, 8}));
}

}  // namespace
}  // namespace weir
