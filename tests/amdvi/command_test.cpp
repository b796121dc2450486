// SPDX-License-Identifier: Apache-2.0
//
// The command buffer with bad input: every command with every reserved bit, rings and stores in
// absent memory, head and tail anywhere. The masks are VirtualBox's (iommu-amd.h:
// IOMMU_CMD_*_VALID_MASK) and, for the rest, Linux's fields.

#include "tests/amdvi/machine.h"
#include "vendors/amdvi/commands.h"

namespace weir::amdvi::test {
namespace {

struct Shape {
  unsigned opcode;
  std::uint64_t low, high;  // bits that may be set, the opcode's aside
};
constexpr Shape kShapes[] = {
    {1, 0x000fffffffffffff, ~std::uint64_t{0}},
    {2, 0x000000000000ffff, 0},
    {3, 0x0000ffff000fffff, 0xfffffffffffff007},
    {4, 0x0fffffffffffffff, 0xfffffffffffff005},
    {5, 0x000000000000ffff, 0},
    {6, 0x000fffffff00ffff, 0xfffffffffffff015},
    {7, 0x000fffff0000ffff, 0x0000ffff00000004},
    {8, 0, 0},
};

[[nodiscard]] bool legal(std::uint64_t low, std::uint64_t high,
                         const Options& options = options_for(Profile::kFull)) {
  return decode_command({low, high}, options, 0).has_value();
}

TEST(CommandTest, EveryReservedBitIsIllegal) {
  for (const Shape& shape : kShapes) {
    const std::uint64_t opcode = std::uint64_t{shape.opcode} << 60;
    EXPECT_TRUE(legal(opcode, 0)) << shape.opcode;
    for (unsigned bit = 0; bit < 60; ++bit)
      EXPECT_EQ(legal(opcode | std::uint64_t{1} << bit, 0), (shape.low >> bit & 1) != 0)
          << shape.opcode << " low " << bit;
    for (unsigned bit = 0; bit < 64; ++bit)
      EXPECT_EQ(legal(opcode, std::uint64_t{1} << bit), (shape.high >> bit & 1) != 0)
          << shape.opcode << " high " << bit;
  }
  for (const unsigned opcode : {0U, 9U, 10U, 11U, 12U, 13U, 14U, 15U})
    EXPECT_FALSE(legal(std::uint64_t{opcode} << 60, 0)) << opcode;
}

TEST(CommandTest, CommandsOfMissingFeaturesAreIllegal) {
  Options none = options_for(Profile::kV1);
  none.invalidate_all = false;
  for (const unsigned opcode : {4U, 6U, 7U, 8U})
    EXPECT_FALSE(legal(std::uint64_t{opcode} << 60, 0, none)) << opcode;
  EXPECT_FALSE(legal(std::uint64_t{3} << 60, 4, none));  // GN without GTSup
}

TEST(CommandTest, ForgetAll) {
  Machine machine;
  machine.start();
  machine.attach(kDevice, 1, 7);
  machine.store(kRoot, leaf(0x4000000));
  EXPECT_EQ(machine.dma(0), 0x4000000U);
  machine.store(kRoot, leaf(0x5000000));
  machine.forget_all();
  EXPECT_EQ(machine.dma(0), 0x5000000U);
}

TEST(CommandTest, PrefetchForgetsFirst) {
  Machine machine;
  machine.start();
  machine.attach(kDevice, 1, 7);
  machine.store(kRoot, leaf(0x4000000));
  EXPECT_EQ(machine.dma(0), 0x4000000U);
  machine.store(kRoot, leaf(0x5000000));
  machine.post(std::uint64_t{6} << 60 | kDevice, 0);  // a hint alone
  EXPECT_TRUE(machine.wait());
  EXPECT_EQ(machine.dma(0), 0x4000000U);
  machine.post(std::uint64_t{6} << 60 | kDevice, 0x10);  // Inval
  EXPECT_TRUE(machine.wait());
  EXPECT_EQ(machine.dma(0), 0x5000000U);
}

TEST(CommandTest, ARingInAbsentMemoryStops) {
  Machine machine;
  machine.start(kUsual & ~kCmdBufEn);
  machine.write(kCmdBase, 0xffff000000 | kLength256);
  machine.write(kCtrl, kUsual);
  machine.write(kCmdTail, 0x10, 4);
  const auto events = machine.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 6U);
  EXPECT_EQ(events[0].high, 0xffff000000U);
  EXPECT_EQ(machine.read(kStat) & kStCmdRun, 0U);
}

TEST(CommandTest, AStoreInAbsentMemoryStops) {
  Machine machine;
  machine.start();
  machine.post(std::uint64_t{1} << 60 | 0xffff000000 | 1, 5);
  const auto events = machine.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 6U);
  EXPECT_EQ(events[0].high, 0xffff000000U);
  EXPECT_FALSE(machine.wait());
}

TEST(CommandTest, PointersAnywhereEndInBoundedTime) {
  Machine machine;
  machine.start(kUsual & ~kCmdBufEn);
  for (unsigned i = 0; i < 256; ++i) machine.store(kRing + i * 16, std::uint64_t{8} << 60);
  for (const std::uint64_t head : {0x0U, 0xff0U, 0x1000U, 0x7fff0U, 0x12345U})
    for (const std::uint64_t tail : {0x0U, 0x10U, 0xff0U, 0x1000U, 0x7fff0U, 0xffffffffU}) {
      machine.write(kCtrl, kUsual & ~kCmdBufEn);
      machine.write(kCmdHead, head);
      machine.write(kCtrl, kUsual);
      machine.write(kCmdTail, tail);
      EXPECT_EQ(machine.read(kCmdHead) % 0x1000, machine.read(kCmdTail) % 0x1000);
      EXPECT_EQ(machine.read(kStat) & kStCmdRun, kStCmdRun);
    }
}

TEST(CommandTest, ALogInAbsentMemoryStops) {
  Machine machine;
  machine.start(kUsual & ~kEvtLogEn);
  machine.write(kEvtBase, 0xffff000000 | kLength256);
  machine.write(kCtrl, kUsual);
  machine.set_entry(kDevice, 3);
  EXPECT_EQ(machine.dma(0), std::nullopt);
  EXPECT_EQ(machine.read(kStat) & kStEvtRun, 0U);
  EXPECT_TRUE(machine.wait());  // the rest goes on
}

}  // namespace
}  // namespace weir::amdvi::test
