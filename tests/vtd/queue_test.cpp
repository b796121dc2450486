// SPDX-License-Identifier: Apache-2.0
//
// The invalidation queue while nothing holds it up: Q3 errors and going on, Q4 enabling and
// disabling, Q5 widths, Q6 waits, R7 the error record, and bases and tails that lead nowhere.
//
// Clauses of the manual: 6.5.2 (Q5, Q6), 10.4.9 and 10.4.29 (Q3), 10.4.4 and 10.4.21 to 10.4.23
// (Q4).
#include <gtest/gtest.h>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

using iotlb::Scope;

class QueueTest : public UnitTest {
 protected:
  QueueTest() : UnitTest(Options{.max_address_mask = 18}) {}

  void expect_stopped(unsigned info, std::uint64_t at) {
    EXPECT_EQ(read32(kFsts) & kIqe, kIqe);
    EXPECT_EQ(queue_error(), info);
    EXPECT_EQ(head(), at);
  }
};

TEST_F(QueueTest, DescriptorsAreTakenInOrder) {
  enable_queue();
  EXPECT_EQ(read32(kGsts), kQie);
  put_descriptor(0, 0x31);
  put_descriptor(1, kFlushDomain4);
  put_descriptor(2, 0x400f2, 0xffffe001);
  put_descriptor(3, kWaitStatus, kStatusAt);
  write32(kIqt, 4 * 16);
  const auto what = host_.invalidations();
  ASSERT_EQ(what.size(), 3U);
  EXPECT_EQ(what[0].scope, Scope::kContextDevice);
  EXPECT_EQ(what[1].scope, Scope::kDomain);
  EXPECT_EQ(what[2].scope, Scope::kRange);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(head(), 4U * 16);
  EXPECT_EQ(read32(kFsts), 0U);
}

TEST_F(QueueTest, RingWraps) {
  enable_queue();
  for (unsigned i = 0; i < 600; ++i) {
    post(kFlushDomain4);
    post(0x25 | std::uint64_t{i + 1} << 32, kStatusAt);
    ASSERT_EQ(host_.load32(kStatusAt), i + 1);
  }
  EXPECT_EQ(head(), 1200U * 16 % 4096);
}

// QS: 2^QS pages; the largest ring is 512 KiB.
TEST_F(QueueTest, Sizes) {
  for (std::uint64_t qs = 0; qs < 8; ++qs) {
    write32(kIqt, 0);
    write64(kIqa, 0x100000 | qs);
    turn_on(kQie);
    const std::uint64_t last = (std::uint64_t{4096} << qs) - 16;
    for (std::uint64_t at = 0; at < last; at += 16) host_.store(0x100000 + at, 0x25);
    for (std::uint64_t at = 0; at < last; at += 16) host_.store(0x100000 + at + 8, kStatusAt);
    write32(kIqt, static_cast<std::uint32_t>(last));
    EXPECT_EQ(head(), last);
    EXPECT_EQ(read32(kFsts), 0U);
    turn_off(kQie);
    write32(kIqt, 0);
    turn_on(kQie);
    // One past the ring, where that can be said at all.
    if (qs < 7) {
      write32(kIqt, static_cast<std::uint32_t>(last + 16));
      expect_stopped(1, 0);
      write32(kIqt, 0);
      write32(kFsts, kIqe);
      EXPECT_EQ(read32(kFsts), 0U);
    }
    turn_off(kQie);
  }
}

// Q6: every combination of IF, SW and FN; PD is reserved without page requests.
TEST_F(QueueTest, Q6Waits) {
  write32(kIectlAt, 0);
  write32(kIedataAt, 0x55);
  write32(kIeaddrAt, 0xfee02000);
  enable_queue();
  for (std::uint64_t flags = 0; flags < 8; ++flags) {
    host_.forget();
    host_.store(kStatusAt, 0);
    write32(kIcs, 1);
    post(5 | flags << 4 | 0xcafeULL << 32, kStatusAt + 4);
    const bool interrupt = (flags & 1) != 0;
    const bool status = (flags & 2) != 0;
    EXPECT_EQ(host_.load(kStatusAt), status ? 0xcafe00000000U : 0U);
    EXPECT_EQ(read32(kIcs), interrupt ? 1U : 0U);
    EXPECT_EQ(host_.messages().size(), interrupt ? 1U : 0U);
    if (interrupt) {
      EXPECT_EQ(host_.messages()[0], (Msi{.address = 0xfee02000, .data = 0x55}));
    }
    EXPECT_EQ(read32(kFsts), 0U);
  }
  post(0xa5, kStatusAt);
  EXPECT_EQ(queue_error(), 4U);
}

// 10.4.24, 10.4.25: IWC that is still set makes no new event; a masked one waits in IP.
TEST_F(QueueTest, Q6CompletionEvent) {
  enable_queue();
  post(0x15);
  EXPECT_EQ(read32(kIectlAt), kIm | kIp);
  EXPECT_EQ(read32(kIcs), 1U);
  write32(kIectlAt, 0);
  EXPECT_EQ(host_.messages().size(), 1U);
  EXPECT_EQ(read32(kIectlAt), 0U);
  post(0x15);
  EXPECT_EQ(host_.messages().size(), 1U) << "IWC was not cleared";
  write32(kIcs, 1);
  post(0x15);
  EXPECT_EQ(host_.messages().size(), 2U);
  // Serviced before it was unmasked: it lapses.
  write32(kIcs, 1);
  write32(kIectlAt, kIm);
  post(0x15);
  write32(kIcs, 1);
  EXPECT_EQ(read32(kIectlAt), kIm);
  write32(kIectlAt, 0);
  EXPECT_EQ(host_.messages().size(), 2U);
}

TEST_F(QueueTest, StatusWithoutMemoryBehindItIsLost) {
  enable_queue();
  post(kWaitStatus, kOutsideRam);
  post(kWaitStatus, ~std::uint64_t{3});
  EXPECT_EQ(read32(kFsts), 0U);
  EXPECT_EQ(head(), 32U);
}

// Q3, R7: the head stays at the culprit, nothing is fetched meanwhile, and clearing IQE goes on
// there.
TEST_F(QueueTest, Q3ErrorStopsAndClearingGoesOn) {
  enable_queue();
  post(kFlushDomain4);
  post(0xf);
  expect_stopped(3, 16);
  post(kWaitStatus, kStatusAt);
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  expect_stopped(3, 16);
  put_descriptor(1, kFlushDomain4);
  write32(kFsts, kIqe);
  EXPECT_EQ(read32(kFsts), 0U);
  EXPECT_EQ(queue_error(), 0U);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(head(), 48U);
  EXPECT_EQ(host_.invalidations().size(), 2U);
}

TEST_F(QueueTest, Q3NotRepairedStopsAgain) {
  enable_queue();
  post(kFlushDomain4 | 1 << 8);
  expect_stopped(4, 0);
  write32(kFsts, kIqe);
  expect_stopped(4, 0);
  repair();
  EXPECT_EQ(head(), 16U);
}

// Q5: 6, 7, 8 speak of PASIDs; on a 128-bit queue they are no types.
TEST_F(QueueTest, Q5PasidDescriptors) {
  enable_queue();
  for (const std::uint64_t low : {0x40026U, 0x20017U, 0x8U, 0x9U}) {
    const std::uint64_t at = head();
    post(low);
    expect_stopped(3, at);
    repair();
  }
}

// IQEI 5: 256-bit descriptors belong to scalable mode; 6: and their tail is a multiple of 32.
TEST_F(QueueTest, Q5WideQueueIsRefused) {
  enable_queue(kQueueAt | 1 << 11);
  EXPECT_EQ(read32(kGsts), kQie);
  EXPECT_EQ(read32(kFsts), 0U) << "nothing to fetch yet";
  write32(kIqt, 0x20);
  expect_stopped(5, 0);
  write32(kIqt, 0x30);
  expect_stopped(6, 0);
  EXPECT_EQ(read32(kIqt), 0x20U);
  write32(kFsts, kIqe);
  expect_stopped(5, 0);
  turn_off(kQie);
  enable_queue();
  write32(kFsts, kIqe);
  post(kWaitStatus, kStatusAt);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
}

// IQEI 2: a ring outside memory, or half outside.
TEST_F(QueueTest, FetchErrors) {
  for (const std::uint64_t base : {kOutsideRam, ~std::uint64_t{0xfff}, std::uint64_t{1} << 47}) {
    enable_queue(base);
    write32(kIqt, 16);
    expect_stopped(2, 0);
    turn_off(kQie);
    write32(kFsts, kIqe);
  }
  enable_queue((kRamBytes - 4096) | 1);
  for (std::uint64_t at = kRamBytes - 4096; at < kRamBytes; at += 16) host_.store(at, 0x14);
  write32(kIqt, 0x1ff0);
  expect_stopped(2, 0x1000);
}

// IQEI 1 for every tail outside the ring; all others are taken.
TEST_F(QueueTest, TailsAnywhere) {
  for (std::uint64_t at = 0; at < 4096; at += 16) host_.store(kQueueAt + at, 0x14);
  enable_queue();
  for (std::uint64_t tail = 0; tail < 0x90000; tail += 0x7f0) {
    write64(kIqt, tail | 0xf | 0xfff0000000000000);
    const std::uint64_t kept = tail & 0x7fff0;
    EXPECT_EQ(read64(kIqt), kept);
    if (kept < 4096) {
      EXPECT_EQ(head(), kept);
      EXPECT_EQ(read32(kFsts), 0U);
    } else {
      EXPECT_EQ(queue_error(), 1U);
      write32(kIqt, 0);
      write32(kFsts, kIqe);
      EXPECT_EQ(read32(kFsts), 0U);
    }
  }
}

// Q4: an empty queue can be turned off, before and after use; IQH reads 0 while it is off.
TEST_F(QueueTest, Q4DisableEmptyQueue) {
  enable_queue();
  turn_off(kQie);
  EXPECT_EQ(read32(kGsts), 0U);
  enable_queue();
  post(kFlushDomain4);
  EXPECT_EQ(head(), 16U);
  turn_off(kQie);
  EXPECT_EQ(read32(kGsts), 0U);
  EXPECT_EQ(head(), 0U);
  // Nothing is fetched while it is off.
  write32(kIqt, 0x100);
  EXPECT_EQ(host_.invalidations().size(), 1U);
  // A stopped queue can be turned off too.
  enable_queue();
  post(0xf);
  turn_off(kQie);
  EXPECT_EQ(read32(kGsts), 0U);
}

// A tail written before the queue was enabled counts.
TEST_F(QueueTest, Q4TailBeforeEnable) {
  put_descriptor(0, kFlushDomain4);
  put_descriptor(1, kWaitStatus, kStatusAt);
  write64(kIqa, kQueueAt);
  write32(kIqt, 32);
  EXPECT_EQ(host_.load32(kStatusAt), 0U);
  turn_on(kQie);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(head(), 32U);
}

// The base is latched: moving it under a running queue changes nothing until it is enabled anew.
TEST_F(QueueTest, BaseIsLatched) {
  enable_queue();
  write64(kIqa, kOutsideRam | 7);
  post(kWaitStatus, kStatusAt);
  EXPECT_EQ(host_.load32(kStatusAt), 2U);
  EXPECT_EQ(read32(kFsts), 0U);
}

// An interrupt sink that calls straight back in, as a guest's handler on the same thread would.
TEST_F(QueueTest, SinkMayCallBackIn) {
  write32(kIectlAt, 0);
  enable_queue();
  int calls = 0;
  host_.on_raise = [&](Msi) {
    if (++calls > 3) return;
    write32(kIcs, 1);
    post(0x15);
    unit_.poll();
    (void)read64(kIqh);
    turn_on(kTe);  // not the queue's: taken up in another pass
  };
  post(0x15);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(read32(kGsts), kTe | kQie);
  EXPECT_EQ(head(), 4U * 16);
}

}  // namespace
}  // namespace weir::vtd::test
