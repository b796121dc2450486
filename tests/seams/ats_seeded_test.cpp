// SPDX-License-Identifier: Apache-2.0
//
// A bug seeded into a device's own TLB: the answer to a translation request is kept although an
// invalidation of its page came in between, and was acknowledged.
#include "iommu/device_tlb_client.h"
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

constexpr Requester kFunction = Requester::from_sid(0x20);
constexpr Iova kPage{0x5000};
constexpr Gpa kNew = kData + 4 * kPageSize;

Verdict invalidate_before_the_answer_is_kept() {
  Machine machine;
  Tables tables(machine);
  tables.map(kPage, kData);
  iotlb::Context context = FakeUnit::second_stage(1, tables.root());
  context.allow_translation_requests = true;
  context.allow_translated = true;
  machine.unit->set_context(kFunction, context);
  const auto port = machine.attach(kFunction.bdf);
  const auto client = DeviceTlbClient::attach(*port, 64);
  const auto lands = [&] {
    DmaPort::Burst burst(*port);
    const auto t = client->translate(burst, kPage, 8, Access::kWrite);
    return t ? t->gpa : Gpa(0);
  };

  Actor device([&] { (void)lands(); });
  if (!device.run_to(Point::kAnswered)) return Verdict::kWrongSchedule;
  tables.map(kPage, kNew);
  UnitHost& host = machine.unit->host();
  const Ticket tickets[] = {host.invalidate(flush_page(1, kPage)),
                            host.invalidate_device_tlb({.scope = Scope::kDeviceTlb,
                                                        .requester = kFunction,
                                                        .range = {kPage, kPage + (kPageSize - 1)}},
                                                       std::nullopt)};
  for (const Ticket ticket : tickets)
    if (host.settled(ticket)) return Verdict::kWrongSchedule;
  device.finish();
  for (const Ticket ticket : tickets)
    if (!host.settled(ticket)) return Verdict::kWaitsForEver;
  return lands() == kNew ? Verdict::kKept : Verdict::kOldDeviceEntry;
}

TEST(SeededAts, AnAnswerInstalledAfterItsInvalidation) {
  expect_caught(Bug::kDeviceTlbUnchecked, Verdict::kOldDeviceEntry,
                invalidate_before_the_answer_is_kept);
}

}  // namespace
}  // namespace weir::seam
