// SPDX-License-Identifier: Apache-2.0
//
// A bug seeded into VT-d's front door: translation is said to be on while requests that passed
// before it was are still in flight.
#include "tests/iommu/machine.h"
#include "tests/seams/verdict.h"
#include "vendors/vtd/unit.h"

namespace weir::seam {
namespace {

using testing_iommu::kData;
using testing_iommu::kUnitBase;
using testing_iommu::Machine;

// GCMD_REG and GSTS_REG, TE and TES (VT-d 10.4.4, 10.4.5; Linux include/linux/iommu.h).
constexpr std::uint64_t kGcmd = 0x18, kGsts = 0x1c, kTranslation = 1U << 31;

Verdict enable_under_a_burst() {
  Machine machine(Machine::Options{.add_unit = false});
  auto& unit = machine.iommu->add_unit<vtd::Unit>(kUnitBase, vtd::Options{});
  const auto port = machine.attach(0x20);
  const auto shown = [&] { return (unit.read_register(kGsts, 4) & kTranslation) != 0; };
  Actor device([&] {
    DmaPort::Burst burst(*port);
    const auto t = burst.translate(Iova(kData.value()), 8, Access::kWrite);
    WEIR_SEAM(kTranslated);
    if (t) *reinterpret_cast<std::uint64_t*>(t->host) = 1;
  });
  if (!device.run_to(Point::kTranslated)) return Verdict::kWrongSchedule;
  unit.write_register(kGcmd, 4, kTranslation);
  const bool early = shown();
  device.finish();
  if (!shown()) return Verdict::kWaitsForEver;
  return early ? Verdict::kShownEarly : Verdict::kKept;
}

TEST(SeededVtd, TesShownBeforeTheDrain) {
  expect_caught(Bug::kModeShownEarly, Verdict::kShownEarly, enable_under_a_burst);
}

}  // namespace
}  // namespace weir::seam
