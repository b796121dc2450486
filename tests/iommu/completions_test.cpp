// SPDX-License-Identifier: Apache-2.0
//
// L1 and L8 on one thread: what a completion waits for, who resumes it, and that nobody blocks.
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "tests/iommu/machine.h"

namespace weir::testing_iommu {
namespace {

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint16_t kOtherSid = 0x28;

class Completions : public testing::Test {
 protected:
  Completions() {
    machine.unit->set_context(Requester::from_sid(kSid), FakeUnit::second_stage(1, tables.root()));
    machine.unit->set_context(Requester::from_sid(kOtherSid),
                              FakeUnit::second_stage(2, tables.root()));
    tables.map(Iova(0x5000), kData, 4 * kPageSize);
    port = machine.attach(kSid);
    other = machine.attach(kOtherSid);
  }
  [[nodiscard]] bool done(std::uint64_t number) const {
    return machine.unit->completed() >= number;
  }

  Machine machine;
  Tables tables{machine};
  std::unique_ptr<DmaPort> port;
  std::unique_ptr<DmaPort> other;
};

TEST_F(Completions, WithNothingInFlightAtOnce) {
  EXPECT_TRUE(done(machine.unit->post({.scope = iotlb::Scope::kAll})));
  EXPECT_EQ(machine.iommu->stats().waits_parked, 0u);
}

TEST_F(Completions, ABurstParksTheQueueAndItsEndResumesIt) {
  std::optional<DmaPort::Burst> burst(std::in_place, *port);
  ASSERT_TRUE(burst->translate(Iova(0x5000), 4, Access::kWrite));
  const std::uint64_t first = machine.unit->post(flush_page(1, Iova(0x5000)));
  const std::uint64_t second = machine.unit->post(flush_page(1, Iova(0x6000)));
  EXPECT_FALSE(done(first));
  machine.iommu->poll();
  EXPECT_FALSE(done(first)) << "a poll asks, it does not decide";
  // Another function goes on meanwhile.
  EXPECT_TRUE(other->write(Iova(0x6000), std::array<std::byte, 4>{}));
  EXPECT_FALSE(done(first));
  burst.reset();
  EXPECT_TRUE(done(second)) << "resumed by the burst's end, without any other call";
  EXPECT_EQ(machine.iommu->stats().waits_parked, 1u);
}

TEST_F(Completions, NestedBurstsHoldUntilTheOutermostEnds) {
  std::optional<DmaPort::Burst> outer(std::in_place, *port);
  std::uint64_t number = 0;
  {
    DmaPort::Burst inner(*other);
    ASSERT_TRUE(inner.translate(Iova(0x5000), 4, Access::kRead));
    number = machine.unit->post({.scope = iotlb::Scope::kAll});
  }
  EXPECT_FALSE(done(number));
  outer.reset();
  EXPECT_TRUE(done(number));
}

TEST_F(Completions, ABurstThatBeganLaterIsNotWaitedFor) {
  auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(pin);
  const std::uint64_t number = machine.unit->post({.scope = iotlb::Scope::kAll});
  DmaPort::Burst burst(*other);
  ASSERT_TRUE(burst.translate(Iova(0x5000), 4, Access::kRead));
  EXPECT_FALSE(done(number));
  pin->release();
  EXPECT_TRUE(done(number)) << "although a burst is open";
}

TEST_F(Completions, APinParksAndItsReleaseResumes) {
  auto pin = port->map(Iova(0x5000), kPageSize, Access::kWrite);
  ASSERT_TRUE(pin);
  const std::uint64_t number = machine.unit->post(flush_page(1, Iova(0x5000)));
  EXPECT_FALSE(done(number));
  EXPECT_TRUE(other->write(Iova(0x5000), std::array<std::byte, 4>{})) << "others go on";
  EXPECT_TRUE(port->write(Iova(0x6000), std::array<std::byte, 4>{})) << "and so does this one";
  machine.iommu->poll();
  EXPECT_FALSE(done(number));
  pin->release();
  EXPECT_TRUE(done(number)) << "resumed by the release, without any other call";
}

// Made after the flush, inside a burst that began before it: the flush waits for the burst alone.
TEST_F(Completions, AYoungPinInAnOldBurst) {
  std::optional<DmaPort::Burst> burst(std::in_place, *other);
  const std::uint64_t number = machine.unit->post(flush_page(1, Iova(0x5000)));
  auto pin = port->map(Iova(0x5000), kPageSize, Access::kWrite);
  ASSERT_TRUE(pin);
  EXPECT_FALSE(done(number)) << "the burst may hold what was flushed";
  burst.reset();
  EXPECT_TRUE(done(number));
  const std::uint64_t next = machine.unit->post(flush_page(1, Iova(0x5000)));
  EXPECT_FALSE(done(next)) << "the pin is older than this one";
  pin->release();
  EXPECT_TRUE(done(next));
}

TEST_F(Completions, APinThatIsNotCoveredHoldsNothingUp) {
  const auto pin = port->map(Iova(0x5000), kPageSize, Access::kWrite);
  ASSERT_TRUE(pin);
  EXPECT_TRUE(done(machine.unit->post(flush_page(1, Iova(0x6000)))));
  EXPECT_TRUE(done(machine.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{2}})));
}

// One pin held for long must not turn every other request into a poll.
TEST_F(Completions, WhileAPinIsHeldOthersDoNotPoll) {
  auto pin = port->map(Iova(0x5000), kPageSize, Access::kWrite);
  ASSERT_TRUE(pin);
  const std::uint64_t number = machine.unit->post(flush_page(1, Iova(0x5000)));
  const std::uint64_t before = machine.unit->polls();
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(other->write(Iova(0x6000), std::array<std::byte, 4>{}));
  EXPECT_LE(machine.unit->polls(), before + 1);
  pin->release();
  EXPECT_TRUE(done(number));
}

// A unit whose poll looks into guest memory each time, while a pin keeps a completion pending: the
// poll's own access must not call for another poll without end.
TEST_F(Completions, APollThatReadsMemoryEnds) {
  auto pin = port->map(Iova(0x5000), kPageSize, Access::kWrite);
  ASSERT_TRUE(pin);
  std::uint64_t looks = 0;
  machine.unit->in_poll = [&] {
    // A run without end would never come back to the assertions below.
    if (++looks > 100) return;
    std::array<std::byte, 8> head{};
    EXPECT_TRUE(machine.unit->host().read_memory(kData, head));
  };
  const std::uint64_t number = machine.unit->post(flush_page(1, Iova(0x5000)));
  machine.iommu->poll();
  EXPECT_LE(looks, 2u);
  pin->release();
  EXPECT_TRUE(done(number));
}

TEST_F(Completions, StatusWritesGoThroughTheHostAndAreDirty) {
  machine.unit->write_status_at(kData + 0x7000);
  std::optional<DmaPort::Burst> burst(std::in_place, *port);
  const std::uint64_t number = machine.unit->post({.scope = iotlb::Scope::kAll});
  EXPECT_EQ(machine.word(kData + 0x7000), 0u) << "not before the burst ended (L1)";
  burst.reset();
  EXPECT_TRUE(done(number));
  EXPECT_EQ(machine.word(kData + 0x7000), number);
  ASSERT_EQ(machine.seen.dirty.size(), 1u);
  EXPECT_EQ(machine.seen.dirty[0].first, kData + 0x7000);
}

// A read of the unit's own, begun before another unit's flush, is what that flush waits for: its
// end must resume the queue like any other burst's, also that of the unit itself.
TEST_F(Completions, TheEndOfTheUnitsOwnAccessResumesItsQueue) {
  std::uint64_t number = 0;
  auto& host = machine.unit->host();
  // A second thread posts while this one is inside read_memory.
  class Callback final : public MemoryTarget {
   public:
    bool read(std::uint64_t, std::span<std::byte>) override {
      std::thread(inside).join();
      return true;
    }
    bool write(std::uint64_t, std::span<const std::byte>) override { return true; }
    std::function<void()> inside;
  } callback;
  auto memory = GuestMemory::create(
      {{.first = Hpa(0), .size = kRamPages * kPageSize, .host = machine.host(Gpa(0))},
       {.first = Hpa(0x50000000), .size = 8, .target = &callback}});
  ASSERT_TRUE(memory);
  (void)machine.iommu->change_memory(
      std::make_shared<const GuestMemory>(std::move(memory).value()));
  callback.inside = [&] {
    number = machine.unit->post({.scope = iotlb::Scope::kAll});
    EXPECT_FALSE(done(number));
  };
  std::array<std::byte, 8> eight{};
  ASSERT_TRUE(host.read_memory(Gpa(0x50000000), eight));
  EXPECT_TRUE(done(number)) << "a wake-up was lost";
}

TEST_F(Completions, SeveralInvalidationsAreOneRound) {
  ASSERT_TRUE(port->translate(Iova(0x5000), 4, Access::kRead));
  ASSERT_TRUE(port->translate(Iova(0x6000), 4, Access::kRead));
  std::optional<Pin> pin = port->map(Iova(0x6000), 4, Access::kRead).value();
  const std::array<iotlb::Invalidation, 2> both{flush_page(1, Iova(0x5000)),
                                                flush_page(1, Iova(0x6000))};
  const Ticket ticket = machine.unit->host().invalidate_all(both);
  EXPECT_FALSE(machine.unit->host().settled(ticket));
  EXPECT_EQ(machine.iommu->stats().waits_parked, 1u);
  const std::uint64_t walks = machine.iommu->stats().walks;
  ASSERT_TRUE(port->translate(Iova(0x5000), 4, Access::kRead));
  ASSERT_TRUE(port->translate(Iova(0x6000), 4, Access::kRead));
  EXPECT_EQ(machine.iommu->stats().walks, walks + 2) << "both are gone";
  EXPECT_EQ(machine.unit->host().quiesce().serial, 0u) << "a pin is no walk";
  pin.reset();
  EXPECT_TRUE(machine.unit->host().settled(ticket));
  EXPECT_EQ(machine.unit->host().invalidate_all({}).serial, 0u);
}

TEST_F(Completions, ModeChangesAreDrained) {
  auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(pin);
  EXPECT_FALSE(machine.unit->set_mode(UnitMode::kOff));
  EXPECT_EQ(port->translate(Iova(kData.value()), 4, Access::kRead)->outcome,
            Outcome::kPassedThrough)
      << "requests that begin afterwards see it";
  pin->release();
  EXPECT_TRUE(machine.unit->set_mode(UnitMode::kTranslating));
}

TEST_F(Completions, ContextInvalidationsWaitForTheFunctionsPins) {
  auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(pin);
  const auto device = [](std::uint16_t sid, std::uint16_t mask) {
    return iotlb::Invalidation{.scope = iotlb::Scope::kContextDevice,
                               .requester = Requester::from_sid(sid),
                               .requester_mask = mask};
  };
  EXPECT_TRUE(done(machine.unit->post(device(kOtherSid, 7))));
  const std::uint64_t number = machine.unit->post(device(kSid + 3, 7));
  EXPECT_FALSE(done(number));
  pin->release();
  EXPECT_TRUE(done(number));
}

// ---- the embedder's own changes

TEST_F(Completions, BusMasterOffHoldsBackAndDrains) {
  const Requester function = Requester::from_sid(kSid);
  auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(pin);
  const Change change = machine.iommu->set_bus_master(function, false);
  EXPECT_FALSE(change.complete());
  const auto got = port->translate(Iova(0x5000), 4, Access::kRead);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, FaultReason::kBusMasterOff);
  EXPECT_FALSE(port->write(Iova(0xfee00000), std::array<std::byte, 4>{})) << "no messages either";
  EXPECT_TRUE(other->translate(Iova(0x5000), 4, Access::kRead));
  pin->release();
  EXPECT_TRUE(change.complete());
  EXPECT_TRUE(machine.iommu->set_bus_master(function, true).complete());
  EXPECT_TRUE(port->translate(Iova(0x5000), 4, Access::kRead));
  EXPECT_TRUE(machine.iommu->set_bus_master(Requester::from_sid(0x99), false).complete());
}

TEST_F(Completions, AFunctionResetWaitsForThatFunctionAlone) {
  auto mine = port->map(Iova(0x5000), 4, Access::kRead);
  auto theirs = other->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(mine && theirs);
  const Change change = machine.iommu->reset_function(Requester::from_sid(kSid));
  EXPECT_FALSE(change.complete());
  mine->release();
  EXPECT_TRUE(change.complete()) << "the other's pin is no part of it";
  EXPECT_TRUE(port->translate(Iova(0x5000), 4, Access::kRead)) << "routes and rights stay";
}

TEST_F(Completions, AMachineResetForgetsEverything) {
  ASSERT_TRUE(port->translate(Iova(0x5000), 4, Access::kRead));
  auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(pin);
  const std::uint64_t parked = machine.unit->post(flush_page(1, Iova(0x5000)));
  EXPECT_FALSE(done(parked));
  const Change change = machine.iommu->reset();
  EXPECT_EQ(machine.unit->resets(), 1u);
  EXPECT_FALSE(change.complete());
  EXPECT_EQ(port->translate(Iova(kData.value()), 4, Access::kRead)->outcome,
            Outcome::kPassedThrough);
  pin->release();
  EXPECT_TRUE(change.complete());
  (void)machine.unit->set_mode(UnitMode::kTranslating);
  EXPECT_EQ(port->translate(Iova(0x5000), 4, Access::kRead).error().reason,
            FaultReason::kContextNotPresent)
      << "no context survived";
}

TEST_F(Completions, NewMemoryTakesHoldAtOnceAndTheOldOneStays) {
  alignas(8) static std::array<std::byte, kPageSize> page{};
  page.fill(std::byte(0x5a));
  const auto old = std::weak_ptr<const GuestMemory>([&] {
    auto first = machine.make_memory();
    EXPECT_TRUE(machine.iommu->change_memory(first).complete());
    return first;
  }());
  EXPECT_FALSE(old.expired());
  (void)machine.unit->set_mode(UnitMode::kOff);
  std::optional<DmaPort::Burst> burst(std::in_place, *port);
  const auto before = burst->translate(Iova(kData.value()), 4, Access::kRead);
  ASSERT_TRUE(before);
  const Change change = machine.iommu->change_memory(
      std::make_shared<const GuestMemory>(GuestMemory::single(Hpa(kData.value()), page)));
  EXPECT_FALSE(change.complete());
  EXPECT_FALSE(old.expired()) << "the burst may still be in the middle of it";
  *before->host = std::byte(1);
  const auto after = burst->translate(Iova(kData.value()), 4, Access::kRead);
  ASSERT_TRUE(after);
  EXPECT_EQ(*after->host, std::byte(0x5a)) << "requests after the call see the new one";
  burst.reset();
  EXPECT_TRUE(old.expired()) << "freed by the burst's end, without any other call";
  EXPECT_TRUE(change.complete());
}

TEST_F(Completions, NewMemoryWaitsForPinsWhateverTheirRoute) {
  const auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(pin);
  const Change change = machine.iommu->change_memory(machine.make_memory());
  EXPECT_FALSE(change.complete());
  EXPECT_TRUE(other->write(Iova(0x5000), std::array<std::byte, 4>{}));
  const_cast<Pin&>(*pin).release();
  EXPECT_TRUE(change.complete());
}

// Flushes without end behind one pin are merged; a change that was complete before stays so.
TEST_F(Completions, CompleteStaysComplete) {
  auto held = other->map(Iova(0x6000), 4, Access::kRead);
  auto pin = port->map(Iova(0x5000), 4, Access::kRead);
  ASSERT_TRUE(held && pin);
  const Change pending = machine.iommu->reset_function(Requester::from_sid(kOtherSid));
  const Change change = machine.iommu->reset_function(Requester::from_sid(kSid));
  EXPECT_FALSE(change.complete());
  pin->release();
  EXPECT_TRUE(change.complete());
  for (int i = 0; i < 200; ++i) (void)machine.iommu->reset_function(Requester::from_sid(kOtherSid));
  EXPECT_TRUE(change.complete());
  EXPECT_FALSE(pending.complete());
  held->release();
  EXPECT_TRUE(pending.complete());
}

// Nobody asks about this change again; it must not make every later burst look for ever.
TEST_F(Completions, ALetGoChangeIsForgotten) {
  {
    DmaPort::Burst burst(*port);
    (void)machine.iommu->reset_function(Requester::from_sid(kSid));
  }
  const std::uint64_t before = machine.unit->polls();
  for (int i = 0; i < 100; ++i) (void)other->translate(Iova(0x5000), 4, Access::kRead);
  EXPECT_EQ(machine.unit->polls(), before);
}

// A sink may call back: no lock is held and a poll inside a poll comes round.
TEST(CompletionsSinks, MayCallBack) {
  class Reviser final : public PinSink {
   public:
    void on_stuck_pin(std::uint64_t pin, const StuckPin&) override {
      EXPECT_TRUE(iommu->revoke(pin));
      iommu->poll();
    }
    Iommu* iommu = nullptr;
  } reviser;
  Machine machine;
  ManualClock clock;
  Iommu iommu({.memory = machine.make_memory(), .clock = &clock, .sinks = {.pins = &reviser}});
  reviser.iommu = &iommu;
  auto port = iommu.attach({.function = Requester::from_sid(kSid)});
  ASSERT_TRUE(port);
  const auto pin = (*port)->map(Iova(kData.value()), 4, Access::kRead);
  ASSERT_TRUE(pin);
  const Change change = iommu.reset_function(Requester::from_sid(kSid));
  clock.advance(std::chrono::seconds(6));
  iommu.poll();
  EXPECT_TRUE(change.complete());
}

}  // namespace
}  // namespace weir::testing_iommu
