// SPDX-License-Identifier: Apache-2.0
//
// ATS and page requests through the whole unit: what translation requests are told, Q11 (a silent
// device-TLB is ITE), the page request queue, its overflow, and group responses.
//
// Clauses of the manual: 6.5.2 and 10.4.29 (Q11), 7.4 and 7.5, 10.4.31 to 10.4.38 (page requests).
#include <gtest/gtest.h>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x0010;
constexpr std::uint64_t kIova = 0x10000;
constexpr std::uint64_t kDte = 4, kPre = 16;

struct Device final : AtsDevice {
  explicit Device(DmaPort& to) : port(to) {}
  void on_invalidate(const AtsInvalidation& what) override {
    told.push_back(what);
    if (answers) (void)port.acknowledge_invalidation(what.id);
  }
  void on_page_response(const PageResponse& response) override { responses.push_back(response); }

  DmaPort& port;
  bool answers = true;
  std::vector<AtsInvalidation> told;
  std::vector<PageResponse> responses;
};

class DeviceTlbTest : public ::testing::Test {
 protected:
  DeviceTlbTest() : machine_(profile::full(), {}, &clock_) {
    root_ = machine_.page();
    contexts_ = machine_.page();
    directory_ = machine_.page();
    pasids_ = machine_.page();
    tables_ = machine_.page();
    buffer_ = machine_.page();
    machine_.put(root_, contexts_ | 1);
    machine_.put(directory_, pasids_ | 1);
    machine_.put(pasids_ + 16, tables_ | 16);
    machine_.put(pasids_ + 8, 5 | 1 << 23);
    machine_.put(pasids_, 1 << 6 | 1);
    machine_.put(machine_.entry_for(tables_, 4, kIova, 7), buffer_ | 7);
    set_context(kDte | kPre);
    machine_.start_queue();
    machine_.writeq(0x20, root_ | 0x400);
    machine_.command(WholeMachine::kSrtp);
    machine_.command(WholeMachine::kTe);
    device_ = std::make_shared<Device>(machine_.device(kSid));
    machine_.device(kSid).set_ats_device(device_);
  }
  void set_context(std::uint64_t bits) {
    machine_.put(contexts_ + kSid * 32U, directory_ | 9 | bits);
  }
  void start_page_queue() {
    pages_ = machine_.page();
    machine_.writeq(0xd0, pages_);  // 128 slots
    machine_.writeq(0xc0, 0);
    machine_.writeq(0xc8, 0);
    machine_.writel(0xe4, 0x77);
    machine_.writel(0xe8, 0xfee05000);
    machine_.writel(0xe0, 0);
  }
  [[nodiscard]] static PageRequest page_request(std::uint16_t group, bool last = true) {
    PageRequest request;
    request.page = Iova(0x55000);
    request.group = group;
    request.last = last;
    request.read = true;
    return request;
  }

  ManualClock clock_;
  WholeMachine machine_;
  std::shared_ptr<Device> device_;
  std::uint64_t root_ = 0, contexts_ = 0, directory_ = 0, pasids_ = 0, tables_ = 0, buffer_ = 0,
                pages_ = 0;
};

TEST_F(DeviceTlbTest, TranslationRequestsAreAnswered) {
  const auto found = machine_.device(kSid).request_translation(Iova(kIova + 0x10));
  EXPECT_EQ(found.status, AtsStatus::kSuccess);
  EXPECT_EQ(found.page, Iova(kIova));
  EXPECT_EQ(found.output, Gpa(buffer_));
  EXPECT_TRUE(found.permissions.can_read() && found.permissions.can_write());
  EXPECT_NE(machine_.get(machine_.entry_for(tables_, 4, kIova, 7)) & 0x40, 0U) << "D for a writer";
  // Nothing there: neither R nor W, and no record.
  const auto nothing = machine_.device(kSid).request_translation(Iova(0x99000));
  EXPECT_EQ(nothing.status, AtsStatus::kSuccess);
  EXPECT_FALSE(nothing.permissions.can_read() || nothing.permissions.can_write());
  EXPECT_TRUE(machine_.take_faults().empty());
}

TEST_F(DeviceTlbTest, ErrorsAreRecordedAndUnsupported) {
  set_context(0);
  machine_.flush_context(kSid, 5);
  const auto refused = machine_.device(kSid).request_translation(Iova(kIova));
  EXPECT_EQ(refused.status, AtsStatus::kUnsupportedRequest);
  const auto faults = machine_.take_faults();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].reason, 0x44);
}

// Translated requests land where they say, for those who may.
TEST_F(DeviceTlbTest, TranslatedRequests) {
  const DmaAttributes translated{.address_type = AddressType::kTranslated};
  EXPECT_EQ(machine_.write_code(kSid, buffer_, translated), 0U);
  EXPECT_EQ(machine_.get(buffer_) & 0xff, 0x5aU);
}

TEST_F(DeviceTlbTest, Q11InvalidationsReachTheDevice) {
  machine_.submit(3 | std::uint64_t{kSid} << 32, kIova);
  ASSERT_EQ(device_->told.size(), 1U);
  EXPECT_EQ(device_->told[0].range, (AddressRange<Iova>{Iova(kIova), Iova(kIova + 0xfff)}));
  EXPECT_FALSE(device_->told[0].pasid);
  machine_.submit(3 | std::uint64_t{kSid} << 32, kIova | 0x7000 | 1);  // 64 KiB
  EXPECT_EQ(device_->told[1].range, (AddressRange<Iova>{Iova(kIova), Iova(kIova + 0xffff)}));
  machine_.submit(3 | std::uint64_t{kSid} << 32, 0x7ffffffffffff001);
  EXPECT_EQ(device_->told[2].range, whole_space<Iova>());
  machine_.submit(8 | std::uint64_t{kSid} << 16 | std::uint64_t{77} << 32, kIova);
  EXPECT_EQ(device_->told[3].pasid, Pasid{77});
  machine_.submit(8 | std::uint64_t{kSid} << 16, kIova | 1);
  EXPECT_TRUE(device_->told[4].all_pasids);
}

// Q11: a device that stays silent is ITE with its source-id; the pending wait is aborted, nothing
// is fetched until ITE is cleared, and then the queue goes on.
TEST_F(DeviceTlbTest, Q11SilentDeviceIsAnError) {
  device_->answers = false;
  const std::uint64_t tail = machine_.readq(0x88);
  const std::uint64_t status = machine_.post_unwaited(3 | std::uint64_t{kSid} << 32, kIova);
  EXPECT_EQ(machine_.readq(0x80), tail + 32) << "parked at the wait";
  EXPECT_NE(status, machine_.wait_serial());
  clock_.advance(std::chrono::hours(1));
  machine_.iommu().poll();
  EXPECT_EQ(machine_.readl(0x34) & 0x70, 0x40U);
  EXPECT_EQ(machine_.readq(0xb0), std::uint64_t{kSid} << 32);
  EXPECT_EQ(machine_.readq(0x80), tail + 64) << "the wait was aborted";
  EXPECT_NE(machine_.wait_status(), machine_.wait_serial());
  (void)machine_.post_unwaited(0x11, 0);
  EXPECT_EQ(machine_.readq(0x80), tail + 64) << "nothing is fetched";
  machine_.writel(0x34, 0x40);
  EXPECT_EQ(machine_.wait_status(), machine_.wait_serial());
  EXPECT_EQ(machine_.readq(0xb0), 0U);
  EXPECT_EQ(machine_.readq(0x80), machine_.readq(0x88));
}

TEST_F(DeviceTlbTest, PageRequestsAreQueued) {
  start_page_queue();
  PageRequest request = page_request(0x1a5);
  request.pasid = Pasid{3};
  machine_.put(pasids_ + 3 * 64 + 16, tables_ | 16);
  machine_.put(pasids_ + 3 * 64 + 8, 5 | 1 << 23);
  machine_.put(pasids_ + 3 * 64, 1 << 6 | 1);
  request.write = true;
  machine_.device(kSid).request_page(request);
  EXPECT_EQ(machine_.readq(0xc8), 32U);
  EXPECT_EQ(machine_.readl(0xdc), 1U);
  EXPECT_EQ(machine_.get(pages_), 1 | 1 << 8 | std::uint64_t{kSid} << 16 | std::uint64_t{3} << 32);
  EXPECT_EQ(machine_.get(pages_ + 8), 0x55000U | 0x1a5 << 3 | 7);
  ASSERT_EQ(machine_.interrupts.of_unit.size(), 1U);
  EXPECT_EQ(machine_.interrupts.of_unit[0], (Msi{0xfee05000, 0x77}));
  EXPECT_TRUE(device_->responses.empty());
  // The answer.
  machine_.submit(9 | 1 << 4 | std::uint64_t{kSid} << 16 | std::uint64_t{3} << 32, 0x1a5 << 3);
  ASSERT_EQ(device_->responses.size(), 1U);
  EXPECT_EQ(device_->responses[0].pasid, Pasid{3});
  EXPECT_EQ(device_->responses[0].group, 0x1a5);
  EXPECT_EQ(device_->responses[0].code, PageResponseCode::kSuccess);
  machine_.submit(9 | 1 << 12 | std::uint64_t{kSid} << 16, 7 << 3);
  EXPECT_EQ(device_->responses[1].code, PageResponseCode::kInvalid);
  EXPECT_FALSE(device_->responses[1].pasid);
  // A wait may drain page requests (PD).
  machine_.submit(0x80 | 0x25, 0x180000);
}

TEST_F(DeviceTlbTest, PageRequestOverflow) {
  start_page_queue();
  for (std::uint16_t i = 0; i < 127; ++i) machine_.device(kSid).request_page(page_request(i));
  EXPECT_EQ(machine_.readl(0xdc), 1U);
  EXPECT_TRUE(device_->responses.empty());
  machine_.device(kSid).request_page(page_request(200));
  EXPECT_EQ(machine_.readl(0xdc), 3U) << "PRO";
  EXPECT_EQ(machine_.readq(0xc8), 127 * 32U);
  ASSERT_EQ(device_->responses.size(), 1U) << "told at once, so that it asks again";
  EXPECT_EQ(device_->responses[0].code, PageResponseCode::kSuccess);
  // Room alone does not end the overflow; clearing PRO does.
  machine_.writeq(0xc0, 127 * 32);
  machine_.device(kSid).request_page(page_request(201));
  EXPECT_EQ(machine_.readq(0xc8), 127 * 32U);
  machine_.writel(0xdc, 3);
  machine_.device(kSid).request_page(page_request(202));
  EXPECT_EQ(machine_.readq(0xc8), 0U);
  EXPECT_EQ(machine_.interrupts.of_unit.size(), 2U) << "no event while PPR stood";
}

// Nothing can be written there: the requests are lost as posted writes are, the registers go on,
// and the next queue works.
TEST_F(DeviceTlbTest, PageQueueInAbsentMemory) {
  start_page_queue();
  machine_.writeq(0xd0, std::uint64_t{1} << 40);
  machine_.writeq(0xc8, 0);
  for (std::uint16_t i = 0; i < 200; ++i) machine_.device(kSid).request_page(page_request(i));
  EXPECT_EQ(machine_.readl(0xdc), 3U) << "full after 127, then PRO";
  EXPECT_EQ(device_->responses.size(), 73U);
  machine_.writeq(0xd0, pages_);
  machine_.writeq(0xc8, 0);
  machine_.writel(0xdc, 3);
  machine_.device(kSid).request_page(page_request(3));
  EXPECT_EQ(machine_.readq(0xc8), 32U);
  EXPECT_EQ(machine_.get(pages_) & 0xff, 1U);
}

// IQEI 2, of 256-bit descriptors as of others; repaired, the queue works.
TEST_F(DeviceTlbTest, QueueInAbsentMemory) {
  for (const std::uint64_t base : {WholeMachine::kRam, std::uint64_t{1} << 51}) {
    machine_.command(WholeMachine::kQie, false);
    machine_.writel(0x88, 0);
    machine_.writeq(0x90, base | 0x800);
    machine_.command(WholeMachine::kQie);
    machine_.writel(0x88, 32);
    EXPECT_EQ(machine_.readl(0x34) & 0x70, 0x10U);
    EXPECT_EQ(machine_.readl(0xb0) & 0xf, 2U);
    EXPECT_EQ(machine_.readq(0x80), 0U);
    machine_.command(WholeMachine::kQie, false);
    machine_.writel(0x34, 0x10);
    machine_.start_queue();
    machine_.flush_iotlb();
  }
}

TEST_F(DeviceTlbTest, StopMarkersWantNoAnswer) {
  start_page_queue();
  PageRequest marker = page_request(0);
  marker.read = false;
  machine_.device(kSid).request_page(marker);
  EXPECT_EQ(machine_.get(pages_ + 8) & 7, 4U);
  EXPECT_TRUE(device_->responses.empty());
}

// 47h, 32h: refused, recorded as page requests (T1 0, T2 1), and answered.
TEST_F(DeviceTlbTest, PageRequestsThatAreRefused) {
  start_page_queue();
  set_context(kDte);
  machine_.device(kSid).request_page(page_request(1));
  ASSERT_EQ(device_->responses.size(), 1U);
  EXPECT_EQ(device_->responses[0].code, PageResponseCode::kInvalid);
  EXPECT_EQ(machine_.readq(0xc8), 0U);
  EXPECT_EQ(machine_.readl(0x22c) & 0x400000ff, 0x47U);
  EXPECT_NE(machine_.readl(0x228) & 1U << 28, 0U);
  (void)machine_.take_faults();
  machine_.writeq(0x20, root_);
  machine_.command(WholeMachine::kSrtp);
  machine_.device(kSid).request_page(page_request(1));
  const auto faults = machine_.take_faults();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].reason, 0x32);
}

}  // namespace
}  // namespace weir::vtd::test
