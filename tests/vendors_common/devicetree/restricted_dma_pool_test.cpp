// SPDX-License-Identifier: Apache-2.0
//
// Restricted DMA pools of a device tree, against the example of the binding's own document and what
// Linux refuses.
#include "vendors/common/devicetree/restricted_dma_pool.h"

#include <gtest/gtest.h>

namespace weir::devicetree {
namespace {

std::vector<std::byte> bytes(std::initializer_list<unsigned> values) {
  std::vector<std::byte> made;
  for (const unsigned value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}
std::vector<std::byte> text(std::string_view words) {
  std::vector<std::byte> made;
  for (const char c : words) made.push_back(static_cast<std::byte>(c));
  made.push_back(std::byte{0});
  return made;
}

// shared-dma-pool.yaml: restricted-dma-pool@50000000, reg = <0x50000000 0x4000000>, one cell each.
std::vector<Property> example() {
  return {{"compatible", text("restricted-dma-pool")},
          {"reg", bytes({0x50, 0, 0, 0, 0x04, 0, 0, 0})}};
}
constexpr Cells kSmall{.address = 1, .size = 1};

TEST(RestrictedDmaPool, TheBindingsOwnExample) {
  ASSERT_TRUE(is_restricted_pool(example()));
  const auto window = read_pool(example(), kSmall);
  ASSERT_TRUE(window) << window.error();
  EXPECT_EQ(*window, Window::identity({Gpa(0x50000000), Gpa(0x53ffffff)}));
  const auto made = write_pool(*window, kSmall, 9);
  EXPECT_EQ(made[0], example()[0]);
  EXPECT_EQ(made[1], example()[1]);
  EXPECT_EQ(made[2], (Property{"phandle", bytes({0, 0, 0, 9})}));
}

TEST(RestrictedDmaPool, TwoCells) {
  const Window window = Window::identity({Gpa(0x240000000), Gpa(0x27fffffff)});
  const auto node = write_pool(window, {}, 1);
  EXPECT_EQ(node[1].value, bytes({0, 0, 0, 2, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0}));
  EXPECT_EQ(read_pool(node, {}).value(), window);
}

TEST(RestrictedDmaPool, IsOneOfSeveralNames) {
  EXPECT_TRUE(is_restricted_pool({{{"compatible", [] {
                                      auto both = text("vendor,pool");
                                      const auto second = text("restricted-dma-pool");
                                      both.insert(both.end(), second.begin(), second.end());
                                      return both;
                                    }()}}}));
  EXPECT_FALSE(is_restricted_pool({{{"compatible", text("shared-dma-pool")}}}));
  EXPECT_FALSE(is_restricted_pool({{{"compatible", text("restricted-dma-pool2")}}}));
  EXPECT_FALSE(is_restricted_pool({{{"compatible", {}}}}));
  EXPECT_FALSE(is_restricted_pool({}));
}

TEST(RestrictedDmaPool, WhatIsRefused) {
  for (const auto* name : {"no-map", "reusable", "linux,cma-default", "linux,dma-default"}) {
    auto node = example();
    node.push_back({name, {}});
    EXPECT_EQ(read_pool(node, kSmall).error(), "a restricted DMA pool cannot be " + std::string(name));
  }
  const auto with_reg = [](std::vector<std::byte> value) {
    return read_pool(std::vector<Property>{{"reg", std::move(value)}}, kSmall);
  };
  EXPECT_EQ(read_pool({}, kSmall).error(), "a restricted DMA pool has no reg");
  EXPECT_EQ(with_reg(bytes({0x50, 0, 0, 0})).error(),
            "the reg of a restricted DMA pool is not one range");
  EXPECT_EQ(with_reg(bytes({0x50, 0, 0, 0, 0, 0, 0, 0})).error(), "a restricted DMA pool is empty");
  EXPECT_EQ(with_reg(bytes({0xfe, 0xe0, 0, 0, 0, 0x10, 0, 0})).error(),
            "the window overlaps the interrupt range");
  const std::vector<Property> wraps{
      {"reg", bytes({255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 2, 0})}};
  EXPECT_FALSE(read_pool(wraps, {}));
}

TEST(RestrictedDmaPool, DevicesNameIt) {
  const std::uint32_t pools[]{9, 0x01020304};
  const Property made = write_memory_region(pools);
  EXPECT_EQ(made.value, bytes({0, 0, 0, 9, 1, 2, 3, 4}));
  EXPECT_EQ(read_memory_region(made).value(), (std::vector<std::uint32_t>{9, 0x01020304}));
  EXPECT_FALSE(read_memory_region({"memory-region", bytes({1, 2, 3})}));
}

}  // namespace
}  // namespace weir::devicetree
