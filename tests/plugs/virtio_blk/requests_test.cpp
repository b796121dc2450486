// SPDX-License-Identifier: Apache-2.0
//
// Requests of a well-behaved driver to the block device behind a VT-d unit: every ring format, data
// cut in any way, several queues, and what each type of request comes to (virtio 1.4, 5.2.6). What
// the guest sees is written in numbers.
#include <cstdio>
#include <filesystem>

#include "tests/plugs/virtio_blk/fixture.h"

namespace weir::testing_blk {
namespace {

constexpr std::uint64_t kData = Machine::kShuffled;
constexpr std::uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8, kDiscard = 11, kZeroes = 13;

TEST_F(BlockTest, ShowsADiskOfItsSize) {
  start({.queues = 4});
  std::uint32_t word = 0;
  function->read_config(0, std::as_writable_bytes(std::span(&word, 1)));
  EXPECT_EQ(word, 0x10421af4U);
  function->read_config(8, std::as_writable_bytes(std::span(&word, 1)));
  EXPECT_EQ(word, 0x01000001U);
  EXPECT_EQ(driver->read<std::uint64_t>(0x2000), kDisk / 512);
  EXPECT_EQ(driver->read<std::uint32_t>(0x2014), 512U);
  EXPECT_EQ(driver->read<std::uint16_t>(0x2022), 4U);
  EXPECT_EQ(driver->offered() >> 32 & 3, 3U) << "modern, and behind the platform's IOMMU";
  EXPECT_EQ(driver->offered() & 0x7246, 0x7246U);
  EXPECT_EQ(driver->offered() >> 34 & 1, 0U);
  EXPECT_EQ(driver->status(), 0xf);
  EXPECT_EQ(function->interrupts().msix, 5U);
}

class RingTest : public BlockTest, public testing::WithParamInterface<replay::RingShape> {};

TEST_P(RingTest, WritesAndReadsBack) {
  start({.packed = true}, GetParam());
  for (unsigned round = 0; round < 40; ++round) {
    const auto seed = static_cast<std::uint8_t>(round * 11);
    // Three pieces that begin and end inside pages.
    const std::uint64_t at = kData + round * 16;
    const std::vector<Driver::Part> pieces{
        {Gpa(at), 5000}, {Gpa(at + 5000), 3192}, {Gpa(at + 8192), 4096}};
    machine.fill(at, 12288, seed);
    const auto wrote = driver->call(kOut, round, pieces, false);
    EXPECT_EQ(wrote.status, 0);
    EXPECT_EQ(wrote.written, 1U);
    machine.fill(at, 12288, 0);
    const auto read = driver->call(kIn, round, pieces, true);
    EXPECT_EQ(read.status, 0);
    EXPECT_EQ(read.written, 12289U);
    ASSERT_TRUE(machine.holds(at, 12288, seed)) << round;
  }
  EXPECT_EQ(counts().requests, 80U);
  EXPECT_EQ(counts().refused, 0U);
  EXPECT_EQ(counts().bytes_read, 40 * 12288U);
  EXPECT_EQ(machine.fault().first, 0U);
  EXPECT_GT(machine.iommu.stats().of(Outcome::kHit), 0U);
  EXPECT_EQ(machine.iommu.stats().of(Outcome::kBypassed), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, RingTest,
    testing::Values(replay::RingShape{16}, replay::RingShape{16, false, true},
                    replay::RingShape{16, false, true, true}, replay::RingShape{16, true},
                    replay::RingShape{16, true, true}, replay::RingShape{16, true, true, true}));

TEST_F(BlockTest, EveryQueueHasItsVector) {
  start({.queues = 3}, {16, false, true});
  for (const std::uint16_t queue : std::initializer_list<std::uint16_t>{2, 0, 1}) {
    machine.host.raised.clear();
    EXPECT_EQ(driver->call(kIn, 0, {{Gpa(kData), 512}}, true, queue).status, 0);
    ASSERT_EQ(machine.host.raised.size(), 1U);
    EXPECT_EQ(machine.host.raised[0].second, queue + 1U);
  }
}

TEST_F(BlockTest, ManyRequestsToAKickAreOneInterrupt) {
  start();
  driver->ring().want_interrupts(true);
  std::vector<std::size_t> posted;
  for (int i = 0; i < 5; ++i) posted.push_back(driver->post(kFlush, 0, {}, true));
  driver->kick();
  for (const std::size_t number : posted) EXPECT_EQ(driver->answer(number)->status, 0);
  EXPECT_EQ(machine.host.raised.size(), 1U);
}

TEST_F(BlockTest, AQueueThatNeverEndsLeavesTheOthersTheirTurn) {
  // The ring holds more than is served at once.
  start({}, {128, false, true});
  std::vector<std::size_t> posted;
  for (int i = 0; i < 100; ++i) posted.push_back(driver->post(kFlush, 0, {}, true));
  driver->kick();
  EXPECT_TRUE(driver->answer(posted[0]).has_value());
  EXPECT_FALSE(driver->answer(posted[99]).has_value());
  driver->force_kick();
  EXPECT_LE(machine.host.run(), 2U) << "kicks do not pile up work";
  EXPECT_EQ(driver->answer(posted[99])->status, 0);
}

TEST_F(BlockTest, TellsItsName) {
  start();
  EXPECT_EQ(driver->call(kGetId, 0, {{Gpa(kData), 20}}, true).status, 0);
  EXPECT_EQ(std::memcmp(machine.ram + Machine::gpa_of(kData), "weir\0", 5), 0);
}

TEST_F(BlockTest, DiscardsAndWritesZeroes) {
  start();
  for (const std::uint32_t type : {kDiscard, kZeroes}) {
    machine.fill(kData, 2048, 9);
    ASSERT_EQ(driver->call(kOut, 8, {{Gpa(kData), 2048}}, false).status, 0);
    const std::uint64_t range = Machine::gpa_of(kData + 0x4000);
    machine.put(range, 9);
    machine.put(range + 8, 2);
    EXPECT_EQ(driver->call(type, 0, {{Gpa(kData + 0x4000), 16}}, false).status, 0);
    ASSERT_EQ(driver->call(kIn, 8, {{Gpa(kData + 0x8000), 2048}}, true).status, 0);
    std::byte* const back = machine.ram + Machine::gpa_of(kData + 0x8000);
    EXPECT_EQ(std::memcmp(back, machine.ram + Machine::gpa_of(kData), 512), 0);
    EXPECT_TRUE(std::all_of(back + 512, back + 1536, [](std::byte b) { return b == std::byte{0}; }));
    EXPECT_EQ(std::memcmp(back + 1536, machine.ram + Machine::gpa_of(kData) + 1536, 512), 0);
  }
}

TEST_F(BlockTest, AFileKeepsWhatWasWritten) {
  const std::string path = testing::TempDir() + "weir_disk";
  std::fclose(std::fopen(path.c_str(), "w"));
  EXPECT_FALSE(virtio_blk::file_storage(path).ok()) << "not one sector";
  EXPECT_FALSE(virtio_blk::file_storage(path + ".none").ok());
  EXPECT_FALSE(virtio_blk::file_storage(testing::TempDir()).ok());
  std::filesystem::resize_file(path, 100 * 512 + 17);
  start({}, {16}, std::move(virtio_blk::file_storage(path).value()));
  EXPECT_EQ(driver->read<std::uint64_t>(0x2000), 100U);
  machine.fill(kData, 1024, 77);
  EXPECT_EQ(driver->call(kOut, 98, {{Gpa(kData), 1024}}, false).status, 0);
  EXPECT_EQ(driver->call(kFlush, 0, {}, true).status, 0);
  driver.reset();
  function.reset();
  machine.fill(kData, 1024, 0);
  start({}, {16}, std::move(virtio_blk::file_storage(path).value()));
  EXPECT_EQ(driver->call(kIn, 98, {{Gpa(kData), 1024}}, true).status, 0);
  EXPECT_TRUE(machine.holds(kData, 1024, 77));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace weir::testing_blk
