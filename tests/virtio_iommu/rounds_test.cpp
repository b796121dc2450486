// SPDX-License-Identifier: Apache-2.0
//
// What a batch of requests asks of the core, call by call: one round for everything that it
// dropped, none where it dropped nothing, ranges that adjoin joined.
#include <gtest/gtest.h>

#include "replay/viommu_driver.h"
#include "replay/virtio_driver_numbers.h"
#include "tests/vtd/fake_host.h"
#include "vendors/virtio_iommu/unit.h"

namespace weir::virtio_iommu::test {
namespace {

namespace guest = replay::virtio_driver;
using replay::ViommuDriver;

class CountingHost final : public vtd::test::FakeHost {
 public:
  Ticket invalidate_all(std::span<const iotlb::Invalidation> several) override {
    ++rounds;
    last.assign(several.begin(), several.end());
    return several.empty() ? Ticket{} : drain();
  }
  Ticket quiesce() override {
    ++quiesced;
    return drain();
  }
  int rounds = 0;
  int quiesced = 0;
  std::vector<iotlb::Invalidation> last;
};

class RoundsTest : public testing::Test {
 protected:
  RoundsTest() {
    Options options;
    for (const std::uint16_t sid : {std::uint16_t{0x10}, std::uint16_t{0x18}})
      options.endpoints.push_back({.requester = Requester::from_sid(sid), .id = sid});
    unit_ = std::make_unique<Unit>(host_, options);
    driver_ = ViommuDriver::create(unit_->device(), host_.memory(), Gpa(0x100000),
                                   {.ring = {.size = 256, .indirect = true}})
                  .value();
    EXPECT_EQ(driver_->attach(1, 0x10), guest::kOk);
    driver_->forget_replies();
    host_.rounds = 0;
  }
  void post(const std::vector<std::byte>& request) { ASSERT_TRUE(driver_->post(request)); }
  void run() {
    driver_->kick();
    ASSERT_TRUE(driver_->collect());
    for (const auto& reply : driver_->replies()) ASSERT_EQ(reply.status, guest::kOk);
    driver_->forget_replies();
  }

  CountingHost host_;
  std::unique_ptr<Unit> unit_;
  std::unique_ptr<ViommuDriver> driver_;
};

TEST_F(RoundsTest, MapsAskForNothing) {
  for (std::uint64_t i = 0; i < 256; ++i)
    post(ViommuDriver::map_bytes(1, i * 0x2000, i * 0x2000 + 0xfff, 0));
  run();
  EXPECT_EQ(host_.rounds, 0);
  EXPECT_EQ(host_.invalidations().size(), 0U);
}

TEST_F(RoundsTest, TwoHundredAndFiftySixUnmapsAreOneRound) {
  for (std::uint64_t i = 0; i < 256; ++i)
    post(ViommuDriver::map_bytes(1, i * 0x2000, i * 0x2000 + 0xfff, 0));
  run();
  for (std::uint64_t i = 0; i < 256; ++i)
    post(ViommuDriver::unmap_bytes(1, i * 0x2000, i * 0x2000 + 0xfff));
  run();
  EXPECT_EQ(host_.rounds, 1);
  EXPECT_EQ(host_.last.size(), 256U) << "each range for itself: nothing else is dropped";
}

TEST_F(RoundsTest, RangesThatAdjoinAreOne) {
  for (std::uint64_t i = 0; i < 200; ++i)
    post(ViommuDriver::map_bytes(1, i * 0x1000, i * 0x1000 + 0xfff, 0));
  run();
  for (std::uint64_t i = 200; i-- > 0;)
    post(ViommuDriver::unmap_bytes(1, i * 0x1000, i * 0x1000 + 0xfff));
  run();
  EXPECT_EQ(host_.rounds, 1);
  ASSERT_EQ(host_.last.size(), 1U);
  EXPECT_EQ(host_.last[0].range, (AddressRange<Iova>{Iova(0), Iova(200 * 0x1000 - 1)}));
  EXPECT_EQ(host_.last[0].domain, DomainId{1});
}

TEST_F(RoundsTest, AnUnmapOfNothingAsksForNothing) {
  post(ViommuDriver::unmap_bytes(1, 0, ~0ULL));
  run();
  EXPECT_EQ(host_.rounds, 0);
}

TEST_F(RoundsTest, OneRoundForEverythingThatABatchDrops) {
  post(ViommuDriver::map_bytes(1, 0x1000, 0x1fff, 0));
  post(ViommuDriver::attach_bytes(2, 0x18));
  post(ViommuDriver::unmap_bytes(1, 0x1000, 0x1fff));
  post(ViommuDriver::attach_bytes(2, 0x10));
  post(ViommuDriver::detach_bytes(2, 0x18));
  run();
  EXPECT_EQ(host_.rounds, 1);
  std::size_t devices = 0;
  std::size_t domains = 0;
  for (const iotlb::Invalidation& one : host_.last) {
    devices += one.scope == iotlb::Scope::kContextDevice ? 1 : 0;
    domains += one.scope == iotlb::Scope::kDomain ? 1 : 0;
  }
  EXPECT_EQ(devices, 2U) << "each endpoint once";
  EXPECT_EQ(domains, 1U) << "1 has gone, 2 stays";
}

// Maps leave nodes behind that walks may still read; they get a ticket when they have become many.
TEST_F(RoundsTest, WhatMapsLeaveBehindIsFreedNowAndThen) {
  for (std::uint64_t batch = 0; batch < 40; ++batch) {
    for (std::uint64_t i = 0; i < 256; ++i) {
      const std::uint64_t at = (batch * 256 + i) * 0x1000;
      post(ViommuDriver::map_bytes(1, at, at + 0xfff, 0));
    }
    run();
  }
  EXPECT_EQ(host_.rounds, 0);
  EXPECT_GT(host_.quiesced, 0);
  EXPECT_LT(host_.quiesced, 40) << "not with every batch";
}

}  // namespace
}  // namespace weir::virtio_iommu::test
