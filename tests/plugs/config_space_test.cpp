// SPDX-License-Identifier: Apache-2.0
//
// Configuration space against the values that PCI Local Bus 3.0 gives: numbers here are written out
// as the manual's tables have them and share nothing with config_layout.h.

#include "plugs/vfio_user/config_space.h"

#include <gtest/gtest.h>

#include <cstring>

namespace weir::vfio_user {
namespace {

std::uint32_t read32(const ConfigSpace& space, std::uint64_t offset) {
  std::uint32_t value = 0;
  space.read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}
template <typename Word>
void write(ConfigSpace& space, std::uint64_t offset, Word value) {
  space.write(offset, std::as_bytes(std::span(&value, 1)));
}

ConfigSpace make() {
  ConfigSpace space({.vendor = 0x1af4, .device = 0x1057, .class_code = 0x080600, .revision = 1});
  space.add_bar(0, 0x4000, ConfigSpace::Bar::kMemory64);
  space.add_bar(2, 0x1000);
  return space;
}

TEST(ConfigSpace, HeaderHoldsIdentityAndClass) {
  const ConfigSpace space = make();
  EXPECT_EQ(read32(space, 0x00), 0x10571af4u);
  EXPECT_EQ(read32(space, 0x08), 0x08060001u);
  EXPECT_EQ(read32(space, 0x0c), 0u);  // header type 0, one function
  EXPECT_EQ(read32(space, 0x34), 0u);  // no capability, and the status says so
  EXPECT_EQ(read32(space, 0x04), 0u);
}

TEST(ConfigSpace, BarsAnswerTheSizeQuestion) {
  ConfigSpace space = make();
  for (std::uint64_t at = 0x10; at < 0x28; at += 4) write(space, at, ~std::uint32_t{0});
  EXPECT_EQ(read32(space, 0x10), 0xffffc004u);  // 64-bit memory, 16 KiB
  EXPECT_EQ(read32(space, 0x14), 0xffffffffu);
  EXPECT_EQ(read32(space, 0x18), 0xfffff000u);  // 32-bit memory, 4 KiB
  EXPECT_EQ(read32(space, 0x1c), 0u);
  EXPECT_EQ(read32(space, 0x20), 0u);
}

TEST(ConfigSpace, CommandKeepsMemoryAndBusMasterUntilReset) {
  ConfigSpace space = make();
  EXPECT_FALSE(space.bus_master());
  write<std::uint16_t>(space, 0x04, 0xffff);
  EXPECT_TRUE(space.bus_master());
  EXPECT_TRUE(space.memory_decode());
  EXPECT_EQ(read32(space, 0x04) & 0x1u, 0u);  // no I/O space
  write<std::uint8_t>(space, 0x04, 0x02);
  EXPECT_FALSE(space.bus_master());
  EXPECT_TRUE(space.memory_decode());
  space.reset();
  EXPECT_FALSE(space.memory_decode());
}

TEST(ConfigSpace, CapabilitiesFormOneList) {
  ConfigSpace space = make();
  EXPECT_EQ(space.next_free(), 0x40);
  const std::uint8_t linked[] = {0x09, 0x4c, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0,  // at 40h, next 4Ch
                                 0x09, 0x00, 5,  2, 0};                      // the last
  EXPECT_EQ(space.add_capabilities(std::as_bytes(std::span(linked))), 0x40);
  EXPECT_EQ(space.add_msix(3, 1, 0x0, 0x800), 0x54);
  EXPECT_EQ(space.add_msi(), 0x60);
  EXPECT_EQ(read32(space, 0x34), 0x40u);
  EXPECT_EQ(read32(space, 0x04) >> 20 & 1, 1u);
  EXPECT_EQ(read32(space, 0x40) & 0xffff, 0x4c09u);
  EXPECT_EQ(read32(space, 0x4c) & 0xffff, 0x5409u);
  EXPECT_EQ(read32(space, 0x54), 0x00026011u);  // three vectors: 2
  EXPECT_EQ(read32(space, 0x58), 0x00000001u);
  EXPECT_EQ(read32(space, 0x5c), 0x00000801u);
  EXPECT_EQ(read32(space, 0x60), 0x00800005u);
}

TEST(ConfigSpace, MsiTakesAddressDataAndEnableAlone) {
  ConfigSpace space = make();
  const std::uint8_t at = space.add_msi();
  for (std::uint64_t i = 0; i < 16; i += 4) write(space, at + i, ~std::uint32_t{0});
  EXPECT_EQ(read32(space, at), 0x00810005u);
  EXPECT_EQ(read32(space, at + 4), 0xfffffffcu);
  EXPECT_EQ(read32(space, at + 8), 0xffffffffu);
  EXPECT_EQ(read32(space, at + 12), 0x0000ffffu);
}

TEST(ConfigSpace, AnyAccessIsSafe) {
  ConfigSpace space = make();
  std::byte bytes[64];
  for (std::uint64_t offset : {0ull, 1ull, 250ull, 256ull, 4096ull, ~0ull - 8}) {
    std::memset(bytes, 0xa5, sizeof bytes);
    space.write(offset, bytes);
    space.read(offset, bytes);
  }
  EXPECT_EQ(read32(space, 0x00), 0x10571af4u);
}

}  // namespace
}  // namespace weir::vfio_user
