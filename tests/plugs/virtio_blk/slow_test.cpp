// SPDX-License-Identifier: Apache-2.0
//
// A slow disk behind a VT-d unit: its buffers are pinned until the data has moved, and a guest's
// invalidation is not complete before (L1). Its two ways of misbehaving do what tests need of them.
#include "tests/plugs/virtio_blk/fixture.h"

namespace weir::testing_blk {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kData = Machine::kShuffled;
constexpr std::uint32_t kIn = 0, kOut = 1, kFlush = 4;

class SlowTest : public BlockTest {
 protected:
  void write_sectors(std::uint64_t sector, std::uint32_t bytes, std::uint8_t seed) {
    machine.fill(kData + 0x40000, bytes, seed);
    const std::size_t number = driver->post(kOut, sector, {{Gpa(kData + 0x40000), bytes}}, false);
    driver->kick();
    machine.host.pass(milliseconds(10));
    ASSERT_EQ(driver->answer(number).value_or(Driver::Answer{}).status, 0);
  }
};

TEST_F(SlowTest, DataMovesWhenItsTimeHasCome) {
  start({.latency = milliseconds(10)});
  write_sectors(4, 12288, 5);
  const std::size_t number = driver->post(kIn, 4, {{Gpa(kData + 100), 12288}}, true);
  driver->kick();
  const std::size_t flush = driver->post(kFlush, 0, {}, true);
  driver->kick();
  EXPECT_TRUE(driver->answer(flush).has_value()) << "nothing to move: it overtakes";
  machine.host.pass(milliseconds(9));
  EXPECT_FALSE(driver->answer(number).has_value());
  EXPECT_FALSE(machine.holds(kData + 100, 1, 5));
  machine.host.pass(milliseconds(1));
  EXPECT_EQ(driver->answer(number)->status, 0);
  EXPECT_TRUE(machine.holds(kData + 100, 12288, 5));
  EXPECT_EQ(counts().pinned, 2U);
}

TEST_F(SlowTest, AnInvalidationWaitsForThePin) {
  start({.latency = milliseconds(10)});
  const std::size_t number = driver->post(kIn, 0, {{Gpa(kData), 8192}}, true);
  driver->kick();
  machine.start_invalidation();
  EXPECT_TRUE(machine.invalidating());
  machine.iommu.poll();
  EXPECT_TRUE(machine.invalidating());
  machine.host.pass(milliseconds(10));
  EXPECT_FALSE(machine.invalidating());
  EXPECT_EQ(driver->answer(number)->status, 0);
  EXPECT_EQ(machine.iommu.stats().waits_parked, 1U);
}

// What the driver unmaps while the device still writes: the completion comes after the last byte.
TEST_F(SlowTest, WhatIsReturnedEarlyStillLandsBeforeTheInvalidationEnds) {
  start({.latency = milliseconds(10), .returns_early = true});
  write_sectors(4, 8192, 21);
  const std::size_t number = driver->post(kIn, 4, {{Gpa(kData), 8192}}, true);
  driver->kick();
  EXPECT_EQ(driver->answer(number)->status, 0) << "a lie";
  EXPECT_FALSE(machine.holds(kData, 1, 21));
  machine.unmap(kData);
  machine.unmap(kData + 4096);
  machine.start_invalidation();
  EXPECT_TRUE(machine.invalidating());
  EXPECT_FALSE(machine.holds(kData, 1, 21));
  machine.host.pass(milliseconds(10));
  EXPECT_FALSE(machine.invalidating());
  EXPECT_TRUE(machine.holds(kData, 8192, 21));
  EXPECT_EQ(machine.fault().first, 0U);
  EXPECT_EQ(counts().requests, 2U) << "returned once";
}

TEST_F(SlowTest, AResetLetsGo) {
  start({.latency = milliseconds(10)});
  machine.fill(kData, 512, 1);
  (void)driver->post(kIn, 0, {{Gpa(kData), 512}}, true);
  driver->kick();
  machine.start_invalidation();
  EXPECT_TRUE(machine.invalidating());
  function->reset();
  EXPECT_FALSE(machine.invalidating());
  driver->bring_up();
  machine.host.pass(milliseconds(20));
  EXPECT_TRUE(machine.holds(kData, 512, 1)) << "nothing of the old life lands in the new one";
  EXPECT_EQ(counts().requests, 0U);
}

TEST_F(SlowTest, BusMasteringOffLetsGo) {
  start({.latency = milliseconds(10)});
  machine.fill(kData, 512, 1);
  (void)driver->post(kIn, 0, {{Gpa(kData), 512}}, true);
  driver->kick();
  (void)machine.iommu.set_bus_master(Requester::from_sid(Machine::kBdf), false);
  function->bus_master_changed(false);
  machine.host.pass(milliseconds(10));
  EXPECT_TRUE(machine.holds(kData, 512, 1));
  EXPECT_EQ(driver->status() & 0x40, 0x40) << "it cannot even say so";
}

TEST_F(SlowTest, TheRingLimitsWhatIsUnderWay) {
  start({.latency = milliseconds(10)}, {4, false, true});
  std::vector<std::size_t> posted;
  for (int i = 0; i < 4; ++i) posted.push_back(driver->post(kIn, 0, {{Gpa(kData), 512}}, true));
  driver->kick();
  // A driver that offers its chains again before they have come back.
  const std::uint16_t index = 8;
  std::memcpy(machine.ram + driver->ring().driver_area().value() + 2, &index, 2);
  driver->force_kick();
  EXPECT_EQ(counts().pinned, 4U);
  machine.host.pass(milliseconds(10));
  EXPECT_EQ(counts().pinned, 8U);
}

TEST_F(SlowTest, APinOfWhatIsNotMappedIsTheRequestsError) {
  start({.latency = milliseconds(10)});
  machine.unmap(kData + 4096);
  EXPECT_EQ(driver->call(kIn, 0, {{Gpa(kData), 8192}}, true).status, 1);
  EXPECT_EQ(machine.fault().second, kData + 4096);
}

// Reading and writing the chosen sector go to an address that nobody mapped; the guest's driver
// reads of both, and the request is served all the same.
TEST_F(SlowTest, ARogueIsCaught) {
  start({.rogue = virtio_blk::Rogue{.sector = 7, .address = Iova(0xdead000)}});
  EXPECT_EQ(driver->call(kIn, 6, {{Gpa(kData), 512}}, true).status, 0);
  EXPECT_EQ(driver->call(kIn, 8, {{Gpa(kData), 512}}, true).status, 0);
  EXPECT_EQ(machine.fault().first, 0U);
  EXPECT_EQ(driver->call(kIn, 6, {{Gpa(kData), 1024}}, true).status, 0);
  EXPECT_EQ(counts().astray_refused, 1U);
  const auto [what, where] = machine.fault();
  EXPECT_EQ(what, Machine::kBdf | 0x05U << 16) << "a write: reason 5";
  EXPECT_EQ(where, 0xdead000U);
  EXPECT_EQ(driver->call(kOut, 7, {{Gpa(kData), 512}}, false).status, 0);
  EXPECT_EQ(counts().astray_refused, 2U);
  EXPECT_EQ(counts().astray_landed, 0U);
}

}  // namespace
}  // namespace weir::testing_blk
