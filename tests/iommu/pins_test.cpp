// SPDX-License-Identifier: Apache-2.0
//
// Pins, and looks without a trace.
#include <gtest/gtest.h>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;

class Pins : public testing::Test {
 protected:
  Pins() {
    machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, tables.root()));
    port = machine.attach(kSid);
  }

  Machine machine;
  Tables tables{machine};
  std::unique_ptr<DmaPort> port;
};

TEST_F(Pins, NeighbouringPagesAreOneSpan) {
  tables.map(Iova(0x5000), kData + 0x1000, 2 * kPageSize);  // 5, 6 -> 1, 2
  tables.map(Iova(0x7000), kData + 0x8000);                 // 7 -> 8
  tables.map(Iova(0x8000), kData + 0x9000);                 // 8 -> 9
  auto pin = port->map(Iova(0x5800), 0x3000, Access::kRead);
  ASSERT_TRUE(pin);
  const auto spans = pin->spans();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].host, machine.host(kData + 0x1800));
  EXPECT_EQ(spans[0].size, 0x1800u);
  EXPECT_EQ(spans[0].gpa, kData + 0x1800);
  EXPECT_EQ(spans[1].host, machine.host(kData + 0x8000));
  EXPECT_EQ(spans[1].size, 0x1800u);
  pin->release();
  EXPECT_TRUE(pin->spans().empty());
  EXPECT_TRUE(machine.seen.dirty.empty()) << "it was for reading";
  pin->release();
}

TEST_F(Pins, WritablePinsAreReportedDirtyAtTheirRelease) {
  tables.map(Iova(0x5000), kData);
  tables.map(Iova(0x6000), kData + 0x4000);
  {
    const auto pin = port->map(Iova(0x5ff0), 0x20, Access::kWrite);
    ASSERT_TRUE(pin);
    EXPECT_TRUE(machine.seen.dirty.empty());
  }
  ASSERT_EQ(machine.seen.dirty.size(), 2u);
  EXPECT_EQ(machine.seen.dirty[0], (std::pair{kData + 0xff0, std::uint64_t{0x10}}));
  EXPECT_EQ(machine.seen.dirty[1], (std::pair{kData + 0x4000, std::uint64_t{0x10}}));
}

TEST_F(Pins, MovesKeepOneHold) {
  tables.map(Iova(0x5000), kData, 2 * kPageSize);
  auto first = port->map(Iova(0x5000), 16, Access::kWrite);
  ASSERT_TRUE(first);
  const std::uint64_t id = first->id();
  Pin moved = std::move(first).value();
  EXPECT_EQ(moved.id(), id);
  EXPECT_EQ(moved.spans().size(), 1u);
  auto second = port->map(Iova(0x6000), 16, Access::kWrite);
  ASSERT_TRUE(second);
  moved = std::move(second).value();
  EXPECT_EQ(machine.seen.dirty.size(), 1u) << "the first was released by the assignment";
  EXPECT_FALSE(machine.iommu->revoke(id));
  Pin& self = moved;
  moved = std::move(self);
  EXPECT_EQ(moved.spans().size(), 1u);
  moved.release();
  EXPECT_EQ(machine.seen.dirty.size(), 2u);
  const Pin empty;
  EXPECT_TRUE(empty.spans().empty());
}

TEST_F(Pins, AllOrNothing) {
  tables.map(Iova(0x5000), kData);
  const auto pin = port->map(Iova(0x5000), 2 * kPageSize, Access::kWrite);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().request.iova, Iova(0x6000));
  EXPECT_EQ(pin.error().completed, 0u) << "nothing was transferred";
  // Nothing is held either.
  const std::uint64_t number = machine.unit->post({.scope = iotlb::Scope::kAll});
  EXPECT_EQ(machine.unit->completed(), number);
}

TEST_F(Pins, WhatCannotBePinned) {
  tables.map(Iova(0x5000), Gpa(kRegisters.value()));
  tables.map(Iova(0x6000), Gpa(kRom.value()));
  EXPECT_EQ(port->map(Iova(0x5000), 4, Access::kRead).error().reason, FaultReason::kNotPinnable);
  EXPECT_TRUE(port->map(Iova(0x6000), 4, Access::kRead));
  EXPECT_EQ(port->map(Iova(0x6000), 4, Access::kWrite).error().reason,
            FaultReason::kHostMapPermission);
  EXPECT_FALSE(port->map(Iova(0x6000), 0, Access::kRead));
  EXPECT_EQ(port->map(Iova(~0ull), 2, Access::kRead).error().reason, FaultReason::kAddressWraps);
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(faults_by_reason(stats), stats.of(Outcome::kFaulted));
}

TEST_F(Pins, RevokeEndsTheHoldFromOutside) {
  tables.map(Iova(0x5000), kData);
  auto pin = port->map(Iova(0x5000), 16, Access::kWrite);
  ASSERT_TRUE(pin);
  const std::uint64_t number = machine.unit->post(flush_page(1, Iova(0x5000)));
  EXPECT_NE(machine.unit->completed(), number);
  EXPECT_TRUE(machine.iommu->revoke(pin->id()));
  EXPECT_EQ(machine.unit->completed(), number) << "without any other call";
  EXPECT_FALSE(machine.iommu->revoke(pin->id()));
  pin->release();
  EXPECT_EQ(machine.seen.dirty.size(), 1u) << "what it may have written is still told";
}

TEST_F(Pins, AStuckPinIsReportedOnceAndTheCompletionStaysPending) {
  tables.map(Iova(0x5000), kData);
  auto pin = port->map(Iova(0x5000), 16, Access::kWrite);
  ASSERT_TRUE(pin);
  machine.clock.advance(std::chrono::seconds(60));
  machine.iommu->poll();
  EXPECT_TRUE(machine.seen.stuck.empty()) << "nothing waits for it";
  const std::uint64_t number = machine.unit->post(flush_page(1, Iova(0x5000)));
  machine.iommu->poll();
  EXPECT_TRUE(machine.seen.stuck.empty()) << "a completion has not waited beyond the limit";
  machine.clock.advance(std::chrono::seconds(5));
  machine.iommu->poll();
  machine.iommu->poll();
  ASSERT_EQ(machine.seen.stuck.size(), 1u);
  EXPECT_EQ(machine.seen.stuck[0].first, pin->id());
  EXPECT_EQ(machine.seen.stuck[0].second.requester, Requester::from_sid(kSid));
  EXPECT_EQ(machine.seen.stuck[0].second.range.first, Iova(0x5000));
  EXPECT_NE(machine.unit->completed(), number) << "L1 is never broken to end a wait";
  pin->release();
  EXPECT_EQ(machine.unit->completed(), number);
}

// ---- peek

TEST_F(Pins, APeekLeavesNoTrace) {
  tables.map(Iova(0x5000), kData, kPageSize, Permissions::read_only());
  const auto seen = port->peek(Iova(0x5123), Access::kRead);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->gpa, kData + 0x123);
  EXPECT_EQ(seen->host, machine.host(kData + 0x123));
  EXPECT_EQ(seen->permissions, Permissions::read_only());
  EXPECT_FALSE(port->peek(Iova(0x5123), Access::kWrite));
  EXPECT_FALSE(port->peek(Iova(0x6000), Access::kRead));
  EXPECT_FALSE(port->peek(Iova(0xfee00000), Access::kWrite)) << "no memory is there";
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(stats.pieces(), 0u);
  EXPECT_EQ(stats.walks, 0u);
  EXPECT_EQ(stats.fills, 0u);
  EXPECT_EQ(stats.context_reads, 0u);
  EXPECT_TRUE(machine.unit->recorded().empty());
  EXPECT_TRUE(machine.seen.faults.empty());
  // Nothing was cached: the next request walks.
  EXPECT_EQ(port->translate(Iova(0x5000), 4, Access::kRead)->outcome, Outcome::kWalked);
}

TEST_F(Pins, APeekSaysWhatARequestWouldFind) {
  iotlb::Context context;
  context.kind = iotlb::ContextKind::kPassThrough;
  context.input_bits = 48;
  context.rights = Permissions::read_only();
  machine.unit->set_context(Requester::from_sid(kSid), context);
  EXPECT_EQ(port->peek(Iova(kData.value()), Access::kRead)->outcome, Outcome::kPassedThrough);
  EXPECT_FALSE(port->peek(Iova(kData.value()), Access::kWrite)) << "the requester may not";
  EXPECT_FALSE(port->peek(Iova(0x1000000000000), Access::kRead));
  (void)machine.iommu->set_bus_master(Requester::from_sid(kSid), false);
  EXPECT_FALSE(port->peek(Iova(kData.value()), Access::kRead)) << "the function is gated";
  (void)machine.iommu->set_bus_master(Requester::from_sid(kSid), true);
  ASSERT_TRUE(machine.unit->set_mode(UnitMode::kOff));
  EXPECT_EQ(port->peek(Iova(kData.value()), Access::kWrite)->outcome, Outcome::kPassedThrough);
  EXPECT_EQ(machine.iommu->stats().pieces(), 0u);
}

}  // namespace
}  // namespace weir::testing_iommu
