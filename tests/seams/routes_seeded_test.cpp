// SPDX-License-Identifier: Apache-2.0
//
// Bugs seeded into transitions: pages that stay shared, and a completion that waits for nobody. The
// schedule catches each, and so does the whole load of the stress test.
#include "tests/iommu/machine.h"
#include "tests/iommu/protected_turn.h"
#include "tests/seams/verdict.h"

namespace weir::seam {
namespace {

using testing_iommu::kData;
using testing_iommu::Machine;
using testing_iommu::ProtectedTurn;

constexpr Iova kPage{kData.value()};
const Transition kPrivate{.made_private = {{kData, kData + (kPageSize - 1)}}};

// The page turns private while a device that has its answer has not written yet.
Verdict write_after_the_turn() {
  Machine machine{{.coverage = {}}};
  const auto port = machine.attach(0x20);
  bool early = false;
  Change change;
  Actor device([&] {
    DmaPort::Burst burst(*port);
    const auto t = burst.translate(kPage, 8, Access::kWrite);
    WEIR_SEAM(kTranslated);
    early = change.complete();
    if (t) *reinterpret_cast<std::uint64_t*>(t->host) = 1;
  });
  if (!device.run_to(Point::kTranslated)) return Verdict::kWrongSchedule;
  change = machine.iommu->apply(kPrivate).value();
  device.finish();
  if (!change.complete()) return Verdict::kWaitsForEver;
  return early ? Verdict::kLateWrite : Verdict::kKept;
}

TEST(SeededRoutes, ATransitionThatWaitsForNobody) {
  expect_caught(Bug::kTransitionNotAwaited, Verdict::kLateWrite, write_after_the_turn);
}

Verdict access_after_the_turn() {
  Machine machine{{.coverage = {}}};
  const auto port = machine.attach(0x20);
  if (!port->translate(kPage, 8, Access::kRead)) return Verdict::kWrongSchedule;
  if (!machine.iommu->apply(kPrivate).value().complete()) return Verdict::kWaitsForEver;
  return port->translate(kPage, 8, Access::kRead) ? Verdict::kOldReach : Verdict::kKept;
}

TEST(SeededRoutes, PagesThatStayShared) {
  expect_caught(Bug::kPagesStayShared, Verdict::kOldReach, access_after_the_turn);
}

// The load itself can fail: each bug is found before it has gone far.
TEST(SeededRoutes, TheLoadFindsThem) {
  for (const Bug bug : {Bug::kTransitionNotAwaited, Bug::kPagesStayShared}) {
    const Seeded seeded(bug);
    const auto turn = std::make_unique<ProtectedTurn>();
    turn->run(20000);
    EXPECT_GT(turn->found.all(), 0u) << static_cast<int>(bug);
  }
  const auto turn = std::make_unique<ProtectedTurn>();
  turn->run(200);
  EXPECT_EQ(turn->found.all(), 0u) << "the code as it is";
}

}  // namespace
}  // namespace weir::seam
