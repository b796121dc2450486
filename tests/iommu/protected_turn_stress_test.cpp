// SPDX-License-Identifier: Apache-2.0
//
// A guest turns protected under load: L1 for pages, windows and groups, and not one DMA lost or
// doubled.
#include <gtest/gtest.h>

#include "tests/iommu/protected_turn.h"

namespace weir::testing_iommu {
namespace {

TEST(ProtectedTurnStress, NothingReachesWhatWasTakenAway) {
  const auto turn = std::make_unique<ProtectedTurn>();
  turn->run(kRounds / 40);
  EXPECT_EQ(turn->found.late_writes, 0u);
  EXPECT_EQ(turn->found.late_reads, 0u);
  EXPECT_EQ(turn->found.wrong_accounts, 0u);
  EXPECT_EQ(turn->found.wrong_faults, 0u);
  EXPECT_EQ(turn->found.not_complete, 0u);
  EXPECT_GT(turn->found.accesses, 0u);
  EXPECT_GT(turn->found.refusals, 0u);
  for (const auto& accesses : turn->found.accesses_of) EXPECT_GT(accesses, 0u);
  EXPECT_GT(turn->found.pages_turned, 0u);
  EXPECT_GT(turn->found.windows_moved, 0u);
  EXPECT_GT(turn->found.groups_moved, 0u);
}

}  // namespace
}  // namespace weir::testing_iommu
