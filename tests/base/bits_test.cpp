// SPDX-License-Identifier: Apache-2.0
#include "base/bits.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr Field<63, 12> kPointer{"CTP", "context-table pointer", "9.1"};
constexpr Field<11, 10> kMode{"TTM"};
constexpr Bit<0> kPresent{"P"};
constexpr Field<63, 0> kAll{"ALL"};
constexpr Bit<63> kTop{"T"};

TEST(Bits, MasksAtTheEndsOfAWord) {
  EXPECT_EQ(bit_mask(63, 0), 0xffffffffffffffffu);
  EXPECT_EQ(bit_mask(0, 0), 1u);
  EXPECT_EQ(bit_mask(63, 63), 0x8000000000000000u);
  EXPECT_EQ(bit_mask(51, 12), 0x000ffffffffff000u);
  EXPECT_EQ(bit_mask(31, 0), 0xffffffffu);
}

TEST(Bits, Alignment) {
  EXPECT_TRUE(is_aligned(0, 63));
  EXPECT_TRUE(is_aligned(0x1000, 12));
  EXPECT_FALSE(is_aligned(0x1800, 12));
  EXPECT_TRUE(is_aligned(0x1801, 0));
  EXPECT_FALSE(is_aligned(0x4000000000000000, 63));
}

TEST(Field, GetsAndReplacesOnlyItsBits) {
  EXPECT_EQ(kMode.get(0xfffffffffffff7ff), 1u);
  EXPECT_EQ(kMode.get(0x0000000000000c00), 3u);
  EXPECT_EQ(kPointer.get(0xabcdef0123456fff), 0xabcdef0123456u);
  EXPECT_EQ(kPointer.in_place(0xabcdef0123456fff), 0xabcdef0123456000u);
  EXPECT_EQ(kMode.with(0xffffffffffffffff, 0), 0xfffffffffffff3ffu);
  EXPECT_EQ(kMode.with(0, 2), 0x800u);
  EXPECT_EQ(kMode.with(0, 7), 0xc00u) << "what does not fit is dropped";
  EXPECT_EQ(kMode.of(1), 0x400u);
  EXPECT_TRUE(kPresent.is_set(1));
  EXPECT_FALSE(kPresent.is_set(0xfffffffffffffffe));
  EXPECT_EQ(kTop.of(1), 0x8000000000000000u);
  EXPECT_EQ(kTop.get(0x8000000000000000), 1u);
  EXPECT_EQ(kAll.with(0x1234, 0xfedcba9876543210), 0xfedcba9876543210u);
}

TEST(Layout, ReservedIsWhatNoFieldClaims) {
  constexpr auto root = layout<64>(kPointer, kPresent);
  static_assert(root.reserved == 0xffe);
  static_assert(root.defined == 0xfffffffffffff001);
  constexpr auto with_mode = layout<64>(kPointer, kPresent, kMode);
  static_assert(with_mode.reserved == 0x3fe);
  constexpr auto narrow = layout<32>(kPresent, kMode);
  static_assert(narrow.reserved == 0xfffff3fe, "bits beyond the word are not reserved bits of it");
  constexpr auto half = layout<16>(kPresent);
  static_assert(half.reserved == 0xfffe);
  constexpr auto none = layout<64>();
  static_assert(none.reserved == 0xffffffffffffffff);
  constexpr auto full = layout<64>(kAll);
  static_assert(full.reserved == 0);
  EXPECT_EQ(root.reserved, 0xffeu);
}

}  // namespace
}  // namespace weir
