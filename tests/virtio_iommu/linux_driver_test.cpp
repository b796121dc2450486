// SPDX-License-Identifier: Apache-2.0
//
// What Linux' driver does, over every shape of ring that it can negotiate: probe, attach, map as it
// goes, unmap many mappings at once, all looked for by polling with interrupts off; and many
// requests to one kick, which must cost one round of invalidation.
#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

struct Shape {
  replay::RingShape ring;
  std::uint32_t read_parts = 1;
};

void PrintTo(const Shape& shape, std::ostream* out) {
  *out << (shape.ring.packed ? "packed" : "split") << (shape.ring.indirect ? " indirect" : "")
       << (shape.ring.event_index ? " event index" : "") << ", " << shape.read_parts << " parts";
}

std::vector<Shape> all_shapes() {
  std::vector<Shape> all;
  for (const bool packed : {false, true})
    for (const bool indirect : {false, true})
      for (const bool event_index : {false, true})
        for (const std::uint32_t parts : {1U, 3U})
          all.push_back(
              {{.size = 256, .packed = packed, .indirect = indirect, .event_index = event_index},
               parts});
  return all;
}

class LinuxDriverTest : public ViommuTest, public testing::WithParamInterface<Shape> {
 protected:
  LinuxDriverTest()
      : ViommuTest({}, {.ring = GetParam().ring, .read_parts = GetParam().read_parts}) {}

  void expect_all_ok() {
    ASSERT_TRUE(driver_->collect());
    for (const auto& reply : driver_->replies()) EXPECT_EQ(reply.status, guest::kOk);
    driver_->forget_replies();
  }
  // As many as the ring takes at once.
  [[nodiscard]] std::uint64_t batch() const {
    const auto& [ring, parts] = GetParam();
    return ring.indirect ? ring.size : ring.size / (parts + 1);
  }
};

INSTANTIATE_TEST_SUITE_P(Rings, LinuxDriverTest, testing::ValuesIn(all_shapes()));

TEST_P(LinuxDriverTest, NegotiatesWhatItAsksFor) {
  const replay::RingShape& ring = GetParam().ring;
  EXPECT_EQ((driver_->features() & guest::kFeaturePacked) != 0, ring.packed);
  EXPECT_EQ((driver_->features() & guest::kFeatureIndirect) != 0, ring.indirect);
  EXPECT_EQ((driver_->features() & guest::kFeatureEventIndex) != 0, ring.event_index);
}

// Boot, as traced of Linux 6.12: probe and attach each device, then map and unmap without end.
TEST_P(LinuxDriverTest, TheSequenceOfABoot) {
  std::uint32_t domain = 0;
  for (const std::uint16_t sid : {kNvme, kDisk, kNet}) {
    EXPECT_EQ(driver_->probe(sid).status, guest::kOk);
    EXPECT_EQ(driver_->attach(domain++, sid), guest::kOk);
  }
  // Addresses come down from 4 GiB, some hundred at a time; the ring goes round several times.
  for (std::uint64_t i = 0; i < 700; ++i) {
    const std::uint64_t at = 0xffffe000 - i % 100 * 0x2000;
    const auto number = static_cast<std::uint32_t>(i % 3);
    ASSERT_EQ(driver_->map(number, at, at + 0x1fff, 0x100000 + i * 0x1000), guest::kOk) << i;
    const auto sid = static_cast<std::uint16_t>(kNvme + i % 3 * 8);
    ASSERT_EQ(lands(sid, at + 2), 0x100002 + i * 0x1000);
    ASSERT_EQ(driver_->unmap(number, at, at + 0x1fff), guest::kOk);
    ASSERT_FALSE(lands(sid, at + 2));
  }
  EXPECT_EQ(interrupts_.of_queue(0), 0U) << "the request queue is polled";
  EXPECT_EQ(status(), 0xfU);
}

// A lazy guest's flush: many mappings posted without looking, one UNMAP over all of them.
TEST_P(LinuxDriverTest, OneUnmapOfManyMappings) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  driver_->forget_replies();
  for (std::uint64_t i = 0; i < batch(); ++i)
    ASSERT_TRUE(driver_->post(
        ViommuDriver::map_bytes(1, i * 0x1000, i * 0x1000 + 0xfff, 0x100000 + (i ^ 1) * 0x1000)));
  driver_->kick();
  expect_all_ok();
  for (std::uint64_t i = 0; i < batch(); ++i)
    ASSERT_EQ(lands(kNvme, i * 0x1000), 0x100000 + (i ^ 1) * 0x1000);
  EXPECT_EQ(driver_->unmap(1, 0, batch() * 0x1000 - 1), guest::kOk);
  for (std::uint64_t i = 0; i < batch(); ++i) ASSERT_FALSE(lands(kNvme, i * 0x1000));
}

TEST_P(LinuxDriverTest, ManyRequestsToAKickCostOneRound) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  driver_->forget_replies();
  // Every other page, so that nothing adjoins.
  for (std::uint64_t i = 0; i < batch(); ++i)
    ASSERT_TRUE(
        driver_->post(ViommuDriver::map_bytes(1, i * 0x2000, i * 0x2000 + 0xfff, 0x100000)));
  driver_->kick();
  expect_all_ok();
  for (std::uint64_t i = 0; i < batch(); ++i) ASSERT_TRUE(lands(kNvme, i * 0x2000));
  const UnitCounts before = unit_->counts();
  const std::uint64_t kicks = driver_->kicks();
  for (std::uint64_t i = 0; i < batch(); ++i)
    ASSERT_TRUE(driver_->post(ViommuDriver::unmap_bytes(1, i * 0x2000, i * 0x2000 + 0xfff)));
  driver_->kick();
  expect_all_ok();
  EXPECT_EQ(driver_->kicks(), kicks + 1);
  EXPECT_EQ(unit_->counts().requests, before.requests + batch());
  EXPECT_EQ(unit_->counts().batches, before.batches + 1);
  EXPECT_EQ(unit_->counts().rounds, before.rounds + 1);
  for (std::uint64_t i = 0; i < batch(); ++i) ASSERT_FALSE(lands(kNvme, i * 0x2000));
}

TEST_P(LinuxDriverTest, ADriverThatWantsInterruptsGetsOneForABatch) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  driver_->forget_replies();
  driver_->request_ring().want_interrupts(true);
  for (std::uint64_t i = 0; i < 10; ++i)
    ASSERT_TRUE(
        driver_->post(ViommuDriver::map_bytes(1, i * 0x2000, i * 0x2000 + 0xfff, 0x100000)));
  driver_->kick();
  expect_all_ok();
  EXPECT_EQ(interrupts_.of_queue(0), 1U);
}

// 256 requests of which none adjoins another: what the core is asked for, call by call.
class OneRoundTest : public ViommuTest {
 protected:
  OneRoundTest() : ViommuTest({}, {.ring = {.size = 256, .indirect = true}}) {}
};

TEST_F(OneRoundTest, TwoHundredAndFiftySixUnmapsWaitOnceWhileADeviceIsBusy) {
  ASSERT_EQ(driver_->attach(1, kNvme), guest::kOk);
  driver_->forget_replies();
  for (std::uint64_t i = 0; i < 256; ++i)
    ASSERT_TRUE(
        driver_->post(ViommuDriver::map_bytes(1, i * 0x2000, i * 0x2000 + 0xfff, 0x100000)));
  driver_->kick();
  ASSERT_TRUE(driver_->collect());
  driver_->forget_replies();
  std::optional<DmaPort::Burst> burst(std::in_place, port(kNvme));
  ASSERT_TRUE(burst->translate(Iova(0x2000), 4, Access::kRead));
  for (std::uint64_t i = 0; i < 256; ++i)
    ASSERT_TRUE(driver_->post(ViommuDriver::unmap_bytes(1, i * 0x2000, i * 0x2000 + 0xfff)));
  driver_->kick();
  EXPECT_FALSE(driver_->collect());
  for (const auto& reply : driver_->replies()) EXPECT_EQ(reply.status, 0xff) << "not one";
  EXPECT_EQ(iommu_.stats().waits_parked, 1U) << "one ticket for all of them";
  burst.reset();
  EXPECT_TRUE(driver_->collect()) << "the end of the burst completes them";
  EXPECT_EQ(iommu_.stats().waits_parked, 1U);
}

}  // namespace
}  // namespace weir::virtio_iommu::test
