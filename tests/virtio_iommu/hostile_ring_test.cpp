// SPDX-License-Identifier: Apache-2.0
//
// Rings and requests that no driver would write. Each comes to DEVICE_NEEDS_RESET
// (virtio 1.4, 2.1.2) or to a request returned unwritten, in bounded work, and a reset puts
// everything right.
//
// Everything is written by hand: numbers are those of include/uapi/linux/virtio_ring.h.
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

constexpr std::uint16_t kSize = 8;
constexpr std::uint64_t kDesc = 0x100000, kAvail = 0x101000, kUsed = 0x102000, kTable = 0x103000,
                        kRequest = 0x104000, kAnswer = 0x105000;
constexpr std::uint64_t kNowhere = 0x7f0000000000;
constexpr std::uint16_t kNext = 1, kWrite = 2, kIndirect = 4;

struct HandMade {
  bool packed = false;
  std::uint64_t features = guest::kFeatureIndirect;
};

class HostileRingTest : public ViommuTest {
 protected:
  // A queue of eight entries whose every byte the test writes itself.
  void start(const HandMade& how = {}, std::uint64_t desc = kDesc, std::uint64_t avail = kAvail,
             std::uint64_t used = kUsed, std::uint32_t size = kSize) {
    for (std::uint64_t at = kDesc; at < kAnswer + 0x1000; at += 8) store<std::uint64_t>(at, 0);
    const auto request = ViommuDriver::attach_bytes(1, kNvme);
    (void)physical_.write(Gpa(kRequest), request);
    driver_->write32(guest::kStatus, 0);
    driver_->write32(guest::kStatus, 3);
    const std::uint64_t features =
        how.features | guest::kFeatureVersion1 | (how.packed ? guest::kFeaturePacked : 0) | 0x77;
    for (std::uint32_t word = 0; word < 2; ++word) {
      driver_->write32(guest::kDriverFeaturesSel, word);
      driver_->write32(guest::kDriverFeatures, static_cast<std::uint32_t>(features >> 32 * word));
    }
    driver_->write32(guest::kStatus, 0xb);
    driver_->write32(guest::kQueueSel, 0);
    driver_->write32(guest::kQueueNum, size);
    const auto area = [this](std::uint64_t at, std::uint64_t where) {
      driver_->write32(at, static_cast<std::uint32_t>(where));
      driver_->write32(at + 4, static_cast<std::uint32_t>(where >> 32));
    };
    area(guest::kQueueDesc, desc);
    area(guest::kQueueAvail, avail);
    area(guest::kQueueUsed, used);
    driver_->write32(guest::kQueueReady, 1);
    driver_->write32(guest::kStatus, 0xf);
  }
  template <typename Word>
  void store(std::uint64_t at, Word word) {
    (void)physical_.write(Gpa(at), std::as_bytes(std::span(&word, 1)));
  }
  template <typename Word>
  [[nodiscard]] Word load(std::uint64_t at) {
    Word word{};
    (void)physical_.read(Gpa(at), std::as_writable_bytes(std::span(&word, 1)));
    return word;
  }
  void describe(std::uint64_t at, std::uint64_t address, std::uint32_t bytes, std::uint16_t low,
                std::uint16_t high) {
    store(at, address);
    store(at + 8, bytes);
    store(at + 12, low);
    store(at + 14, high);
  }
  void descriptor(std::uint16_t number, std::uint64_t address, std::uint32_t bytes,
                  std::uint16_t flags, std::uint16_t next = 0) {
    describe(kDesc + number * 16U, address, bytes, flags, next);
  }
  void entry(std::uint16_t number, std::uint64_t address, std::uint32_t bytes, std::uint16_t flags,
             std::uint64_t table = kTable, std::uint16_t next = 0) {
    describe(table + number * 16U, address, bytes, flags, next);
  }
  void offer(std::uint16_t head, std::uint16_t index = 1) {
    store(kAvail + 4, head);
    store(kAvail + 2, index);
    kick();
  }
  void kick() { driver_->write32(guest::kQueueNotify, 0); }
  [[nodiscard]] bool broken() { return (status() & guest::kNeedsReset) != 0; }
  [[nodiscard]] std::uint16_t used_index() { return load<std::uint16_t>(kUsed + 2); }
  // The good request, in two parts, from descriptor `head` on.
  void good_chain(std::uint16_t head = 0) {
    descriptor(head, kRequest, 20, kNext, static_cast<std::uint16_t>(head + 1));
    descriptor(static_cast<std::uint16_t>(head + 1), kAnswer, 4, kWrite);
  }
  void expect_recovery() {
    bring_up();
    EXPECT_EQ(driver_->attach(1, kNvme), guest::kOk);
    EXPECT_EQ(driver_->map(1, 0x1000, 0x1fff, 0x8000), guest::kOk);
    EXPECT_EQ(lands(kNvme, 0x1000), 0x8000U);
  }
};

TEST_F(HostileRingTest, AGoodOneWorks) {
  start();
  good_chain();
  offer(0);
  EXPECT_FALSE(broken());
  EXPECT_EQ(used_index(), 1);
  EXPECT_EQ(load<std::uint32_t>(kUsed + 8), 4U);
  EXPECT_EQ(load<std::uint8_t>(kAnswer), guest::kOk);
}

TEST_F(HostileRingTest, AChainThatLoops) {
  start();
  descriptor(0, kRequest, 20, kNext, 1);
  descriptor(1, kRequest, 20, kNext, 0);
  offer(0);
  EXPECT_TRUE(broken());
  EXPECT_FALSE(interrupts_.all.empty()) << "2.1.2: the driver is told";
  kick();
  EXPECT_EQ(used_index(), 0) << "nothing goes on before a reset";
  expect_recovery();
}

TEST_F(HostileRingTest, AChainThatLoopsOnItself) {
  start();
  descriptor(0, kAnswer, 4, kNext | kWrite, 0);
  offer(0);
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostileRingTest, NextOutsideTheTable) {
  start();
  descriptor(0, kRequest, 20, kNext, kSize);
  offer(0);
  EXPECT_TRUE(broken());
  start();
  offer(0xffff);
  EXPECT_TRUE(broken()) << "the head, too";
  expect_recovery();
}

TEST_F(HostileRingTest, MoreAvailableThanTheRingHolds) {
  start();
  good_chain();
  offer(0, kSize + 1);
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostileRingTest, AnIndexThatGoesBack) {
  start();
  good_chain();
  offer(0);
  ASSERT_FALSE(broken());
  store<std::uint16_t>(kAvail + 2, 0);
  kick();
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostileRingTest, HugeLengths) {
  start();
  descriptor(0, kRequest, ~0U, kNext, 1);
  descriptor(1, kAnswer, ~0U, kWrite);
  offer(0);
  EXPECT_TRUE(broken()) << "2.7.5: a chain is shorter than 2^32 bytes";
  expect_recovery();
  // Up to that they are only long: what counts is at their beginning.
  start();
  descriptor(0, kRequest, 0x7fffffff, kNext, 1);
  descriptor(1, kAnswer, 0x7fffffff, kWrite);
  offer(0);
  EXPECT_FALSE(broken());
  EXPECT_EQ(load<std::uint8_t>(kAnswer), guest::kOk);
}

TEST_F(HostileRingTest, BuffersOutsideRamAreReturnedUnwritten) {
  start();
  descriptor(0, kNowhere, 20, kNext, 1);
  descriptor(1, kAnswer, 4, kWrite);
  offer(0);
  EXPECT_FALSE(broken());
  EXPECT_EQ(used_index(), 1);
  EXPECT_EQ(load<std::uint32_t>(kUsed + 8), 0U);
  start();
  descriptor(0, kRequest, 20, kNext, 1);
  descriptor(1, kNowhere, 4, kWrite);
  offer(0);
  EXPECT_FALSE(broken());
  EXPECT_EQ(used_index(), 1);
  EXPECT_EQ(load<std::uint32_t>(kUsed + 8), 0U) << "nothing could be written";
}

TEST_F(HostileRingTest, ABufferThatWrapsAround) {
  start();
  descriptor(0, ~0ULL - 7, 20, kNext, 1);
  descriptor(1, kAnswer, 4, kWrite);
  offer(0);
  EXPECT_EQ(load<std::uint32_t>(kUsed + 8), 0U);
}

TEST_F(HostileRingTest, RingsOutsideRam) {
  start({}, kNowhere);
  offer(0);
  EXPECT_TRUE(broken());
  start({}, kDesc, kNowhere);
  kick();
  EXPECT_TRUE(broken());
  start({}, kDesc, kAvail, kNowhere);
  good_chain();
  offer(0);
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostileRingTest, MisalignedRings) {
  start({}, kDesc + 8);
  EXPECT_TRUE(broken());
  start({}, kDesc, kAvail + 1);
  EXPECT_TRUE(broken());
  start({}, kDesc, kAvail, kUsed + 2);
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostileRingTest, SizesThatNoRingHas) {
  for (const std::uint32_t size : {0U, 3U, 512U, 0xffffU, 0x10008U}) {
    start({}, kDesc, kAvail, kUsed, size);
    EXPECT_TRUE(broken()) << size;
  }
  expect_recovery();
}

TEST_F(HostileRingTest, APartToBeReadAfterOneToBeWritten) {
  start();
  descriptor(0, kAnswer, 4, kWrite | kNext, 1);
  descriptor(1, kRequest, 20, 0);
  offer(0);
  EXPECT_TRUE(broken());
}

TEST_F(HostileRingTest, AnIndirectTableInAnIndirectTable) {
  start();
  descriptor(0, kTable, 32, kIndirect);
  entry(0, kTable, 32, kIndirect);
  offer(0);
  EXPECT_TRUE(broken());
}

TEST_F(HostileRingTest, AnIndirectDescriptorThatGoesOn) {
  start();
  descriptor(0, kTable, 32, kIndirect | kNext, 1);
  entry(0, kRequest, 20, kNext, kTable, 1);
  entry(1, kAnswer, 4, kWrite);
  offer(0);
  EXPECT_TRUE(broken());
}

TEST_F(HostileRingTest, AnIndirectTableAfterPlainDescriptorsIsFine) {
  start();
  descriptor(0, kRequest, 8, kNext, 5);
  descriptor(5, kTable, 32, kIndirect | kWrite);  // 2.7.5.3.2: WRITE is ignored here
  entry(0, kRequest + 8, 12, kNext, kTable, 1);
  entry(1, kAnswer, 4, kWrite);
  offer(0);
  EXPECT_FALSE(broken());
  EXPECT_EQ(load<std::uint32_t>(kUsed + 8), 4U);
  EXPECT_EQ(load<std::uint8_t>(kAnswer), guest::kOk);
}

TEST_F(HostileRingTest, AnIndirectTableThatWasNotNegotiated) {
  start({.features = 0});
  descriptor(0, kTable, 32, kIndirect);
  entry(0, kRequest, 20, kNext, kTable, 1);
  entry(1, kAnswer, 4, kWrite);
  offer(0);
  EXPECT_TRUE(broken());
}

TEST_F(HostileRingTest, IndirectTablesOfSizesThatAreNone) {
  for (const std::uint32_t bytes : {0U, 8U, 17U, 40U}) {
    start();
    descriptor(0, kTable, bytes, kIndirect);
    offer(0);
    EXPECT_TRUE(broken()) << bytes;
  }
  start();
  descriptor(0, kNowhere, 32, kIndirect);
  offer(0);
  EXPECT_TRUE(broken()) << "outside RAM";
}

// A table of 2^28 entries that all lead on: the chain ends at its limit, long before the table.
TEST_F(HostileRingTest, AnIndirectTableThatNeverEnds) {
  start();
  for (std::uint16_t i = 0; i < 8; ++i)
    entry(i, kRequest, 1, kNext, kTable, static_cast<std::uint16_t>((i + 1) % 8));
  descriptor(0, kTable, 0xfffffff0, kIndirect);
  offer(0);
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostileRingTest, AChainWithoutPartsToReadOrToWrite) {
  start();
  descriptor(0, kAnswer, 4, kWrite);
  offer(0);
  EXPECT_FALSE(broken());
  EXPECT_EQ(load<std::uint32_t>(kUsed + 8), 0U);
  descriptor(0, kRequest, 20, 0);
  store<std::uint16_t>(kAvail + 6, 0);
  store<std::uint16_t>(kAvail + 2, 2);
  kick();
  EXPECT_FALSE(broken());
  EXPECT_EQ(used_index(), 2);
}

// The same head twice: two requests to the device, whatever the driver makes of it.
TEST_F(HostileRingTest, TheSameHeadEightTimes) {
  start();
  good_chain();
  offer(0, kSize);
  EXPECT_FALSE(broken());
  EXPECT_EQ(used_index(), kSize);
}

class HostilePackedTest : public HostileRingTest {
 protected:
  static constexpr std::uint16_t kAvailable = 1 << 7;
  void start_packed(std::uint64_t features = guest::kFeatureIndirect) {
    start({.packed = true, .features = features});
  }
  // id and flags; made available in the first round.
  void slot(std::uint16_t number, std::uint64_t address, std::uint32_t bytes, std::uint16_t flags) {
    describe(kDesc + number * 16U, address, bytes, number,
             static_cast<std::uint16_t>(flags | kAvailable));
  }
};

TEST_F(HostilePackedTest, AGoodOneWorks) {
  start_packed();
  slot(1, kAnswer, 4, kWrite);
  slot(0, kRequest, 20, kNext);
  kick();
  EXPECT_FALSE(broken());
  EXPECT_EQ(load<std::uint16_t>(kDesc + 14) & 0x8080, 0x8080) << "used, in the first round";
  EXPECT_EQ(load<std::uint16_t>(kDesc + 12), 1) << "the id of the last of the list";
  EXPECT_EQ(load<std::uint32_t>(kDesc + 8), 4U);
}

TEST_F(HostilePackedTest, AListThatNeverEnds) {
  start_packed();
  for (std::uint16_t i = kSize; i-- > 0;) slot(i, kRequest, 1, kNext);
  kick();
  EXPECT_TRUE(broken());
  expect_recovery();
}

TEST_F(HostilePackedTest, IndirectTables) {
  start_packed();
  slot(0, kTable, 32, kIndirect | kNext);
  kick();
  EXPECT_TRUE(broken()) << "one that goes on";
  start_packed();
  slot(1, kTable, 32, kIndirect);
  slot(0, kRequest, 20, kNext);
  kick();
  EXPECT_TRUE(broken()) << "one in the middle of a list";
  start_packed(0);
  slot(0, kTable, 32, kIndirect);
  kick();
  EXPECT_TRUE(broken()) << "not negotiated";
  for (const std::uint32_t bytes : {0U, 24U, 0xfffffff0U}) {
    start_packed();
    slot(0, kTable, bytes, kIndirect);
    kick();
    EXPECT_TRUE(broken()) << bytes;
  }
}

TEST_F(HostilePackedTest, OtherFlagsInATableAreIgnored) {
  start_packed();
  describe(kTable, kRequest, 20, 0, kNext | kIndirect | 0x8080);
  describe(kTable + 16, kAnswer, 4, 0, kWrite);
  slot(0, kTable, 32, kIndirect);
  kick();
  EXPECT_FALSE(broken());
  EXPECT_EQ(load<std::uint8_t>(kAnswer), guest::kOk);
}

TEST_F(HostilePackedTest, OddSizesAreFine) {
  start({.packed = true}, kDesc, kAvail, kUsed, 3);
  slot(1, kAnswer, 4, kWrite);
  slot(0, kRequest, 20, kNext);
  kick();
  EXPECT_FALSE(broken());
  EXPECT_EQ(load<std::uint8_t>(kAnswer), guest::kOk);
}

}  // namespace
}  // namespace weir::virtio_iommu::test
