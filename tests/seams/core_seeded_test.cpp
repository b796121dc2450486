// SPDX-License-Identifier: Apache-2.0
//
// Bugs seeded into the way of a request and of a completion: a device is stopped at the point where
// it hurts, the guest does what it may do meanwhile.
#include "tests/iommu/machine.h"
#include "tests/seams/verdict.h"

namespace weir::seam {
namespace {

using iotlb::Scope;
using testing_iommu::FakeUnit;
using testing_iommu::flush_page;
using testing_iommu::kData;
using testing_iommu::Machine;
using testing_iommu::Tables;

constexpr std::uint16_t kSid = 0x20;
constexpr std::uint16_t kOtherSid = 0x28;
constexpr Iova kPage{0x5000};
constexpr Gpa kOld = kData;
constexpr Gpa kNew = kData + 4 * kPageSize;

// Two functions of one domain whose tables map kPage to kOld.
struct Scene {
  Scene() {
    for (const std::uint16_t sid : {kSid, kOtherSid}) use_root(sid, tables.root());
    tables.map(kPage, kOld);
    elsewhere.map(kPage, kNew);
    port = machine.attach(kSid);
    other = machine.attach(kOtherSid);
  }
  void use_root(std::uint16_t sid, Gpa root) {
    machine.unit->set_context(Requester::from_sid(sid), FakeUnit::second_stage(1, root));
  }
  // Where a request lands now; kData - 1 page: nowhere.
  [[nodiscard]] Gpa lands(DmaPort& by) {
    const auto t = by.translate(kPage, 8, Access::kRead);
    return t ? t->gpa : kData - kPageSize;
  }
  [[nodiscard]] bool completed(std::uint64_t number) const {
    return machine.unit->completed() >= number;
  }

  Machine machine;
  Tables tables{machine};
  Tables elsewhere{machine};
  std::unique_ptr<DmaPort> port;
  std::unique_ptr<DmaPort> other;
};

// The page is mapped elsewhere and flushed between a walk and its fill.
Verdict flush_before_the_fill() {
  Scene s;
  Actor device([&] { (void)s.lands(*s.port); });
  if (!device.run_to(Point::kWalked)) return Verdict::kWrongSchedule;
  s.tables.map(kPage, kNew);
  const std::uint64_t number = s.machine.unit->post(flush_page(1, kPage));
  device.finish();
  if (!s.completed(number)) return Verdict::kWaitsForEver;
  return s.lands(*s.other) == kNew ? Verdict::kKept : Verdict::kLeftBehind;
}

TEST(SeededCore, AMissingGenerationCheck) {
  expect_caught(Bug::kFillUnchecked, Verdict::kLeftBehind, flush_before_the_fill);
}

// The page is mapped elsewhere and flushed while a device that has its answer has not written yet.
// Once that is complete the old page is the guest's again.
Verdict write_after_the_flush() {
  Scene s;
  (void)s.lands(*s.port);
  bool early = false;
  std::uint64_t number = 0;
  Actor device([&] {
    DmaPort::Burst burst(*s.port);
    const auto t = burst.translate(kPage, 8, Access::kWrite);
    WEIR_SEAM(kTranslated);
    early = s.completed(number);
    if (t) *reinterpret_cast<std::uint64_t*>(t->host) = 1;
  });
  if (!device.run_to(Point::kTranslated)) return Verdict::kWrongSchedule;
  s.tables.map(kPage, kNew);
  number = s.machine.unit->post(flush_page(1, kPage));
  device.finish();
  if (!s.completed(number)) return Verdict::kWaitsForEver;
  return early ? Verdict::kLateWrite : Verdict::kKept;
}

TEST(SeededCore, ABurstThatIsPublishedLate) {
  expect_caught(Bug::kBurstShownLate, Verdict::kLateWrite, write_after_the_flush);
}
TEST(SeededCore, AnEarlyCompletion) {
  expect_caught(Bug::kCompletedEarly, Verdict::kLateWrite, write_after_the_flush);
}

// The guest gives the function other tables, and invalidates context and domain, between the moment
// the context is there and the moment fill tickets are taken.
Verdict switch_before_the_tickets() {
  Scene s;
  Actor device([&] { (void)s.lands(*s.port); });
  if (!device.run_to(Point::kContextRead)) return Verdict::kWrongSchedule;
  s.use_root(kSid, s.elsewhere.root());
  UnitHost& host = s.machine.unit->host();
  const Ticket tickets[] = {
      host.invalidate({.scope = Scope::kContextDevice, .requester = Requester::from_sid(kSid)}),
      host.invalidate({.scope = Scope::kDomain, .domain = DomainId{1}})};
  device.finish();
  for (const Ticket ticket : tickets)
    if (!host.settled(ticket)) return Verdict::kWaitsForEver;
  return s.lands(*s.port) == kNew ? Verdict::kKept : Verdict::kOldContext;
}

TEST(SeededCore, AContextCapturedBeforeItsOwnInvalidation) {
  expect_caught(Bug::kContextNotAskedAgain, Verdict::kOldContext, switch_before_the_tickets);
}

// The same, while the context has been read and is not in the cache yet.
Verdict switch_before_the_context_is_kept() {
  Scene s;
  s.machine.unit->after_context = [](const Request&) { WEIR_SEAM(kContextRead); };
  Actor device([&] { (void)s.lands(*s.port); });
  if (!device.run_to(Point::kContextRead)) return Verdict::kWrongSchedule;
  s.use_root(kSid, s.elsewhere.root());
  UnitHost& host = s.machine.unit->host();
  (void)host.invalidate({.scope = Scope::kContextDevice, .requester = Requester::from_sid(kSid)});
  (void)host.invalidate({.scope = Scope::kDomain, .domain = DomainId{1}});
  device.finish();
  return s.lands(*s.port) == kNew ? Verdict::kKept : Verdict::kOldContext;
}

TEST(SeededCore, AContextKeptAfterItsInvalidation) {
  expect_caught(Bug::kContextKeptUnchecked, Verdict::kOldContext,
                switch_before_the_context_is_kept);
}

// Two functions of one domain, one of which may only read. What the other's write has left in the
// IOTLB is no answer to its own.
Verdict write_through_a_shared_domain() {
  Scene s;
  iotlb::Context strict = FakeUnit::second_stage(1, s.tables.root());
  strict.rights = Permissions::read_only();
  s.machine.unit->set_context(Requester::from_sid(kOtherSid), strict);
  if (!s.port->translate(kPage, 8, Access::kWrite)) return Verdict::kWrongSchedule;
  if (!s.other->translate(kPage, 8, Access::kRead)) return Verdict::kWrongSchedule;
  return s.other->translate(kPage, 8, Access::kWrite) ? Verdict::kForeignRights : Verdict::kKept;
}

TEST(SeededCore, RightsThatLeakThroughASharedDomain) {
  expect_caught(Bug::kRightsForgotten, Verdict::kForeignRights, write_through_a_shared_domain);
}

// The lower of two stages moves a page; what was combined over it goes, whatever its own address.
Verdict move_a_page_of_the_lower_stage() {
  Scene s;
  (void)s.lands(*s.port);
  s.tables.map(kPage, kNew);
  const std::uint64_t number = s.machine.unit->post({.scope = Scope::kStage2Range,
                                                     .domain = DomainId{1},
                                                     .range = {kPage, kPage + (kPageSize - 1)}});
  if (!s.completed(number)) return Verdict::kWaitsForEver;
  return s.lands(*s.port) == kNew ? Verdict::kKept : Verdict::kOldCombinedEntry;
}

TEST(SeededCore, AForgottenStage2Range) {
  expect_caught(Bug::kStage2RangeForgotten, Verdict::kOldCombinedEntry,
                move_a_page_of_the_lower_stage);
}

// A device's burst ends while somebody else polls: one of the two has to resume the queue.
Verdict burst_ends_during_a_poll() {
  Scene s;
  Actor device([&] {
    DmaPort::Burst burst(*s.port);
    (void)burst.translate(kPage, 8, Access::kRead);
    WEIR_SEAM(kTranslated);
  });
  Actor embedder([&] { s.machine.iommu->poll(); });
  if (!device.run_to(Point::kTranslated)) return Verdict::kWrongSchedule;
  const std::uint64_t number = s.machine.unit->post(flush_page(1, kPage));
  if (s.completed(number)) return Verdict::kWrongSchedule;
  if (!embedder.run_to(Point::kUnitsPolled)) return Verdict::kWrongSchedule;
  if (!device.run_to(Point::kBurstLeft)) return Verdict::kWrongSchedule;
  embedder.finish();
  device.finish();
  return s.completed(number) ? Verdict::kKept : Verdict::kWaitsForEver;
}

TEST(SeededCore, TicketsClosedAfterTheUnitsWereAsked) {
  expect_caught(Bug::kCollectedLate, Verdict::kWaitsForEver, burst_ends_during_a_poll);
}

}  // namespace
}  // namespace weir::seam
