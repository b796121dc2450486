// SPDX-License-Identifier: Apache-2.0
//
// L1, L2 and L7 as somebody outside sees them: nothing that is returned, copied, or written into a
// table after a completion is older than the completion. Guests map, unmap, remap, change
// permissions, grow and shrink pages, switch contexts; the embedder moves memory; devices burst,
// copy and pin. Afterwards the books add up (L9).
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "tests/iommu/linear_run.h"

namespace weir::testing_iommu::linear {
namespace {

[[nodiscard]] std::chrono::seconds time_of_all() {
  const char* set = std::getenv("WEIR_LONG");
  return std::chrono::seconds(set != nullptr && std::string_view(set) == "1" ? 60 : 10);
}

void expect_clean(const CacheOptions& caches, std::chrono::steady_clock::duration time) {
  Run run(caches);
  run.go(time, 200);
  EXPECT_EQ(run.findings.stale_answers, 0u);
  EXPECT_EQ(run.findings.stale_faults, 0u);
  EXPECT_EQ(run.findings.stale_reads, 0u);
  EXPECT_EQ(run.findings.late_writes, 0u);
  EXPECT_EQ(run.findings.late_updates, 0u);
  EXPECT_EQ(run.findings.lost_wake_ups, 0u);

  const Stats stats = run.iommu.stats();
  EXPECT_EQ(stats.pieces(), run.pieces);
  EXPECT_EQ(stats.of(Outcome::kFaulted), run.faults);
  std::uint64_t by_reason = 0;
  for (const auto& [reason, count] : stats.faults) by_reason += count;
  EXPECT_EQ(by_reason, run.faults);
  EXPECT_EQ(stats.pieces(), stats.of(Outcome::kHit) + stats.of(Outcome::kWalked) + run.faults);
  // A walk ends as an entry, as one that came too late, or as a fault.
  EXPECT_EQ(stats.walks, stats.of(Outcome::kWalked) + run.faults);
  EXPECT_EQ(stats.of(Outcome::kWalked), stats.fills + stats.refused_fills);
  EXPECT_GT(stats.of(Outcome::kHit), 0u);
  EXPECT_GE(run.operations, 200u);
  std::cout << run.operations << " operations, " << run.pieces << " accesses, "
            << stats.of(Outcome::kHit) << " hits, " << run.faults << " faults, "
            << stats.refused_fills << " fills refused, " << stats.waits_parked << " waits\n";
}

TEST(Linearizability, HoldsWhereEverythingFits) { expect_clean({}, time_of_all() / 2); }

// Entries come and go all the time.
TEST(Linearizability, HoldsInTinyCaches) {
  expect_clean({.entries = 8,
                .walk = {.stage1_tables = 4, .stage2_tables = 4, .stage2_pages = 4},
                .host_map_entries = 4},
               time_of_all() / 2);
}

}  // namespace
}  // namespace weir::testing_iommu::linear
