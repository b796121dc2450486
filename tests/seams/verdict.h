// SPDX-License-Identifier: Apache-2.0
//
// What a schedule shows, by name, and how a seeded bug is shown to be caught: the same schedule
// keeps the law with the code as it is, and breaks the expected one with the bug switched on.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>

#include "tests/seams/actor.h"

namespace weir::seam {

enum class Verdict : std::uint8_t {
  kKept,
  kLeftBehind,        // L2: an old answer is found after the completion
  kLateWrite,         // L1: a device wrote after the completion
  kLateTableWrite,    // L1: a walk wrote into a page that is no table any more
  kTornEntry,         // L3
  kNotRemoved,        // L5: what an invalidation covers is still there
  kForeignPasid,      // L5: one PASID got another's answer
  kOldHostPage,       // L7: the answer lies where the host map no longer points
  kOldCombinedEntry,  // L7: a combined entry outlived the stage-2 page it rests on
  kOldContext,        // L2: a context that was invalidated is used
  kOldDeviceEntry,    // L2: a device TLB holds what was invalidated
  kShownEarly,        // L1: a status that says "done" before it is
  kForeignRights,     // L10
  kOldReach,          // L1: a page or window that was taken away is still reached
  kWaitsForEver,      // L8: nobody resumes what was parked
  kWrongSchedule,     // the schedule did not come about: the test is wrong
};

inline void PrintTo(Verdict verdict, std::ostream* out) {
  constexpr const char* kNames[] = {"kept",
                                    "left behind",
                                    "late write",
                                    "late table write",
                                    "torn entry",
                                    "not removed",
                                    "foreign PASID",
                                    "old host page",
                                    "old combined entry",
                                    "old context",
                                    "old device entry",
                                    "shown early",
                                    "foreign rights",
                                    "old reach",
                                    "waits for ever",
                                    "wrong schedule"};
  *out << kNames[static_cast<std::size_t>(verdict)];
}

template <typename Schedule>
void expect_caught(Bug bug, Verdict as, Schedule schedule) {
  EXPECT_EQ(schedule(), Verdict::kKept) << "the code as it is";
  const Seeded seeded(bug);
  EXPECT_EQ(schedule(), as) << "with the bug";
}

}  // namespace weir::seam
