// SPDX-License-Identifier: Apache-2.0
//
// Transitions at run time: after the completion nothing reaches what was reached before, and until
// then nothing was cut short (L1).
#include <gtest/gtest.h>

#include "iommu/ats.h"
#include "iommu/transition.h"
#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint16_t kOtherSid = 0x28;
constexpr PoolId kPool{7};
constexpr Iova kAt{kData.value()};
constexpr Window kWindow =
    Window::identity({kData + 0x10000, kData + 0x1ffff});  // beside kAt

AddressRange<Gpa> page_of(Gpa at) { return {at, at + (kPageSize - 1)}; }

class Transitions : public testing::Test {
 protected:
  Change apply(const Transition& transition) {
    auto change = machine.iommu->apply(transition);
    EXPECT_TRUE(change) << change.error();
    return change ? std::move(change).value() : Change{};
  }
  std::string refusal(const Transition& transition) {
    auto change = machine.iommu->apply(transition);
    EXPECT_FALSE(change);
    return change ? "" : change.error();
  }
  static Transition confine_to_window(std::optional<Requester> who) {
    return {.pools = {{.pool = kPool, .window = kWindow}},
            .confinements = {{.function = who, .pool = kPool}}};
  }
  FaultReason outcome(DmaPort& by, Iova iova, Access access = Access::kRead) {
    const auto t = by.translate(iova, 8, access);
    return t ? FaultReason::kRootUnreadable : t.error().reason;
  }
  static constexpr FaultReason kFine = FaultReason::kRootUnreadable;

  Machine machine{{.coverage = {}}};
  std::unique_ptr<DmaPort> port = machine.attach(kSid);
  std::unique_ptr<DmaPort> other = machine.attach(kOtherSid);
};

TEST_F(Transitions, OneFunctionGetsAWindow) {
  EXPECT_EQ(outcome(*port, kAt), kFine);
  EXPECT_TRUE(apply(confine_to_window(port->requester())).complete());
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kOutsideWindow);
  EXPECT_EQ(outcome(*port, kWindow.range.first), kFine);
  EXPECT_EQ(outcome(*other, kAt), kFine) << "nobody spoke of it";
  EXPECT_EQ(machine.iommu->route_of(*port),
            (RouteView{.kind = RouteView::Kind::kWindow, .window = kWindow}));
  EXPECT_EQ(machine.iommu->route_of(*other), RouteView{});
}

TEST_F(Transitions, AllFunctionsGetOne) {
  EXPECT_TRUE(apply(confine_to_window({})).complete());
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kOutsideWindow);
  EXPECT_EQ(outcome(*other, kAt), FaultReason::kOutsideWindow);
}

// A burst that began before keeps to its route, and the completion waits for it.
TEST_F(Transitions, WaitForBurstsThatBeganBefore) {
  std::optional<DmaPort::Burst> burst(std::in_place, *port);
  EXPECT_TRUE(burst->translate(kAt, 8, Access::kWrite));
  const Change change = apply(confine_to_window(port->requester()));
  EXPECT_FALSE(change.complete());
  EXPECT_TRUE(burst->translate(kAt, 8, Access::kWrite)) << "the same route to its end";
  burst.reset();
  EXPECT_TRUE(change.complete());
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kOutsideWindow);
}

TEST_F(Transitions, WaitForPins) {
  auto pin = port->map(kAt, 64, Access::kWrite).value();
  const Change change = apply(confine_to_window(port->requester()));
  EXPECT_FALSE(change.complete());
  EXPECT_FALSE(port->map(kAt, 64, Access::kWrite)) << "no new one meanwhile";
  auto of_other = other->map(kAt, 64, Access::kWrite).value();
  pin.release();
  EXPECT_TRUE(change.complete()) << "another function's pin is another matter";
}

TEST_F(Transitions, APoolMovesWithAllItsFunctions) {
  (void)apply(confine_to_window({}));
  auto pin = other->map(kWindow.range.first, 64, Access::kRead).value();
  Window next = kWindow;
  next.to = kData;
  const Change change = apply({.pools = {{.pool = kPool, .window = next}}});
  EXPECT_FALSE(change.complete());
  EXPECT_EQ(port->translate(kWindow.range.first, 8, Access::kRead)->gpa, kData);
  pin.release();
  EXPECT_TRUE(change.complete());
  EXPECT_EQ(other->translate(kWindow.range.first, 8, Access::kRead)->gpa, kData);
  EXPECT_TRUE(apply({.pools = {{.pool = kPool}}}).complete());
  EXPECT_EQ(outcome(*port, kWindow.range.first), FaultReason::kDetached) << "it is nowhere";
  EXPECT_TRUE(apply({.pools = {{.pool = kPool, .window = kWindow}}}).complete());
  EXPECT_EQ(outcome(*port, kWindow.range.first), kFine) << "and came back";
}

// Private pages: on every route, and only those pages.
TEST_F(Transitions, APageTurnsPrivate) {
  EXPECT_EQ(outcome(*port, kAt), kFine);
  EXPECT_TRUE(apply({.made_private = {page_of(kData)}}).complete());
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kPrivatePage);
  EXPECT_EQ(outcome(*port, kAt + kPageSize), kFine);
  EXPECT_FALSE(port->peek(kAt, Access::kRead));
  EXPECT_TRUE(apply({.made_shared = {page_of(kData)}}).complete());
  EXPECT_EQ(outcome(*port, kAt), kFine);
  EXPECT_EQ(machine.iommu->stats().faults.at(FaultReason::kPrivatePage), 1u);
}

TEST_F(Transitions, PrivatePagesInAWindow) {
  (void)apply(confine_to_window(port->requester()));
  (void)apply({.made_private = {page_of(kWindow.to + kPageSize)}});
  EXPECT_EQ(port->translate(kWindow.range.first, 0x10000, Access::kRead)->length, kPageSize);
  EXPECT_EQ(outcome(*port, kWindow.range.first + kPageSize), FaultReason::kPrivatePage);
}

TEST_F(Transitions, PrivatePagesWaitForBurstsAndPinsThatTouchThem) {
  auto pin = port->map(kAt, kPageSize, Access::kWrite).value();
  auto elsewhere = other->map(kAt + kPageSize, 8, Access::kWrite).value();
  const Change change = apply({.made_private = {{kData + 8, kData + 8}}});
  EXPECT_FALSE(change.complete()) << "of the page, every byte";
  EXPECT_EQ(port->map(kAt, 8, Access::kWrite).error().reason, FaultReason::kPrivatePage);
  pin.release();
  EXPECT_TRUE(change.complete());
  std::optional<DmaPort::Burst> burst(std::in_place, *port);
  const Change next = apply({.made_private = {page_of(kData + 2 * kPageSize)}});
  EXPECT_FALSE(next.complete());
  EXPECT_FALSE(burst->translate(kAt + 2 * kPageSize, 8, Access::kRead)) << "at once";
  burst.reset();
  EXPECT_TRUE(next.complete());
}

// A guest turns protected: everything private but the pool, and all functions get its window.
TEST_F(Transitions, PagesAndWindowsInOneCompletion) {
  auto pin = port->map(kAt, 8, Access::kWrite).value();
  Transition all = confine_to_window({});
  all.made_private = {whole_space<Gpa>()};
  all.made_shared = {{kWindow.to, kWindow.to + 0xffff}};
  const Change change = apply(all);
  EXPECT_FALSE(change.complete());
  pin.release();
  EXPECT_TRUE(change.complete());
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kOutsideWindow);
  EXPECT_EQ(outcome(*port, kWindow.range.first), kFine);
  const std::uint32_t data = 0x41;
  EXPECT_TRUE(port->write(Iova(0xfee00000), std::as_bytes(std::span(&data, 1))))
      << "its messages are no memory";
}

// What is shared all along is never out of reach, and who holds it is not waited for.
TEST_F(Transitions, PagesThatStaySharedAreNotWaitedFor) {
  (void)apply({.made_private = {page_of(kData + 5 * kPageSize)}});
  auto pin = port->map(kAt + kPageSize, kPageSize, Access::kWrite).value();
  EXPECT_TRUE(apply({.made_private = {whole_space<Gpa>()},
                     .made_shared = {{kData + (kPageSize - 1), kData + (2 * kPageSize)}}})
                  .complete());
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kPrivatePage) << "a part of it is not shared";
  EXPECT_EQ(outcome(*port, kAt + kPageSize), kFine);
  EXPECT_EQ(outcome(*port, kAt + 2 * kPageSize), FaultReason::kPrivatePage);
  const Change change = apply({.made_private = {page_of(kData + kPageSize)}});
  EXPECT_FALSE(change.complete()) << "now it is";
  pin.release();
  EXPECT_TRUE(change.complete());
}

// The same without a window: the bounce buffer is an ordinary address, the function stays on
// bypass, and what changes is which pages it reaches.
TEST_F(Transitions, BypassKeepsToSharedPages) {
  EXPECT_TRUE(apply({.made_private = {whole_space<Gpa>()},
                     .made_shared = {{kData, kData + 0xffff}}})
                  .complete());
  EXPECT_EQ(outcome(*port, kAt), kFine);
  EXPECT_EQ(outcome(*port, kAt + 0x10000), FaultReason::kPrivatePage);
  EXPECT_EQ(machine.iommu->route_of(*port).kind, RouteView::Kind::kBypass);
}

TEST_F(Transitions, AResetPutsWindowsBack) {
  (void)apply(confine_to_window(port->requester()));
  (void)apply({.made_private = {page_of(kData)}});
  EXPECT_TRUE(machine.iommu->reset().complete());
  EXPECT_EQ(machine.iommu->route_of(*port).kind, RouteView::Kind::kBypass);
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kPrivatePage) << "pages are the guest's";
}

TEST_F(Transitions, AResetWithOtherTables) {
  const std::byte bytes[1]{};
  const FakeParser covering(Coverage{{UnitCoverage{
      .register_base = kUnitBase, .functions = {{.first = kSid, .last = kSid}}}}});
  const FirmwareTable table{&covering, bytes};
  ASSERT_TRUE(machine.iommu->reset(std::span(&table, 1)));
  EXPECT_EQ(machine.iommu->route_of(*port).kind, RouteView::Kind::kUnit);
  EXPECT_EQ(machine.iommu->route_of(*other).kind, RouteView::Kind::kBypass);
  EXPECT_EQ(refusal(confine_to_window(port->requester())),
            "0000:00:04.0 is behind unit 0: only a machine reset with other tables takes it away");
  const FakeParser nowhere(Coverage{{UnitCoverage{
      .register_base = 0x1000, .functions = {{.first = kSid, .last = kSid}}}}});
  const FirmwareTable unknown{&nowhere, bytes};
  ASSERT_TRUE(machine.iommu->reset(std::span(&unknown, 1)));
  EXPECT_EQ(machine.iommu->route_of(*port).kind, RouteView::Kind::kNone);
  EXPECT_EQ(outcome(*port, kAt), FaultReason::kDetached);
  EXPECT_FALSE(machine.iommu->reset(std::array{FirmwareTable{&covering, {}}})) << "unreadable";
  ASSERT_TRUE(machine.iommu->reset(std::span<const FirmwareTable>()));
  EXPECT_EQ(outcome(*port, kAt), kFine) << "without tables everybody bypasses";
}

TEST_F(Transitions, WhatIsRefusedChangesNothing) {
  const Transition both{.pools = {{.pool = kPool, .window = kWindow}},
                        .confinements = {{.function = Requester::from_sid(0x99), .pool = kPool}},
                        .made_private = {page_of(kData)}};
  EXPECT_EQ(refusal(both), "0000:00:13.1 is not attached");
  EXPECT_EQ(outcome(*port, kAt), kFine);
  EXPECT_EQ(refusal({.confinements = {{.pool = kPool}}}), "no window was declared for pool 7")
      << "the one before left none behind";
  EXPECT_EQ(refusal({.made_private = {{Gpa(1), Gpa(0)}}}),
            "a range of pages ends before it begins");
  EXPECT_EQ(refusal({.pools = {{.pool = kPool, .window = Window{{Iova(1), Iova(0)}, Gpa(0)}}}}),
            "the window's range ends before it begins");
  EXPECT_EQ(refusal({.groups = {{.functions = {port->requester()}}}}),
            "0000:00:04.0 is behind no unit that translates");
}

// ---- Recording and replay

class Recording final : public TransitionSink {
 public:
  void on_transition(std::uint64_t number, const Transition& transition) override {
    EXPECT_EQ(number, lines.size() + 1);
    lines.push_back(to_line(transition));
  }
  std::vector<std::string> lines;
};

TEST(RecordedTransitions, MakeTheSameReachAgain) {
  Recording recording;
  Machine machine;
  const auto memory = machine.make_memory();
  Iommu first({.memory = memory, .sinks = {.transitions = &recording}});
  auto port = first.attach({.function = Requester::from_sid(kSid)}).value();
  Window moved = kWindow;
  moved.to = kData;
  ASSERT_TRUE(first.apply({.made_private = {page_of(kData + kPageSize)}}));
  ASSERT_TRUE(first.apply({.pools = {{.pool = kPool, .window = kWindow}},
                           .confinements = {{.pool = kPool}}}));
  ASSERT_TRUE(first.apply({.pools = {{.pool = kPool, .window = moved}}}));
  EXPECT_FALSE(first.apply({.confinements = {{.pool = {9}}}})) << "refused, and not told";
  ASSERT_EQ(recording.lines.size(), 3u);

  Iommu second({.memory = memory});
  auto again = second.attach({.function = Requester::from_sid(kSid)}).value();
  for (const std::string& line : recording.lines)
    ASSERT_TRUE(second.apply(parse_transition(line).value()));
  EXPECT_EQ(second.route_of(*again), first.route_of(*port));
  for (std::uint64_t page = 0; page < 0x40; ++page) {
    const Iova at = kAt + page * kPageSize;
    const auto here = again->peek(at, Access::kRead);
    const auto there = port->peek(at, Access::kRead);
    ASSERT_EQ(here.has_value(), there.has_value()) << page;
    if (here && there) {
      EXPECT_EQ(here->gpa, there->gpa);
    }
  }
}

// ---- Behind a unit: a group between identity and tables.

class GroupTurns : public testing::Test {
 protected:
  GroupTurns() {
    pass.kind = iotlb::ContextKind::kPassThrough;
    pass.domain = DomainId{2};
    pass.input_bits = 48;
    use(pass);
    tables.map(Iova(0x5000), kData);
  }
  void use(const iotlb::Context& context) {
    for (const std::uint16_t sid : {kSid, kOtherSid})
      machine.unit->set_context(Requester::from_sid(sid), context);
  }
  Transition turn(Transition::GroupTurn::To to) {
    return {.groups = {{.functions = {port->requester(), other->requester()}, .to = to}}};
  }

  Machine machine;
  Tables tables{machine};
  iotlb::Context pass;
  std::unique_ptr<DmaPort> port = machine.attach(kSid);
  std::unique_ptr<DmaPort> other = machine.attach(kOtherSid);
};

TEST_F(GroupTurns, FromIdentityToTablesAndBack) {
  EXPECT_EQ(port->translate(Iova(0x5000), 8, Access::kRead)->gpa, Gpa(0x5000));
  auto pin = other->map(Iova(0x5000), 8, Access::kWrite).value();
  use(FakeUnit::second_stage(1, tables.root()));
  const auto change = machine.iommu->apply(turn(Transition::GroupTurn::To::kTables));
  ASSERT_TRUE(change) << change.error();
  EXPECT_FALSE(change->complete()) << "the pin";
  EXPECT_EQ(port->translate(Iova(0x5000), 8, Access::kRead)->gpa, kData);
  EXPECT_FALSE(port->translate(Iova(0x6000), 8, Access::kRead));
  pin.release();
  EXPECT_TRUE(change->complete());
  use(pass);
  EXPECT_TRUE(machine.iommu->apply(turn(Transition::GroupTurn::To::kIdentity))->complete());
  EXPECT_EQ(port->translate(Iova(0x6000), 8, Access::kRead)->gpa, Gpa(0x6000));
}

TEST_F(GroupTurns, AreRefusedWhereTheGuestSaysSomethingElse) {
  const auto change = machine.iommu->apply(turn(Transition::GroupTurn::To::kTables));
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error(), "the context of 0000:00:04.0 says something else");
}

// What the function's own TLB holds has to go, and the completion waits until it says so.
TEST_F(GroupTurns, WaitForTheFunctionsOwnTlb) {
  class Device final : public AtsDevice {
   public:
    void on_invalidate(const AtsInvalidation& what) override { asked.push_back(what); }
    void on_page_response(const PageResponse&) override {}
    std::vector<AtsInvalidation> asked;
  };
  const auto device = std::make_shared<Device>();
  port->set_ats_device(device);
  use(FakeUnit::second_stage(1, tables.root()));
  const auto change = machine.iommu->apply(turn(Transition::GroupTurn::To::kTables));
  ASSERT_TRUE(change);
  ASSERT_EQ(device->asked.size(), 1u);
  EXPECT_TRUE(device->asked[0].all_pasids);
  EXPECT_EQ(device->asked[0].range, whole_space<Iova>());
  EXPECT_FALSE(change->complete());
  EXPECT_TRUE(port->acknowledge_invalidation(device->asked[0].id));
  EXPECT_TRUE(change->complete());
}

}  // namespace
}  // namespace weir::testing_iommu
