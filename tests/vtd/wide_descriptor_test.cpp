// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of 256 bits (6.5.2): Q1 for all types, whose upper half is reserved but for private
// data, and Q5, which gives those that speak of PASIDs no place in a queue of 128-bit ones. Words
// as Linux builds them (drivers/iommu/intel: qi_desc_piotlb and its neighbours).
#include <gtest/gtest.h>

#include <optional>

#include "vendors/vtd/invalidations.h"

namespace weir::vtd::test {
namespace {

using descriptor::decode;
using descriptor::Error;
using descriptor::Width;
using descriptor::Words;

struct Good {
  const char* name;
  Words words;
  // Bits that may be 0 or 1 whatever else stands there.
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};
constexpr std::uint64_t kAddressBits = ~std::uint64_t{0xfff};
const Good kNarrow[] = {
    {"context", {0x31, 0}, 0x0003ffffffff0000, 0},
    {"IOTLB", {0x32, 0}, 0x00000000ffff00c0, ~std::uint64_t{0xf80}},
    {"device-TLB", {0x03, 0}, 0xfff0ffff001ff000, ~std::uint64_t{0xffe}},
    // Of the index mask, what ECAP.MHMV allows: 15.
    {"interrupt entry cache", {0x14, 0}, 0x0000ffff78000000, 0},
    {"wait", {0x35, 0}, 0xffffffff000000f0, ~std::uint64_t{3}},
};
const Good kGood[] = {
    {"PASID-selective IOTLB", {0x0000000300050026, 0}, 0x000fffffffff0000, kAddressBits | 0x7f},
    {"page-selective IOTLB", {0x0000000300050036, 0x1000}, 0x000fffffffff0000, kAddressBits | 0x7f},
    {"PASID cache", {0x0000000300050017, 0}, 0x000fffffffff0000, 0},
    {"PASID device-TLB", {0x0000000300100008, 0x1000}, 0xfffffffffffff1f0, kAddressBits | 0x801},
    {"page response", {0x0000000300100019, 0x28}, 0x000ffffffffff030, 0xffc},
};

[[nodiscard]] std::optional<Error> error_of(const Words& words, Width width = Width::k256) {
  const auto command = decode(words, width, profile::full(), 0);
  return command ? std::nullopt : std::optional(command.error());
}

void expect_reserved_bits(const Good& good) {
  ASSERT_FALSE(error_of(good.words)) << good.name;
  for (unsigned bit = 0; bit < 256; ++bit) {
    const std::uint64_t mask = std::uint64_t{1} << bit % 64;
    Words words = good.words;
    std::uint64_t& word = bit < 64 ? words.low : bit < 128 ? words.high : words.upper[bit / 64 - 2];
    word ^= mask;
    const bool type = bit < 64 && (mask & 0xe0f) != 0;
    const bool granularity = bit < 64 && (mask & 0x30) != 0;
    // Another type or granularity may be a good one of its own.
    if (type || (granularity && (good.low & mask) == 0)) continue;
    const bool free = bit < 64 ? (good.low & mask) != 0 : bit < 128 && (good.high & mask) != 0;
    EXPECT_EQ(error_of(words), free ? std::nullopt : std::optional(Error::kReservedField))
        << good.name << " bit " << bit;
  }
}

TEST(WideDescriptorTest, Q1EveryReservedBit) {
  for (const Good& good : kNarrow) expect_reserved_bits(good);
  for (const Good& good : kGood) expect_reserved_bits(good);
}

// Private data of a page response fills the upper half, where the descriptor says so.
TEST(WideDescriptorTest, Q1PrivateDataOfAResponse) {
  Words words{0x0000000300100039, 0x28};
  words.upper = {1, 2};
  EXPECT_FALSE(error_of(words));
  words.low ^= 0x20;
  EXPECT_EQ(error_of(words), Error::kReservedField);
}

TEST(WideDescriptorTest, Q1Granularities) {
  for (const std::uint64_t g : {0U, 1U})
    EXPECT_EQ(error_of({0x6 | g << 4, 0}), Error::kReservedField) << "IOTLB " << g;
  EXPECT_EQ(error_of({0x7 | 2 << 4, 0}), Error::kReservedField);
  EXPECT_FALSE(error_of({0x7, 0}));
  EXPECT_FALSE(error_of({0x7 | 3 << 4, 0}));
}

// Q5: a 128-bit queue has no place for a PASID.
TEST(WideDescriptorTest, Q5TypesOfPasidsNeedWideDescriptors) {
  for (const Good& good : kGood) EXPECT_EQ(error_of(good.words, Width::k128), Error::kType);
}

// Types of features that the unit does not have.
TEST(WideDescriptorTest, Q1TypesOfAbsentFeatures) {
  const Options without = profile::scalable_second_stage();
  for (const std::uint64_t low :
       {std::uint64_t{0x0000000300100008}, std::uint64_t{0x0000000300100019}, std::uint64_t{0x3}})
    EXPECT_FALSE(decode({low, 0}, Width::k256, without, 0)) << low;
  // A drain of page requests where there are none.
  EXPECT_FALSE(decode({0xa5, 0x1000}, Width::k256, without, 0));
  EXPECT_TRUE(decode({0xa5, 0x1000}, Width::k256, profile::full(), 0));
}

}  // namespace
}  // namespace weir::vtd::test
