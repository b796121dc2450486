// SPDX-License-Identifier: Apache-2.0
//
// Functions with TLBs of their own: answers to translation requests, translated requests,
// invalidations with their acknowledgements and time-outs, page requests. PCIe 10.2 to 10.4.
#include "iommu/ats.h"

#include <gtest/gtest.h>

#include "iommu/device_tlb_client.h"
#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr Requester kFunction = Requester::from_sid(kSid);
constexpr Iova kPage{0x5000};
constexpr DmaAttributes kTranslated{.address_type = AddressType::kTranslated};
constexpr std::uint64_t k2M = 0x200000;

// A device that acknowledges when it is told to.
class Device final : public AtsDevice {
 public:
  void on_invalidate(const AtsInvalidation& what) override { owed.push_back(what); }
  void on_page_response(const PageResponse& response) override { responses.push_back(response); }

  std::vector<AtsInvalidation> owed;
  std::vector<PageResponse> responses;
};

[[nodiscard]] iotlb::Invalidation forget(Iova first, Iova last) {
  return {.scope = iotlb::Scope::kDeviceTlb, .requester = kFunction, .range = {first, last}};
}
[[nodiscard]] iotlb::Invalidation forget_page(Iova page) {
  return forget(page, page + (kPageSize - 1));
}

class Ats : public testing::Test {
 protected:
  Ats() {
    iotlb::Context context = FakeUnit::second_stage(1, tables.root());
    context.allow_translation_requests = true;
    context.allow_translated = true;
    use(context);
    port = machine.attach(kSid);
    device = std::make_shared<Device>();
    port->set_ats_device(device);
  }
  void use(const iotlb::Context& context) {
    machine.unit->set_context(kFunction, context);
    machine.unit->post({.scope = iotlb::Scope::kContextAll});
  }
  [[nodiscard]] bool done(std::uint64_t number) const {
    return machine.unit->completed() >= number;
  }
  [[nodiscard]] bool may_use(Gpa at) {
    return port->translate(Iova(at.value()), 4, Access::kWrite, kTranslated).ok();
  }

  Machine machine;
  Tables tables{machine};
  FirstStageTables first{machine};
  std::unique_ptr<DmaPort> port;
  std::shared_ptr<Device> device;
};

// 10.2.3: the whole page, its address, what it allows.
TEST_F(Ats, AnAnswerIsThePageAndItsPermissions) {
  tables.map(kPage, kData);
  tables.map(Iova(2 * k2M), Gpa(0), k2M, Permissions::read_only());
  auto got = port->request_translation(kPage + 0x123);
  EXPECT_EQ(got.status, AtsStatus::kSuccess);
  EXPECT_EQ(got.page, kPage);
  EXPECT_EQ(got.page_lg2, 12);
  EXPECT_EQ(got.output, kData);
  EXPECT_TRUE(got.permissions.allows(Access::kReadWrite));
  EXPECT_FALSE(got.permissions.can_execute()) << "it did not ask to execute";
  EXPECT_FALSE(port->request_translation(kPage, {.no_write = true}).permissions.can_write());
  got = port->request_translation(Iova(2 * k2M + 0x1234));
  EXPECT_EQ(got.page, Iova(2 * k2M));
  EXPECT_EQ(got.page_lg2, 21);
  EXPECT_EQ(got.output, Gpa(0));
  EXPECT_TRUE(got.permissions.can_read());
  EXPECT_FALSE(got.permissions.can_write());
  EXPECT_TRUE(machine.seen.faults.empty()) << "less than was asked for is no fault";
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.of(Outcome::kWalked) + stats.of(Outcome::kHit), 3u);
  EXPECT_EQ(stats.pieces(), 3u);
}

// 10.2.3: nothing there is a success without R and W, and nothing is recorded.
TEST_F(Ats, NothingThereIsASuccessWithoutPermissions) {
  const auto got = port->request_translation(kPage);
  EXPECT_EQ(got.status, AtsStatus::kSuccess);
  EXPECT_EQ(got.permissions, Permissions::none());
  EXPECT_TRUE(machine.unit->recorded().empty());
  EXPECT_EQ(machine.iommu->stats().of(Outcome::kFaulted), 1u);
  EXPECT_EQ(machine.iommu->stats().pieces(), 1u);
}

TEST_F(Ats, APageThatCanOnlyBeWritten) {
  tables.map(kPage, kData, kPageSize, Permissions::write_only());
  const auto got = port->request_translation(kPage);
  EXPECT_EQ(got.status, AtsStatus::kSuccess);
  EXPECT_TRUE(got.permissions.can_write());
  EXPECT_FALSE(got.permissions.can_read());
  EXPECT_EQ(machine.iommu->stats().pieces(), 1u);
}

TEST_F(Ats, TheRequestersRightsApply) {
  tables.map(kPage, kData);
  iotlb::Context strict = FakeUnit::second_stage(1, tables.root());
  strict.allow_translation_requests = true;
  strict.rights = Permissions::read_only();
  use(strict);
  const auto got = port->request_translation(kPage);
  EXPECT_TRUE(got.permissions.can_read());
  EXPECT_FALSE(got.permissions.can_write());
  strict.allow_translation_requests = false;
  use(strict);
  EXPECT_EQ(port->request_translation(kPage).status, AtsStatus::kUnsupportedRequest);
  EXPECT_EQ(machine.unit->recorded().size(), 1u);
}

// A dirty bit is set when writing is allowed, not when it happens: nobody sees it happen.
TEST_F(Ats, WritePermissionSetsTheDirtyBit) {
  first.map(kPage, kData);
  iotlb::Context context = FakeUnit::first_stage(1, first.root());
  context.allow_translation_requests = true;
  use(context);
  // The page of the leaf's table.
  std::uint64_t leaf = 0;
  for (std::uint64_t page = 0; page < 16; ++page)
    if (machine.word(kTables + page * kPageSize + 5 * 8) >> 12 == kData.value() >> 12) leaf = page;
  ASSERT_NE(leaf, 0u);
  const auto is_dirty = [&] {
    return (machine.word(kTables + leaf * kPageSize + 5 * 8) >> 6 & 1) != 0;
  };
  EXPECT_FALSE(port->request_translation(kPage, {.no_write = true}).permissions.can_write());
  EXPECT_FALSE(is_dirty());
  EXPECT_TRUE(port->request_translation(kPage).permissions.can_write());
  EXPECT_TRUE(is_dirty());
}

TEST_F(Ats, WithoutTranslationThereIsNoService) {
  ASSERT_TRUE(machine.unit->set_mode(UnitMode::kOff));
  EXPECT_EQ(port->request_translation(kPage).status, AtsStatus::kUnsupportedRequest);
  Machine bare({.coverage = {{UnitCoverage{.register_base = kUnitBase}}}});
  EXPECT_EQ(bare.attach(kSid)->request_translation(kPage).status, AtsStatus::kUnsupportedRequest);
}

TEST_F(Ats, MessagesStayUntranslated) {
  tables.map(Iova(0xc0000000), Gpa(0), 0x40000000);
  const auto message = port->request_translation(Iova(0xfee01000));
  EXPECT_EQ(message.status, AtsStatus::kSuccess);
  EXPECT_TRUE(message.untranslated_only);
  const auto beside = port->request_translation(Iova(0xfef00000));
  EXPECT_EQ(beside.page_lg2, 20) << "of a 1 GiB page, the part that has no messages in it";
  EXPECT_EQ(beside.output, Gpa(0x3ef00000));
}

TEST_F(Ats, PassThroughIsIdentity) {
  iotlb::Context pass;
  pass.kind = iotlb::ContextKind::kPassThrough;
  pass.input_bits = 48;
  pass.allow_translation_requests = true;
  use(pass);
  const auto got = port->request_translation(Iova(k2M + 0x5123));
  EXPECT_EQ(got.page, Iova(k2M));
  EXPECT_EQ(got.output, Gpa(k2M));
  EXPECT_EQ(got.page_lg2, 21);
}

TEST_F(Ats, ACompletionWaitsForTheAcknowledgement) {
  const std::uint64_t number = machine.unit->post(forget_page(kPage));
  EXPECT_FALSE(done(number));
  ASSERT_EQ(device->owed.size(), 1u);
  EXPECT_EQ(device->owed[0].range.first, kPage);
  EXPECT_EQ(device->owed[0].range.last, kPage + 0xfff);
  machine.iommu->poll();
  EXPECT_FALSE(done(number));
  EXPECT_FALSE(port->acknowledge_invalidation(device->owed[0].id + 1)) << "never sent";
  EXPECT_TRUE(port->acknowledge_invalidation(device->owed[0].id));
  EXPECT_TRUE(done(number)) << "resumed by the acknowledgement";
  EXPECT_FALSE(port->acknowledge_invalidation(device->owed[0].id)) << "twice";
}

TEST_F(Ats, AFunctionWithoutATlbHasNothingToForget) {
  port->set_ats_device(nullptr);
  EXPECT_TRUE(done(machine.unit->post(forget_page(kPage))));
  iotlb::Invalidation nobody = forget_page(kPage);
  nobody.requester = Requester::from_sid(0x99);
  EXPECT_TRUE(done(machine.unit->post(nobody)));
}

// What the device let through before it acknowledged is waited for as well (L1).
TEST_F(Ats, TranslatedRequestsInFlightHoldTheCompletion) {
  std::uint64_t number = machine.unit->post(forget_page(kPage));
  {
    DmaPort::Burst burst(*port);
    ASSERT_TRUE(burst.translate(Iova(kData.value()), 4, Access::kWrite, kTranslated));
    EXPECT_TRUE(port->acknowledge_invalidation(device->owed.at(0).id));
    EXPECT_FALSE(done(number)) << "began after the command, before the acknowledgement";
  }
  EXPECT_TRUE(done(number));
  auto pin = port->map(Iova(kData.value()), 4, Access::kWrite, kTranslated);
  ASSERT_TRUE(pin);
  number = machine.unit->post(forget_page(kPage));
  EXPECT_TRUE(port->acknowledge_invalidation(device->owed.at(1).id));
  EXPECT_FALSE(done(number)) << "the device still holds what it may have found there";
  EXPECT_TRUE(done(number - 1));
  pin->release();
  EXPECT_TRUE(done(number));
}

// L8: the architected error, and L1 not broken for it.
TEST_F(Ats, ASilentDeviceLosesItsTranslatedRequests) {
  EXPECT_TRUE(may_use(kData));
  const std::uint64_t number = machine.unit->post(forget_page(kPage));
  machine.clock.advance(std::chrono::milliseconds(999));
  machine.iommu->poll();
  EXPECT_FALSE(done(number));
  EXPECT_TRUE(may_use(kData));
  machine.clock.advance(std::chrono::milliseconds(1));
  machine.iommu->poll();
  EXPECT_TRUE(done(number));
  EXPECT_EQ(machine.unit->silent(), std::vector{kFunction});
  EXPECT_FALSE(may_use(kData));
  EXPECT_EQ(machine.iommu->stats().device_tlb_timeouts, 1u);
  tables.map(kPage, kData);
  EXPECT_TRUE(port->translate(kPage, 4, Access::kWrite)) << "untranslated ones go on";
  machine.iommu->poll();
  EXPECT_EQ(machine.unit->silent().size(), 1u) << "said once";
  EXPECT_TRUE(port->acknowledge_invalidation(device->owed.at(0).id));
  EXPECT_TRUE(may_use(kData)) << "it has caught up";
}

TEST_F(Ats, TheUnitMaySetTheLimit) {
  machine.unit->device_tlb_limit = std::chrono::milliseconds(10);
  const std::uint64_t number = machine.unit->post(forget_page(kPage));
  machine.clock.advance(std::chrono::milliseconds(10));
  machine.iommu->poll();
  EXPECT_TRUE(done(number));
  (void)machine.iommu->reset_function(kFunction);
  EXPECT_TRUE(may_use(kData)) << "a reset empties the function's TLB";
}

// A storm of commands beside a device that says nothing: bounded, and nothing is forgotten.
TEST_F(Ats, AStormIsBounded) {
  auto& host = machine.unit->host();
  std::vector<Ticket> tickets;
  for (std::uint64_t i = 0; i < 100000; ++i)
    tickets.push_back(host.invalidate_device_tlb(forget_page(Iova(i << 12))));
  EXPECT_EQ(device->owed.size(), 32u);
  for (std::size_t i = 0; i < 32; ++i)
    EXPECT_TRUE(port->acknowledge_invalidation(device->owed[i].id));
  ASSERT_EQ(device->owed.size(), 33u);
  EXPECT_TRUE(device->owed[32].all_pasids);
  EXPECT_EQ(device->owed[32].range.last, Iova(~std::uint64_t{0}));
  EXPECT_FALSE(host.settled(tickets.back()));
  EXPECT_TRUE(port->acknowledge_invalidation(device->owed[32].id));
  for (const Ticket ticket : tickets) ASSERT_TRUE(host.settled(ticket));
}

TEST_F(Ats, ADetachedFunctionOwesNothing) {
  const std::uint64_t number = machine.unit->post(forget_page(kPage));
  EXPECT_FALSE(done(number));
  port.reset();
  machine.iommu->poll();
  EXPECT_TRUE(done(number));
}

TEST_F(Ats, PageRequestsReachTheUnitAndTheirResponsesTheDevice) {
  const PageRequest request{
      .pasid = Pasid{7}, .page = kPage, .group = 5, .last = true, .read = true};
  port->request_page(request);
  ASSERT_EQ(machine.unit->page_requests().size(), 1u);
  EXPECT_EQ(machine.unit->page_requests()[0].requester, kFunction);
  EXPECT_EQ(machine.unit->page_requests()[0].page, kPage);
  EXPECT_TRUE(device->responses.empty()) << "it is the driver's turn";
  EXPECT_TRUE(machine.unit->host().respond(
      kFunction, {.pasid = Pasid{7}, .group = 5, .code = PageResponseCode::kSuccess}));
  ASSERT_EQ(device->responses.size(), 1u);
  EXPECT_EQ(device->responses[0].code, PageResponseCode::kSuccess);
  EXPECT_FALSE(machine.unit->host().respond(Requester::from_sid(0x99), {}));
  // What the unit answers at once: only the last of a group is answered at all.
  machine.unit->page_response = PageResponseCode::kFailure;
  port->request_page({.page = kPage, .group = 6});
  EXPECT_EQ(device->responses.size(), 1u);
  port->request_page({.page = kPage, .group = 6, .last = true});
  ASSERT_EQ(device->responses.size(), 2u);
  EXPECT_EQ(device->responses[1].group, 6);
  EXPECT_EQ(device->responses[1].code, PageResponseCode::kFailure);
  EXPECT_EQ(machine.iommu->stats().page_requests, 3u);
}

// ---- A device with a TLB and no other wish.

class Client : public Ats {
 protected:
  Client() : client(DeviceTlbClient::attach(*port, 64)) { tables.map(kPage, kData); }
  Result<Translation, Fault> use(Access access = Access::kWrite) {
    DmaPort::Burst burst(*port);
    return client->translate(burst, kPage + 8, 4, access);
  }

  std::shared_ptr<DeviceTlbClient> client;
};

TEST_F(Client, AsksOnceAndThenSendsTranslatedRequests) {
  for (int i = 0; i < 3; ++i) {
    const auto got = use();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->outcome, Outcome::kTranslated);
    EXPECT_EQ(got->gpa, kData + 8);
  }
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.of(Outcome::kWalked), 1u);
  EXPECT_EQ(stats.of(Outcome::kTranslated), 3u);
  EXPECT_EQ(stats.pieces(), 4u);
}

TEST_F(Client, ForgetsAndAcknowledges) {
  ASSERT_TRUE(use());
  tables.map(kPage, kData + kPageSize);
  machine.unit->post(flush_page(1, kPage));
  EXPECT_TRUE(done(machine.unit->post(forget_page(kPage))));
  EXPECT_EQ(use()->gpa, kData + kPageSize + 8);
  std::uint64_t number = 0;
  {
    DmaPort::Burst burst(*port);
    ASSERT_TRUE(client->translate(burst, kPage, 4, Access::kWrite));
    number = machine.unit->post(forget_page(kPage));
    EXPECT_FALSE(done(number)) << "the burst uses it";
  }
  EXPECT_TRUE(done(number));
}

TEST_F(Client, WhatItMayNotHaveIsRecordedAsAFault) {
  tables.map(kPage, kData, kPageSize, Permissions::read_only());
  EXPECT_TRUE(use(Access::kRead));
  const auto got = use(Access::kWrite);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, FakeUnit::kWalkFault);
  EXPECT_EQ(machine.unit->recorded().size(), 1u);
}

}  // namespace
}  // namespace weir::testing_iommu
