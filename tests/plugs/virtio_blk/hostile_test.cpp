// SPDX-License-Identifier: Apache-2.0
//
// A driver that means harm, or knows no better: requests that lie about places and lengths end with
// a status of their own, broken rings with DEVICE_NEEDS_RESET (virtio 1.4, 2.1.2), each in bounded
// time, and a reset mends it.
#include "tests/plugs/virtio_blk/fixture.h"

namespace weir::testing_blk {
namespace {

constexpr std::uint64_t kData = Machine::kShuffled;
constexpr std::uint32_t kIn = 0, kOut = 1, kDiscard = 11, kZeroes = 13;
constexpr std::uint8_t kIoError = 1, kUnsupported = 2, kNeedsReset = 0x40;

class HostileTest : public BlockTest {
 protected:
  void store(std::uint64_t at, std::uint64_t value, std::size_t bytes) {
    std::memcpy(machine.ram + at, &value, bytes);
  }
  // One descriptor of the first ring, and which is the next available.
  void describe(std::uint64_t index, std::uint64_t at, std::uint32_t bytes, std::uint16_t flags,
                std::uint16_t next) {
    const std::uint64_t entry = driver->ring().descriptors().value() + index * 16;
    store(entry, at, 8);
    store(entry + 8, bytes, 4);
    store(entry + 12, flags, 2);
    store(entry + 14, next, 2);
  }
  void offer(std::uint16_t head) {
    store(driver->ring().driver_area().value() + 4, head, 2);
    store(driver->ring().driver_area().value() + 2, 1, 2);
    driver->force_kick();
  }
  void expect_broken_and_mend() {
    EXPECT_EQ(driver->status() & kNeedsReset, kNeedsReset);
    EXPECT_EQ(counts().broken_rings, 1U);
    driver->force_kick();
    driver->bring_up();
    EXPECT_EQ(driver->status(), 0xf);
    EXPECT_EQ(driver->call(kIn, 0, {{Gpa(kData), 512}}, true).status, 0);
  }
};

TEST_F(HostileTest, PlacesBeyondTheDisk) {
  start();
  const std::uint64_t sectors = kDisk / 512;
  for (const std::uint64_t sector : {sectors, sectors - 1, ~std::uint64_t{0},
                                     std::uint64_t{1} << 55, ~std::uint64_t{0} / 512 + 1}) {
    machine.fill(kData, 1024, 3);
    EXPECT_EQ(driver->call(kIn, sector, {{Gpa(kData), 1024}}, true).status, kIoError);
    EXPECT_TRUE(machine.holds(kData, 1024, 3)) << "nothing has moved";
    EXPECT_EQ(driver->call(kOut, sector, {{Gpa(kData), 1024}}, false).status, kIoError);
  }
  EXPECT_EQ(driver->call(kIn, sectors - 2, {{Gpa(kData), 1024}}, true).status, 0);
  EXPECT_EQ(counts().bytes_written, 0U);
}

TEST_F(HostileTest, LengthsThatAreNoSectors) {
  start();
  for (const std::uint32_t bytes : {1U, 511U, 513U, 0x7fffffffU, 0x80000000U, 0xfffffe00U}) {
    EXPECT_EQ(driver->call(kIn, 0, {{Gpa(kData), bytes}}, true).status, kIoError) << bytes;
    EXPECT_EQ(driver->call(kOut, 0, {{Gpa(kData), bytes}}, false).status, kIoError) << bytes;
  }
  EXPECT_EQ(driver->call(kIn, 0, {}, true).status, kIoError);
  EXPECT_EQ(counts().bytes_read + counts().bytes_written, 0U);
}

TEST_F(HostileTest, KindsThatDoNotExist) {
  start();
  for (const std::uint32_t type : {2U, 3U, 5U, 9U, 16U, 0x80000000U, ~0U})
    EXPECT_EQ(driver->call(type, 0, {{Gpa(kData), 512}}, true).status, kUnsupported);
}

TEST_F(HostileTest, RangesToDiscard) {
  start();
  const std::uint64_t range = Machine::gpa_of(kData);
  const auto ask = [&](std::uint32_t type, std::uint64_t sector, std::uint64_t rest,
                       std::uint32_t bytes) {
    machine.put(range, sector);
    machine.put(range + 8, rest);
    return driver->call(type, 0, {{Gpa(kData), bytes}}, false).status;
  };
  EXPECT_EQ(ask(kDiscard, kDisk / 512, 1, 16), kIoError);
  EXPECT_EQ(ask(kDiscard, 0, 0xffffffff, 16), kIoError);
  EXPECT_EQ(ask(kZeroes, ~std::uint64_t{0}, 2, 16), kIoError);
  EXPECT_EQ(ask(kZeroes, 0, 0, 16), kIoError);
  EXPECT_EQ(ask(kDiscard, 0, 1, 15), kIoError);
  EXPECT_EQ(ask(kDiscard, 0, 1, 32), kIoError) << "the configuration says one";
  EXPECT_EQ(ask(kDiscard, 0, 1ULL << 32 | 1, 16), kUnsupported);
  EXPECT_EQ(ask(kZeroes, 0, 2ULL << 32 | 1, 16), kUnsupported);
  EXPECT_EQ(ask(kZeroes, 0, 1ULL << 32 | 1, 16), 0);
}

TEST_F(HostileTest, BuffersThatAreNotMapped) {
  start();
  machine.unmap(kData + 0x3000);
  EXPECT_EQ(driver->call(kIn, 0, {{Gpa(kData + 0x2000), 0x2000}}, true).status, kIoError);
  EXPECT_EQ(machine.fault().second, kData + 0x3000);
  EXPECT_EQ(machine.fault().first & 0xffff, Machine::kBdf);
  EXPECT_EQ(driver->call(kIn, 0, {{Gpa(kData), 512}}, true).status, 0);
}

TEST_F(HostileTest, ChainsWithoutHeaderOrStatusComeBackAsTheyWere) {
  start();
  describe(0, kData, 16, 0, 0);  // a header, and nothing to write
  describe(1, kData, 15, 1, 2);  // too short
  describe(2, kData, 512, 2, 0);
  offer(0);
  store(driver->ring().driver_area().value() + 6, 1, 2);
  store(driver->ring().driver_area().value() + 2, 2, 2);
  driver->force_kick();
  EXPECT_EQ(counts().requests, 2U);
  EXPECT_EQ(counts().refused, 2U);
  EXPECT_EQ(driver->status(), 0xf);
}

TEST_F(HostileTest, ALoopOfDescriptors) {
  start();
  describe(0, kData, 16, 1, 1);
  describe(1, kData, 512, 3, 2);
  describe(2, kData, 512, 3, 1);
  offer(0);
  expect_broken_and_mend();
}

TEST_F(HostileTest, DescriptorsOutsideTheTable) {
  start();
  describe(0, kData, 16, 1, 16);
  offer(0);
  expect_broken_and_mend();
}

TEST_F(HostileTest, HeadsOutsideTheTable) {
  start();
  offer(0xffff);
  expect_broken_and_mend();
}

TEST_F(HostileTest, AnIndirectTableThatHoldsItself) {
  start({}, {16, false, true});
  const std::uint64_t table = driver->ring().descriptors().value();
  describe(0, table, 32, 4, 0);
  describe(1, table, 32, 4, 0);
  offer(0);
  expect_broken_and_mend();
}

TEST_F(HostileTest, MoreAvailableThanTheRingHolds) {
  start();
  store(driver->ring().driver_area().value() + 2, 0x8000, 2);
  driver->force_kick();
  expect_broken_and_mend();
}

TEST_F(HostileTest, RingsThatAreNotMapped) {
  start();
  // Below the first page that is.
  for (const std::uint64_t at : {0x20, 0x28, 0x30}) {
    driver->write8(0x14, 0);
    driver->write8(0x14, 3);
    driver->write32(0x08, 1);
    driver->write32(0x0c, 3);
    driver->write8(0x14, 0xb);
    for (const std::uint64_t area : {0x20, 0x28, 0x30})
      driver->write64(area, area == at ? 0x8000 : 0x20000);
    driver->write16(0x1c, 1);
    driver->write8(0x14, 0xf);
    store(0x20000, 0, 8);
    store(0x20002, 1, 2);
    driver->force_kick();
    EXPECT_EQ(driver->status() & kNeedsReset, kNeedsReset) << at;
  }
  EXPECT_NE(machine.fault().first, 0U);
}

TEST_F(HostileTest, RingsOfSizesThatThereAreNot) {
  start();
  for (const std::uint16_t size : std::initializer_list<std::uint16_t>{0, 3, 257, 0xffff}) {
    driver->write8(0x14, 0);
    driver->write8(0x14, 3);
    driver->write32(0x08, 1);
    driver->write32(0x0c, 3);
    driver->write8(0x14, 0xb);
    driver->write16(0x18, size);
    for (const std::uint64_t area : {0x20, 0x28, 0x30}) driver->write64(area, 0x20000);
    driver->write16(0x1c, 1);
    driver->write8(0x14, 0xf);
    driver->force_kick();
    EXPECT_EQ(driver->status() & kNeedsReset, kNeedsReset) << size;
  }
}

}  // namespace
}  // namespace weir::testing_blk
