// SPDX-License-Identifier: Apache-2.0
//
// The queue while something holds it up: no call waits, nothing is told to the guest before it is
// true (L1), and whoever comes later carries on.
#include <gtest/gtest.h>

#include <thread>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

class QueueParkingTest : public UnitTest {
 protected:
  QueueParkingTest() { enable_queue(); }
};

TEST_F(QueueParkingTest, WaitIsNotCompletedWhileHeld) {
  write32(kIectlAt, 0);
  host_.hold();
  post(kFlushDomain4);
  EXPECT_EQ(head(), 16U);
  post(0x35 | std::uint64_t{2} << 32, kStatusAt);
  for (int i = 0; i < 10; ++i) unit_.poll();
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  EXPECT_EQ(read32(kIcs), 0U);
  EXPECT_EQ(head(), 16U) << "parked at the wait";
  EXPECT_TRUE(host_.messages().empty());
  host_.release();
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  unit_.poll();
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(read32(kIcs), 1U);
  EXPECT_EQ(head(), 32U);
  EXPECT_EQ(host_.messages().size(), 1U);
  unit_.poll();
  EXPECT_EQ(host_.messages().size(), 1U);
}

// Every earlier invalidation counts, those before an earlier wait that has completed do not.
TEST_F(QueueParkingTest, WaitsForAllBeforeIt) {
  host_.hold();
  for (int i = 0; i < 3; ++i) post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  for (int i = 0; i < 2; ++i) {
    host_.release_one();
    unit_.poll();
    EXPECT_EQ(host_.load32(kStatusAt), 0U) << i;
  }
  host_.release_one();
  unit_.poll();
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
}

// What is behind a parked wait stays there: its invalidations have not begun.
TEST_F(QueueParkingTest, NothingOvertakesAParkedWait) {
  host_.hold();
  post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  post(0x500e2);
  post(0x25 | std::uint64_t{3} << 32, kStatusAt + 4);
  EXPECT_EQ(host_.invalidations().size(), 1U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(host_.invalidations().size(), 2U);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(host_.load32(kStatusAt + 4), 3U);
}

TEST_F(QueueParkingTest, AnotherTailWriteCarriesOnToo) {
  host_.hold();
  post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  host_.release();
  post(0x25 | std::uint64_t{3} << 32, kStatusAt + 4);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(host_.load32(kStatusAt + 4), 3U);
}

TEST_F(QueueParkingTest, AnotherThreadsPollCarriesOn) {
  host_.hold();
  post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  std::thread other([this] {
    host_.release();
    unit_.poll();
  });
  other.join();
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
}

// The ticket settles, and somebody polls for it, just after the runner has been told that it had
// not: nobody will poll again, so the runner has to look once more.
TEST_F(QueueParkingTest, SettledBetweenAskingAndParking) {
  host_.hold();
  post(kFlushDomain4);
  host_.after_asking = [this] {
    host_.release();
    unit_.poll();
  };
  post(kWaitStatus, kStatusAt);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
}

// 10.4.4: QIES goes when the queue has drained.
TEST_F(QueueParkingTest, DisablingDrains) {
  host_.hold();
  post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  turn_off(kQie);
  EXPECT_EQ(read32(kGsts), kQie);
  EXPECT_EQ(head(), 16U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(read32(kGsts), 0U);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(head(), 0U);
}

TEST_F(QueueParkingTest, DisablingWaitsForInvalidationsWithoutAWait) {
  host_.hold();
  post(kFlushDomain4);
  turn_off(kQie);
  EXPECT_EQ(read32(kGsts), kQie);
  host_.release();
  unit_.poll();
  EXPECT_EQ(read32(kGsts), 0U);
}

// What was posted together is asked about once, before the wait that follows; and what no wait
// follows is not forgotten.
TEST_F(QueueParkingTest, WhatIsPostedTogetherSharesATicket) {
  host_.hold();
  for (std::uint64_t i = 0; i < 100; ++i) put_descriptor(i, kFlushDomain4);
  put_descriptor(100, kWaitStatus, kStatusAt);
  write32(kIqt, 101 * 16);
  EXPECT_EQ(host_.invalidations().size(), 100U) << "dropped at once";
  EXPECT_EQ(host_.open_tickets(), 1U);
  EXPECT_EQ(host_.largest_cover(), 100U);
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  host_.hold();
  post(kFlushDomain4);
  EXPECT_EQ(host_.open_tickets(), 1U);
}

// A command that is not understood stops the queue; what came before it counts nevertheless.
TEST_F(QueueParkingTest, AnErrorDoesNotSeparateAWaitFromWhatCameBefore) {
  host_.hold();
  put_descriptor(0, kFlushDomain4);
  put_descriptor(1, 0xf);
  write32(kIqt, 32);
  EXPECT_EQ(read32(kFsts), kIqe);
  EXPECT_EQ(host_.open_tickets(), 1U);
  put_descriptor(1, kWaitStatus, kStatusAt);
  write32(kFsts, kIqe);
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
}

// However long the queue is, what one ticket remembers is bounded.
TEST_F(QueueParkingTest, ATicketStandsForSoMany) {
  write32(kIqt, 0);
  turn_off(kQie);
  enable_queue(kQueueAt | 2);  // four pages
  host_.hold();
  for (std::uint64_t i = 0; i < 1000; ++i) put_descriptor(i, kFlushDomain4);
  write32(kIqt, 1000 * 16);
  EXPECT_EQ(host_.invalidations().size(), 1000U);
  EXPECT_LE(host_.largest_cover(), 256U);
  EXPECT_LE(host_.open_tickets(), 4U);
}

// A guest that never waits cannot make the list of what is under way grow without limit.
TEST_F(QueueParkingTest, OutstandingInvalidationsAreBounded) {
  host_.hold();
  for (int i = 0; i < 3000; ++i) post(kFlushDomain4);
  EXPECT_LE(host_.open_tickets(), 1024U);
  EXPECT_NE(head(), read32(kIqt));
  host_.release();
  unit_.poll();
  EXPECT_EQ(head(), read32(kIqt));
}

TEST_F(QueueParkingTest, OtherCommandsGoOnMeanwhile) {
  host_.hold();
  post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  unit_.record(fault_from(kSid, 0x1000));
  EXPECT_EQ(read32(kFsts), kPpf);
  turn_on(kTe);
  EXPECT_EQ(host_.modes(), std::vector{UnitMode::kTranslating});
}

TEST_F(QueueParkingTest, ResetForgetsAParkedWait) {
  host_.hold();
  post(kFlushDomain4);
  post(kWaitStatus, kStatusAt);
  unit_.reset();
  EXPECT_EQ(head(), 0U);
  EXPECT_EQ(read32(kGsts), 0U);
  host_.release();
  unit_.poll();
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  commanded_ = 0;
  enable_queue();
  post(kWaitStatus, kStatusAt);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
}

}  // namespace
}  // namespace weir::vtd::test
