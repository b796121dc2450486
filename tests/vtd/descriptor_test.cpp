// SPDX-License-Identifier: Apache-2.0
//
// Q1: every descriptor and every reserved bit of it; Q7, Q8: what each means, as a neutral value.
//
// Clauses of the manual: 6.5.2 (Q1, Q7, Q8; each layout in vendors/vtd/descriptors.h).
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"
#include "vendors/vtd/invalidations.h"

namespace weir::vtd::test {
namespace {

using descriptor::Command;
using descriptor::decode;
using descriptor::Error;
using descriptor::Nothing;
using descriptor::Wait;
using descriptor::Width;
using descriptor::Words;
using iotlb::Invalidation;
using iotlb::Scope;

constexpr Options kOptions{.device_tlb = true, .max_address_mask = 18};

[[nodiscard]] Invalidation invalidation(const Words& words) {
  const auto command = decode(words, Width::k128, kOptions, 0);
  EXPECT_TRUE(command && std::holds_alternative<Invalidation>(*command));
  return command ? std::get<Invalidation>(*command) : Invalidation{};
}

[[nodiscard]] std::optional<Error> error(const Words& words, const Options& options = kOptions) {
  const auto command = decode(words, Width::k128, options, 0);
  if (command) return std::nullopt;
  return command.error();
}

// Descriptors that Linux guests queued, from recordings.
TEST(DescriptorTest, RealDescriptors) {
  EXPECT_EQ(invalidation({0x31, 0}).scope, Scope::kContextDevice);
  EXPECT_EQ(invalidation({0x31, 0}).requester, Requester{});
  EXPECT_EQ(invalidation({0x31, 0}).requester_mask, 0);
  EXPECT_EQ(invalidation({0x400e2, 0}).scope, Scope::kDomain);
  EXPECT_EQ(invalidation({0x400e2, 0}).domain, DomainId{4});
  const Invalidation pages = invalidation({0x400f2, 0xffffe001});
  EXPECT_EQ(pages.scope, Scope::kRange);
  EXPECT_EQ(pages.domain, DomainId{4});
  EXPECT_EQ(pages.range, (AddressRange<Iova>{Iova(0xffffe000), Iova(0xffffffff)}));
  EXPECT_FALSE(pages.leaf_only);
  const auto wait = decode({0x200000025, 0x6a98004}, Width::k128, kOptions, 0);
  ASSERT_TRUE(wait && std::holds_alternative<Wait>(*wait));
  EXPECT_EQ(std::get<Wait>(*wait).status_at, Gpa(0x6a98004));
  EXPECT_EQ(std::get<Wait>(*wait).status, 2U);
  EXPECT_FALSE(std::get<Wait>(*wait).interrupt);
  const auto index_cache = decode({0x4, 0}, Width::k128, kOptions, 0);
  EXPECT_TRUE(index_cache && std::holds_alternative<Nothing>(*index_cache));
  const auto device = decode({0x10000000003, 0xffff8000}, Width::k128, kOptions, 0);
  ASSERT_TRUE(device);
  const auto& forget = std::get<iotlb::Invalidation>(*device);
  EXPECT_EQ(forget.scope, iotlb::Scope::kDeviceTlb);
  EXPECT_EQ(forget.requester, Requester::from_bdf(1, 0, 0));
  EXPECT_EQ(forget.range, (AddressRange<Iova>{Iova(0xffff8000), Iova(0xffff8fff)}));
}

// Q1: flipping any one bit of a good descriptor is an error exactly where the bit is reserved.
TEST(DescriptorTest, Q1EveryReservedBit) {
  struct Row {
    const char* name;
    Words good;
    Words reserved;
  };
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  constexpr Row kRows[] = {
      {"context", {0x31, 0}, {0xfffc00000000f1c0, kAll}},
      {"iotlb", {0x32, 0}, {0xffffffff0000f100, 0x0000000000000f80}},
      {"device-TLB", {0x03, 0}, {0x000f0000ffe001f0, 0x0000000000000ffe}},
      {"interrupt entry cache", {0x14, 0}, {0xffff000007fff1e0, kAll}},
      {"wait", {0x35, 0}, {0x00000000fffff180, 0x3}},
  };
  for (const Row& row : kRows) {
    ASSERT_FALSE(error(row.good)) << row.name;
    for (unsigned bit = 0; bit < 128; ++bit) {
      Words words = row.good;
      (bit < 64 ? words.low : words.high) ^= std::uint64_t{1} << bit % 64;
      const std::uint64_t reserved = bit < 64 ? row.reserved.low : row.reserved.high;
      const bool is_type = bit < 4 || (bit >= 9 && bit < 12);
      // Flipped granularities 3 -> 2 -> 1 are good ones; so is an address mask of up to 32.
      if (is_type) continue;
      const bool expected = (reserved >> bit % 64 & 1) != 0;
      const bool mask_too_large = std::string_view(row.name) == "iotlb" && bit == 64 + 5;
      const auto wanted =
          expected || mask_too_large ? std::optional(Error::kReservedField) : std::nullopt;
      EXPECT_EQ(error(words), wanted) << row.name << " bit " << bit;
    }
  }
}

// Q1, Q5: types that legacy mode does not have, in both parts of the type field.
TEST(DescriptorTest, Q1EveryType) {
  for (std::uint64_t type = 0; type < 128; ++type) {
    const std::uint64_t low = (type & 0xf) | type >> 4 << 9 | 0x10;
    const bool known = type >= 1 && type <= 5;
    const auto found = error({low, 0});
    EXPECT_EQ(found == Error::kType, !known) << type;
  }
  EXPECT_EQ(error({0x10000000003, 0xffff8000}, Options{}), Error::kType) << "ECAP.DT is 0";
}

TEST(DescriptorTest, Q1GranularityZeroIsReserved) {
  EXPECT_EQ(error({0x01, 0}), Error::kReservedField);
  EXPECT_EQ(error({0x02, 0}), Error::kReservedField);
}

TEST(DescriptorTest, ContextGranularities) {
  EXPECT_EQ(invalidation({0x11, 0}).scope, Scope::kContextAll);
  EXPECT_EQ(invalidation({0xabcd0021, 0}).scope, Scope::kContextDomain);
  EXPECT_EQ(invalidation({0xabcd0021, 0}).domain, DomainId{0xabcd});
  const std::uint16_t masks[] = {0, 4, 6, 7};
  for (std::uint64_t fm = 0; fm < 4; ++fm) {
    const Invalidation what = invalidation({fm << 48 | 0x1234ULL << 32 | 0x31, 0});
    EXPECT_EQ(what.scope, Scope::kContextDevice);
    EXPECT_EQ(what.requester, Requester::from_sid(0x1234));
    EXPECT_EQ(what.requester_mask, masks[fm]);
  }
  EXPECT_EQ(invalidation({0x12, 0}).scope, Scope::kAll);
}

// Q7, Q8: ranges are naturally aligned, whatever the address bits below the mask say.
TEST(DescriptorTest, PageSelectiveRanges) {
  for (std::uint64_t am = 0; am <= 18; ++am) {
    const Invalidation what = invalidation({0x32, 0x123456789000 | am});
    const std::uint64_t size = std::uint64_t{4096} << am;
    EXPECT_EQ(what.range.last - what.range.first, size - 1) << am;
    EXPECT_EQ(what.range.first.value() % size, 0U) << am;
    EXPECT_TRUE(what.range.contains(Iova(0x123456789000))) << am;
  }
  EXPECT_TRUE(invalidation({0x32, 0x1000 | 1 << 6}).leaf_only);
  // DW and DR change nothing: every completion drains.
  EXPECT_EQ(invalidation({0x32, 0x1000}).range, invalidation({0xf2, 0x1000}).range);
}

TEST(DescriptorTest, AddressMaskBeyondMamv) {
  for (std::uint64_t am = 19; am < 64; ++am)
    EXPECT_EQ(error({0x32, am}), Error::kReservedField) << am;
  // Only page-selective requests have a mask.
  EXPECT_FALSE(error({0x22, 63}));
  // The widest mask a unit can allow covers the whole space.
  const auto widest = decode({0x32, 63}, Width::k128, Options{.max_address_mask = 63}, 0);
  ASSERT_TRUE(widest);
  EXPECT_EQ(std::get<Invalidation>(*widest).range, whole_space<Iova>());
  const auto half = decode({0x32, 51}, Width::k128, Options{.max_address_mask = 63}, 0);
  EXPECT_EQ(std::get<Invalidation>(*half).range.last, Iova(~std::uint64_t{0} >> 1));
  const auto all = decode({0x32, 52}, Width::k128, Options{.max_address_mask = 63}, 0);
  EXPECT_EQ(std::get<Invalidation>(*all).range, whole_space<Iova>());
}

}  // namespace
}  // namespace weir::vtd::test
