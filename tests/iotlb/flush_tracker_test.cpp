// SPDX-License-Identifier: Apache-2.0
#include "iotlb/flush_tracker.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>

namespace weir::iotlb {
namespace {

constexpr UnitId kUnit{0};
constexpr UnitId kOtherUnit{1};
constexpr auto kSecond = std::chrono::seconds(1);

class FlushTrackerTest : public testing::Test {
 protected:
  // A pin on pages 5 and 6 of domain 1, at guest-physical 0x90000, made in a burst of its own.
  std::uint64_t hold(std::uint32_t pasid = Context::kNoPasid, std::optional<UnitId> unit = kUnit) {
    auto& slot = bursts.slot();
    bursts.enter(slot);
    PinRecord pin;
    pin.unit = unit;
    pin.requester = Requester::from_sid(0x12);
    pin.tag = {DomainId{1}, pasid};
    pin.range = {Iova(0x5000), Iova(0x6fff)};
    pin.host_ranges = {{Gpa(0x90000), Gpa(0x90fff)}, {Gpa(0xa0000), Gpa(0xa0fff)}};
    pin.epoch = slot.epoch();
    pin.since = clock.now();
    const std::uint64_t id = tracker.add_pin(std::move(pin));
    bursts.leave(slot);
    return id;
  }
  [[nodiscard]] std::uint64_t flush(Scope scope = Scope::kAll) {
    return tracker.issue(kUnit, {.scope = scope, .domain = DomainId{1}});
  }

  ManualClock clock;
  BurstRegistry bursts;
  FlushTracker tracker{bursts, &clock};
};

TEST_F(FlushTrackerTest, NothingInFlightNothingToWaitFor) {
  EXPECT_EQ(flush(), 0u);
  EXPECT_TRUE(tracker.settled(0));
  EXPECT_FALSE(tracker.waiting());
}

TEST_F(FlushTrackerTest, AnEarlierBurstIsWaitedForALaterOneIsNot) {
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const std::uint64_t ticket = flush();
  EXPECT_NE(ticket, 0u);
  EXPECT_TRUE(tracker.waiting());
  EXPECT_FALSE(tracker.settled(ticket));
  const std::uint64_t left = bursts.leave(slot);
  EXPECT_TRUE(tracker.held_up_by(left)) << "its end must make somebody look";
  bursts.enter(slot);
  EXPECT_TRUE(tracker.settled(ticket)) << "this burst began after the flush";
  EXPECT_TRUE(tracker.settled(ticket)) << "asking again changes nothing";
  EXPECT_FALSE(tracker.waiting());
  bursts.leave(slot);
}

// A burst that began after every open ticket holds none of them up: its end is nobody's business.
// Otherwise one pin that is never released makes every burst of every device end in a poll.
TEST_F(FlushTrackerTest, LaterBurstsNeedNotLook) {
  hold();
  const std::uint64_t ticket = flush();
  auto& slot = bursts.slot();
  bursts.enter(slot);
  EXPECT_FALSE(tracker.held_up_by(bursts.leave(slot)));
  EXPECT_FALSE(tracker.settled(ticket));
  EXPECT_FALSE(tracker.held_up_by(BurstRegistry::kIdle)) << "a nested end never looks";
}

struct Match {
  Invalidation what;
  std::optional<UnitId> unit;
  bool covers;        // the plain pin
  bool covers_pasid;  // the pin under PASID 7
};

Invalidation range(std::uint64_t first, std::uint64_t last, std::uint32_t domain = 1,
                   std::optional<Pasid> pasid = {}) {
  return {.scope = Scope::kRange,
          .domain = DomainId{domain},
          .pasid = pasid,
          .range = {Iova(first), Iova(last)}};
}
Invalidation host(std::uint64_t first, std::uint64_t last) {
  return {.scope = Scope::kHostRange, .host_range = {Gpa(first), Gpa(last)}};
}
Invalidation device(Scope scope, std::uint16_t sid, std::uint16_t mask = 0,
                    std::uint16_t segment = 0) {
  return {.scope = scope, .requester = Requester::from_sid(sid, segment), .requester_mask = mask};
}
Invalidation domain(Scope scope, std::uint32_t id, std::optional<Pasid> pasid = {}) {
  return {.scope = scope, .domain = DomainId{id}, .pasid = pasid};
}

Invalidation range_of_stage2(std::uint64_t first, std::uint64_t last, std::uint32_t id = 1) {
  Invalidation what = range(first, last, id);
  what.scope = Scope::kStage2Range;
  return what;
}

TEST_F(FlushTrackerTest, WhichInvalidationCoversWhichPin) {
  const std::optional<UnitId> none;
  const std::vector<Match> rows{
      {{.scope = Scope::kAll}, kUnit, true, true},
      {{.scope = Scope::kAll}, kOtherUnit, false, false},
      {{.scope = Scope::kAll}, none, true, true},
      {domain(Scope::kDomain, 1), kUnit, true, true},
      {domain(Scope::kDomain, 1), kOtherUnit, false, false},
      {domain(Scope::kDomain, 2), kUnit, false, false},
      {domain(Scope::kPasid, 1, Pasid{7}), kUnit, false, true},
      {domain(Scope::kPasid, 2, Pasid{7}), kUnit, false, false},
      {domain(Scope::kPasid, 1, Pasid{8}), kUnit, false, false},
      {domain(Scope::kPasid, 1), kUnit, false, false},
      {range(0x6fff, 0x6fff), kUnit, true, true},
      {range(0x0, 0x5000), kUnit, true, true},
      {range(0x7000, ~0ull), kUnit, false, false},
      {range(0x0, 0x4fff), kUnit, false, false},
      {range(0, ~0ull), kUnit, true, true},
      {range(0, ~0ull, 2), kUnit, false, false},
      {range(0x5000, 0x5fff, 1, Pasid{7}), kUnit, false, true},
      {range(0x5000, 0x5fff), kOtherUnit, false, false},
      {range_of_stage2(0x5000, 0x5fff), kUnit, true, true},
      {range_of_stage2(0x7000, 0x7fff), kUnit, false, true},
      {range_of_stage2(0x7000, 0x7fff, 2), kUnit, false, false},
      {domain(Scope::kContextPasid, 1, Pasid{7}), kUnit, true, true},
      {domain(Scope::kContextPasid, 1, Pasid{8}), kUnit, true, false},
      {domain(Scope::kContextPasid, 2, Pasid{7}), kUnit, false, false},
      {{.scope = Scope::kInterruptAll}, kUnit, false, false},
      {device(Scope::kInterruptDevice, 0x12), kUnit, false, false},
      {device(Scope::kDeviceTlb, 0x12), kUnit, false, false},
      {domain(Scope::kContextDomain, 1), kUnit, true, true},
      {domain(Scope::kContextDomain, 2), kUnit, false, false},
      {{.scope = Scope::kContextAll}, kUnit, true, true},
      {{.scope = Scope::kContextAll}, kOtherUnit, false, false},
      {device(Scope::kContextDevice, 0x12), kUnit, true, true},
      {device(Scope::kContextDevice, 0x12), kOtherUnit, false, false},
      {device(Scope::kContextDevice, 0x13), kUnit, false, false},
      {device(Scope::kContextDevice, 0x16, 4), kUnit, true, true},
      {device(Scope::kContextDevice, 0x15, 7), kUnit, true, true},
      {device(Scope::kContextDevice, 0x15, 6), kUnit, false, false},
      {device(Scope::kContextDevice, 0x12, 7, 1), kUnit, false, false},
      {host(0xa0fff, 0xfffff), none, true, true},
      {host(0x91000, 0x9ffff), none, false, false},
      {host(0, ~0ull), none, true, true},
      {device(Scope::kRequester, 0x12), none, true, true},
      {device(Scope::kRequester, 0x13), none, false, false},
      {device(Scope::kRequester, 0x12, 0, 1), none, false, false},
  };
  for (const std::uint32_t pasid : {Context::kNoPasid, 7u}) {
    for (const Match& row : rows) {
      const std::uint64_t pin = hold(pasid);
      const std::uint64_t ticket = tracker.issue(row.unit, row.what);
      const bool covers = pasid == 7 ? row.covers_pasid : row.covers;
      const auto index = &row - rows.data();
      EXPECT_EQ(ticket != 0, covers) << "row " << index << " " << to_string(row.what.scope);
      EXPECT_EQ(tracker.settled(ticket), !covers);
      EXPECT_TRUE(tracker.remove_pin(pin));
      EXPECT_TRUE(tracker.settled(ticket)) << "row " << index;
    }
  }
  EXPECT_FALSE(tracker.waiting());
}

TEST_F(FlushTrackerTest, APinThatChangedContextsMeansEveryDomainOfItsUnit) {
  auto& slot = bursts.slot();
  bursts.enter(slot);
  PinRecord pin;
  pin.unit = kUnit;
  pin.requester = Requester::from_sid(0x12);
  pin.tag = {DomainId{1}};
  pin.several_tags = true;
  pin.range = {Iova(0x5000), Iova(0x6fff)};
  pin.host_ranges = {{Gpa(0x90000), Gpa(0x90fff)}};
  pin.epoch = slot.epoch();
  const std::uint64_t id = tracker.add_pin(pin);
  bursts.leave(slot);
  for (const Scope scope : {Scope::kDomain, Scope::kContextDomain, Scope::kRange})
    EXPECT_NE(tracker.issue(kUnit, domain(scope, 9)), 0u) << to_string(scope);
  EXPECT_NE(tracker.issue(kUnit, domain(Scope::kPasid, 9, Pasid{3})), 0u);
  // But not what has nothing to do with its translations.
  EXPECT_EQ(tracker.issue(kOtherUnit, domain(Scope::kDomain, 1)), 0u);
  EXPECT_EQ(tracker.issue(std::nullopt, device(Scope::kRequester, 0x13)), 0u);
  EXPECT_EQ(tracker.issue(std::nullopt, host(0, 0x8ffff)), 0u);
  EXPECT_EQ(tracker.issue(kUnit, range(0x7000, 0x7fff, 9)), 0u);
  tracker.remove_pin(id);
}

// A device that was answered holds what it likes until its own TLB is invalidated: the IOTLB's
// flushes come first and have waits of their own, which must not wait for what comes after them.
TEST_F(FlushTrackerTest, APinOfATranslatedAddressWaitsForTheDeviceTlbsOwn) {
  auto& slot = bursts.slot();
  bursts.enter(slot);
  PinRecord pin;
  pin.unit = kUnit;
  pin.requester = Requester::from_sid(0x12);
  pin.tag = {DomainId{1}};
  pin.translated = true;
  pin.range = {Iova(0x90000), Iova(0x90fff)};  // where it lies, not what it was asked by
  pin.host_ranges = {{Gpa(0x90000), Gpa(0x90fff)}};
  pin.epoch = slot.epoch();
  const std::uint64_t id = tracker.add_pin(pin);
  bursts.leave(slot);
  EXPECT_EQ(tracker.issue(kUnit, range(0x5000, 0x5fff)), 0u);
  EXPECT_EQ(tracker.issue(kUnit, range(0x90000, 0x90fff)), 0u) << "an IOVA by accident";
  EXPECT_EQ(tracker.issue(kUnit, range_of_stage2(0, ~0ull)), 0u);
  EXPECT_EQ(tracker.issue(kUnit, domain(Scope::kDomain, 1)), 0u);
  EXPECT_EQ(tracker.issue(kUnit, {.scope = Scope::kAll}), 0u);
  EXPECT_EQ(tracker.issue(kUnit, device(Scope::kDeviceTlb, 0x13)), 0u);
  EXPECT_NE(tracker.issue(kUnit, device(Scope::kDeviceTlb, 0x12)), 0u);
  // It rests on its context too, and on the memory behind it.
  EXPECT_NE(tracker.issue(kUnit, device(Scope::kContextDevice, 0x12)), 0u);
  EXPECT_NE(tracker.issue(kUnit, domain(Scope::kContextDomain, 1)), 0u);
  EXPECT_NE(tracker.issue(std::nullopt, host(0x90000, 0x90000)), 0u);
  EXPECT_NE(tracker.issue(std::nullopt, {.scope = Scope::kAll}), 0u);
  EXPECT_NE(tracker.issue_drain(kUnit), 0u);
  EXPECT_TRUE(tracker.remove_pin(id));
}

TEST_F(FlushTrackerTest, APinOfABypassIsNoFlushsBusiness) {
  hold(Context::kNoPasid, std::nullopt);
  EXPECT_EQ(flush(), 0u);
  EXPECT_EQ(tracker.issue_drain(kUnit), 0u);
  EXPECT_NE(tracker.issue(std::nullopt, host(0xa0000, 0xa0000)), 0u);
  EXPECT_NE(tracker.issue(std::nullopt, {.scope = Scope::kAll}), 0u);
}

TEST_F(FlushTrackerTest, ADrainWaitsForEveryPinOfTheUnit) {
  const std::uint64_t pin = hold();
  EXPECT_EQ(tracker.issue_drain(kOtherUnit), 0u);
  const std::uint64_t drain = tracker.issue_drain(kUnit);
  EXPECT_FALSE(tracker.settled(drain));
  EXPECT_TRUE(tracker.remove_pin(pin));
  EXPECT_FALSE(tracker.remove_pin(pin)) << "once";
  EXPECT_TRUE(tracker.settled(drain));
}

TEST_F(FlushTrackerTest, SeveralInvalidationsHaveOneTicket) {
  const std::array<Invalidation, 3> misses{domain(Scope::kDomain, 2), range(0x7000, 0x7fff),
                                           device(Scope::kContextDevice, 0x13)};
  std::vector<Invalidation> one_hits(misses.begin(), misses.end());
  one_hits.push_back(range(0x6000, 0x6fff));
  const std::uint64_t pin = hold();
  EXPECT_EQ(tracker.issue_all(kUnit, misses), 0u);
  const std::uint64_t ticket = tracker.issue_all(kUnit, one_hits);
  EXPECT_FALSE(tracker.settled(ticket));
  EXPECT_EQ(tracker.issue_all(kOtherUnit, one_hits), 0u);
  tracker.remove_pin(pin);
  EXPECT_TRUE(tracker.settled(ticket));
}

TEST_F(FlushTrackerTest, QuiescenceIsAboutBurstsAlone) {
  hold();
  EXPECT_EQ(tracker.issue_quiesce(kUnit), 0u);
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const std::uint64_t ticket = tracker.issue_quiesce(kUnit);
  EXPECT_FALSE(tracker.settled(ticket));
  bursts.leave(slot);
  EXPECT_TRUE(tracker.settled(ticket));
}

TEST_F(FlushTrackerTest, PinsMadeAfterTheFlushAreNotWaitedFor) {
  EXPECT_EQ(flush(), 0u);
  const std::uint64_t pin = hold();
  EXPECT_NE(flush(), 0u);
  tracker.remove_pin(pin);
}

// A burst that is still open may yet make a pin of what was flushed: it counts as soon as it does.
TEST_F(FlushTrackerTest, APinMadeByABurstThatWasWaitedFor) {
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const std::uint64_t ticket = flush();
  const std::uint64_t pin = hold();  // nested in the burst above
  bursts.leave(slot);
  EXPECT_FALSE(tracker.settled(ticket));
  tracker.remove_pin(pin);
  EXPECT_TRUE(tracker.settled(ticket));
}

TEST_F(FlushTrackerTest, TicketsSettleEachForItself) {
  const std::uint64_t pin = hold();
  const std::uint64_t whole = flush();
  EXPECT_EQ(tracker.issue(kUnit, range(0x8000, 0x8fff)), 0u);
  const std::uint64_t part = tracker.issue(kUnit, range(0x5000, 0x5fff));
  EXPECT_NE(whole, part);
  tracker.remove_pin(pin);
  EXPECT_TRUE(tracker.settled(part));
  EXPECT_TRUE(tracker.waiting()) << "the other has not been asked about";
  EXPECT_TRUE(tracker.settled(whole));
  EXPECT_FALSE(tracker.waiting());
}

// Nobody may ever ask about a ticket again (a Change that was let go, a unit that was reset): it
// must not keep every burst looking for ever.
TEST_F(FlushTrackerTest, ForgottenTicketsAreCollected) {
  const std::uint64_t pin = hold();
  const std::uint64_t forgotten = flush();
  tracker.collect();
  EXPECT_TRUE(tracker.waiting()) << "not settled yet";
  EXPECT_FALSE(tracker.settled(forgotten));
  tracker.remove_pin(pin);
  tracker.collect();
  EXPECT_FALSE(tracker.waiting());
  EXPECT_TRUE(tracker.settled(forgotten));
}

TEST_F(FlushTrackerTest, EndlessFlushesStayBoundedAndNeverEarly) {
  const std::uint64_t pin = hold();
  std::vector<std::uint64_t> tickets;
  for (int i = 0; i < 1000; ++i) tickets.push_back(flush());
  const std::uint64_t other = tracker.issue(std::nullopt, host(0xa0000, 0xa0000));
  for (const std::uint64_t ticket : tickets) ASSERT_FALSE(tracker.settled(ticket));
  tracker.remove_pin(pin);
  EXPECT_TRUE(tracker.settled(other));
  for (const std::uint64_t ticket : tickets) ASSERT_TRUE(tracker.settled(ticket));
  EXPECT_FALSE(tracker.waiting());
}

TEST_F(FlushTrackerTest, WaitsAreTimedFromTheFlushToItsEnd) {
  EXPECT_EQ(flush(), 0u);
  EXPECT_EQ(tracker.waits().ended, 0u) << "nobody was in the way";
  const std::uint64_t pin = hold();
  const std::uint64_t first = flush();
  clock.advance(2 * kSecond);
  (void)flush();
  EXPECT_EQ(tracker.waits().ended, 0u);
  clock.advance(3 * kSecond);
  tracker.remove_pin(pin);
  EXPECT_TRUE(tracker.settled(first));
  tracker.collect();
  EXPECT_EQ(tracker.waits().ended, 2u);
  EXPECT_EQ(tracker.waits().together, 8 * kSecond);
  EXPECT_EQ(tracker.waits().longest, 5 * kSecond);
}

TEST_F(FlushTrackerTest, OverdueIsSaidOnceAndCountsFromTheWait) {
  const std::uint64_t pin = hold();
  clock.advance(100 * kSecond);
  EXPECT_TRUE(tracker.take_overdue(clock.now(), 5 * kSecond).empty()) << "nobody waits";
  const std::uint64_t ticket = flush();
  EXPECT_TRUE(tracker.take_overdue(clock.now(), 5 * kSecond).empty())
      << "a long-lived pin is not stuck the moment something waits for it";
  clock.advance(4 * kSecond);
  EXPECT_TRUE(tracker.take_overdue(clock.now(), 5 * kSecond).empty());
  clock.advance(1 * kSecond);
  const auto overdue = tracker.take_overdue(clock.now(), 5 * kSecond);
  ASSERT_EQ(overdue.size(), 1u);
  EXPECT_EQ(overdue[0].id, pin);
  EXPECT_EQ(overdue[0].requester, Requester::from_sid(0x12));
  EXPECT_EQ(overdue[0].range, (AddressRange<Iova>{Iova(0x5000), Iova(0x6fff)}));
  EXPECT_EQ(overdue[0].age, 105 * kSecond);
  clock.advance(100 * kSecond);
  EXPECT_TRUE(tracker.take_overdue(clock.now(), 5 * kSecond).empty()) << "once";
  EXPECT_FALSE(tracker.settled(ticket)) << "L1 is never broken to end a wait";
}

TEST_F(FlushTrackerTest, OverdueNamesOnlyPinsThatAreWaitedFor) {
  hold();
  EXPECT_EQ(tracker.issue(kUnit, domain(Scope::kDomain, 2)), 0u);
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const std::uint64_t ticket = tracker.issue(kUnit, domain(Scope::kDomain, 2));
  EXPECT_NE(ticket, 0u);
  clock.advance(100 * kSecond);
  EXPECT_TRUE(tracker.take_overdue(clock.now(), kSecond).empty());
  bursts.leave(slot);
}

}  // namespace
}  // namespace weir::iotlb
