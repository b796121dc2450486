// SPDX-License-Identifier: Apache-2.0
//
// The proposed SWIOTLB capability: bytes written out from the text of the proposal, what is refused,
// and that the window follows its BAR.
#include "vendors/common/virtio/swiotlb_capability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace weir::virtio {
namespace {

// By hand, from struct virtio_pci_cap (virtio 1.4, 4.1.4): cap_vndr, cap_next, cap_len, cfg_type,
// bar, id, padding[2], offset, length.
constexpr std::array<std::uint8_t, 16> kGolden{0x09, 0x84, 0x10, 0x0a, 0x04, 0x02, 0x00, 0x00,
                                               0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04};
constexpr SwiotlbCapability kCapability{
    .bar = 4, .id = 2, .offset = 0x10000, .length = 0x4000000};

std::vector<std::byte> golden() {
  std::vector<std::byte> bytes;
  for (const std::uint8_t byte : kGolden) bytes.push_back(std::byte{byte});
  return bytes;
}

TEST(SwiotlbCapability, GoldenBytes) {
  const auto made = encode(kCapability, 0x84);
  EXPECT_TRUE(std::ranges::equal(made, golden()));
  EXPECT_EQ(decode_swiotlb(golden()), kCapability);
}

TEST(SwiotlbCapability, WhatIsNone) {
  const auto refused = [](std::size_t at, std::uint8_t value) {
    auto bytes = golden();
    bytes[at] = std::byte{value};
    return !decode_swiotlb(bytes);
  };
  EXPECT_TRUE(refused(0, 0x11)) << "not vendor-specific";
  EXPECT_TRUE(refused(2, 15)) << "too short";
  EXPECT_FALSE(refused(2, 20)) << "longer is fine: what is behind is not ours";
  EXPECT_TRUE(refused(3, 9)) << "another structure";
  EXPECT_TRUE(refused(4, 6)) << "no such BAR";
  EXPECT_TRUE(refused(15, 0)) << "of no length";
  auto far = golden();
  for (std::size_t i = 8; i < 12; ++i) far[i] = std::byte{0xff};
  EXPECT_FALSE(decode_swiotlb(far)) << "beyond 4 GiB";
  const auto whole = golden();
  EXPECT_FALSE(decode_swiotlb(std::span(whole).first(15)));
  EXPECT_FALSE(decode_swiotlb({}));
}

TEST(SwiotlbCapability, TheFeatureNeedsABuffer) {
  EXPECT_FALSE(may_offer_swiotlb(feature::kSwiotlb.kMask, false));
  EXPECT_TRUE(may_offer_swiotlb(feature::kSwiotlb.kMask, true));
  EXPECT_TRUE(may_offer_swiotlb(0, false));
  EXPECT_EQ(feature::kSwiotlb.kMask, 0x8000000u);
}

TEST(SwiotlbCapability, TheWindowFollowsItsBar) {
  Topology topology;
  topology.add(RootBus{});
  const FunctionId function = topology.add(
      Function{.devfn = 0x20, .bars = {{.index = 4, .base = 0xc0000000, .bytes = 0x8000000}}});
  const std::uint32_t window = topology.add(kCapability.place(function));
  ASSERT_TRUE(topology.check()) << topology.check().error();
  auto now = topology.window_now(window);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->first, 0xc0010000u) << "the driver passes the BAR's own addresses";
  EXPECT_EQ(now->base, 0xc0010000u);
  EXPECT_EQ(now->bytes, 0x4000000u);
  ASSERT_TRUE(topology.set_bar(function, {.index = 4, .base = 0xd0000000, .bytes = 0x8000000}));
  EXPECT_EQ(topology.window_now(window)->first, 0xd0010000u);
}

}  // namespace
}  // namespace weir::virtio
