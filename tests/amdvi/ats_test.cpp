// SPDX-License-Identifier: Apache-2.0
//
// Devices with TLBs of their own: translation requests, translated requests, INVALIDATE_IOTLB_PAGES
// and its time-out; page requests and their responses.

#include "iommu/ats.h"

#include <chrono>

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

constexpr std::uint64_t kI = std::uint64_t{1} << 32, kPpr = std::uint64_t{1} << 52;
constexpr std::uint64_t kControl = kUsual | kPprLogEn | kPprIntEn | kPprEn | kGtEn | kEphEn;

class Device final : public AtsDevice {
 public:
  void on_invalidate(const AtsInvalidation& what) override { invalidations.push_back(what); }
  void on_page_response(const PageResponse& response) override { responses.push_back(response); }
  std::vector<AtsInvalidation> invalidations;
  std::vector<PageResponse> responses;
};

class AtsTest : public ::testing::Test {
 protected:
  AtsTest() {
    machine_.start(kControl);
    machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw | kPpr, 7 | kI);
    machine_.store(kRoot, leaf(0x4000000));
    machine_.store(kRoot + 8, leaf(0x4001000) & ~kIw);
    machine_.port().set_ats_device(device_);
  }
  void forget_in_device(std::uint64_t high) {
    machine_.post(std::uint64_t{4} << 60 | std::uint64_t{kDevice} << 32 | kDevice, high);
  }

  Machine machine_;
  std::shared_ptr<Device> device_ = std::make_shared<Device>();
};

TEST_F(AtsTest, TranslationRequestsAnswerAndLogNothing) {
  const auto there = machine_.port().request_translation(Iova(0x123));
  EXPECT_EQ(there.status, AtsStatus::kSuccess);
  EXPECT_EQ(there.output.value(), 0x4000000U);
  EXPECT_TRUE(there.permissions.can_write());
  const auto read_only = machine_.port().request_translation(Iova(0x1000));
  EXPECT_EQ(read_only.status, AtsStatus::kSuccess);
  EXPECT_TRUE(read_only.permissions.can_read());
  EXPECT_FALSE(read_only.permissions.can_write());
  const auto absent = machine_.port().request_translation(Iova(0x2000));
  EXPECT_EQ(absent.status, AtsStatus::kSuccess);
  EXPECT_FALSE(absent.permissions.can_read());
  EXPECT_TRUE(machine_.events().empty());
}

TEST_F(AtsTest, OnlyDevicesWithTheBitMayAsk) {
  machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw, 7);
  machine_.forget_all();
  EXPECT_NE(machine_.port().request_translation(Iova(0)).status, AtsStatus::kSuccess);
  auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 8U);
  EXPECT_EQ(events[0].flags(), 0x300U);  // TR, type 1
  EXPECT_EQ(
      machine_.dma(0x4000000, Access::kRead, kDevice, {.address_type = AddressType::kTranslated}),
      std::nullopt);
  events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].flags(), 0x200U);
}

TEST_F(AtsTest, TheWaitIsForTheDevice) {
  (void)machine_.port().request_translation(Iova(0));
  forget_in_device(0x7ffffffffffff000 | 1);
  ASSERT_EQ(device_->invalidations.size(), 1U);
  EXPECT_FALSE(machine_.wait());
  EXPECT_TRUE(machine_.port().acknowledge_invalidation(device_->invalidations[0].id));
  machine_.iommu->poll();
  EXPECT_TRUE(machine_.completed());
  forget_in_device(0x3000 | 1);  // 16 KiB around 0: bits 13:12 set
  ASSERT_EQ(device_->invalidations.size(), 2U);
  EXPECT_EQ(device_->invalidations[1].range, (AddressRange<Iova>{Iova(0), Iova(0x7fff)}));
  EXPECT_TRUE(machine_.port().acknowledge_invalidation(device_->invalidations[1].id));
}

TEST_F(AtsTest, ASilentDeviceTimesOut) {
  machine_.write(kCtrl, kControl | 3 << 5);  // InvTimeOut: 100 ms
  forget_in_device(0);
  EXPECT_FALSE(machine_.wait());
  machine_.clock.advance(std::chrono::milliseconds(99));
  machine_.iommu->poll();
  EXPECT_FALSE(machine_.completed());
  machine_.clock.advance(std::chrono::milliseconds(2));
  machine_.iommu->poll();
  machine_.iommu->poll();
  EXPECT_TRUE(machine_.completed());
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].low, std::uint64_t{7} << 60 | kDevice);
  EXPECT_EQ(events[0].high, kRing);
}

TEST_F(AtsTest, PageRequestsAreLoggedAndAnswered) {
  machine_.unit->set_msi(Msi{.address = 0xfee00000, .data = 0x61});
  machine_.port().request_page({.pasid = Pasid{0x54321},
                                .page = Iova(0x7000),
                                .group = 0x155,
                                .last = true,
                                .read = true,
                                .write = true});
  // As Linux takes it apart.
  const std::uint64_t low = machine_.load(kPprLogAt);
  EXPECT_EQ(low >> 60, 1U);
  EXPECT_EQ(low & 0xffff, kDevice);
  EXPECT_EQ((low >> 16 & 0xffff) | (low >> 42 & 0xf) << 16, 0x54321U);
  EXPECT_EQ(low >> 32 & 0x3ff, 0x355U);
  EXPECT_EQ(low >> 48 & 0xfff, 0x164U);  // GN US WP RP
  EXPECT_EQ(machine_.load(kPprLogAt + 8), 0x7000U);
  EXPECT_EQ(machine_.read(kPprTail), 0x10U);
  EXPECT_EQ(machine_.sinks.unit_msis.size(), 1U);
  EXPECT_TRUE(device_->responses.empty());
  machine_.post(std::uint64_t{7} << 60 | std::uint64_t{0x54321} << 32 | kDevice,
                std::uint64_t{0x1155} << 32 | 4);
  ASSERT_EQ(device_->responses.size(), 1U);
  EXPECT_EQ(device_->responses[0].group, 0x155U);
  EXPECT_EQ(device_->responses[0].code, PageResponseCode::kInvalid);
  EXPECT_EQ(device_->responses[0].pasid, Pasid{0x54321});
}

TEST_F(AtsTest, WhoMayNotAskIsToldSo) {
  machine_.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw, 7 | kI);
  machine_.forget_all();
  machine_.port().request_page({.page = Iova(0x7000), .group = 5, .last = true, .read = true});
  ASSERT_EQ(device_->responses.size(), 1U);
  EXPECT_EQ(device_->responses[0].code, PageResponseCode::kInvalid);
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 9U);
  EXPECT_EQ(events[0].low >> 32 & 0x3ff, 0x205U);
}

TEST_F(AtsTest, AFullRequestLogAnswersByItself) {
  for (unsigned i = 0; i < 255; ++i)
    machine_.port().request_page({.page = Iova(0x7000), .group = 1, .last = true, .read = true});
  EXPECT_TRUE(device_->responses.empty());
  machine_.port().request_page({.page = Iova(0x7000), .group = 2, .last = true, .read = true});
  ASSERT_EQ(device_->responses.size(), 1U);
  EXPECT_EQ(device_->responses[0].code, PageResponseCode::kFailure);
  EXPECT_EQ(machine_.read(kStat) & 0xa0, 0x20U);  // overflow, not running
}

// The entry's PPR bit belongs to a feature that Control has to have turned on.
TEST_F(AtsTest, PageRequestsNeedControl) {
  machine_.write(kCtrl, kControl & ~kEphEn);
  EXPECT_EQ(machine_.dma(0), std::nullopt);
  const auto events = machine_.events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].code(), 1U);
  EXPECT_EQ(events[0].flags(), 0x0a0U);
  machine_.write(kCtrl, kControl);
  EXPECT_EQ(machine_.dma(0), 0x4000000U);
}

}  // namespace
}  // namespace weir::amdvi::test
