// SPDX-License-Identifier: Apache-2.0
//
// A machine whose guest and devices have a thread each is recorded, and what was recorded replays
// on one thread to the same: turns are all the order that there is.
#include <gtest/gtest.h>

#include <cstdlib>

#include "replay/replay_loop.h"
#include "tests/replay/recorded_sessions.h"
#include "tests/replay/trace_files.h"

namespace weir::replay {
namespace {

TEST(RecordingUnderFire, ReplaysToTheSame) {
  const ScratchFile file("");
  const int steps = std::getenv("WEIR_LONG") != nullptr ? 200000 : 4000;
  const Stats books = test::record_threads(file.path(), {.seed = 1, .steps = steps});
  EXPECT_GT(books.of(Outcome::kHit), 50U);
  EXPECT_GT(books.of(Outcome::kWalked), 50U);
  EXPECT_GT(books.of(Outcome::kFaulted), 10U);
  const auto report = replay_trace(file.path(), {});
  ASSERT_TRUE(report) << report.error().to_string();
  for (const std::string& difference : report->differences) ADD_FAILURE() << difference;
  ASSERT_TRUE(report->played);
  EXPECT_TRUE(report->good());
  EXPECT_EQ(books_of(report->stats), books_of(books));
}

}  // namespace
}  // namespace weir::replay
