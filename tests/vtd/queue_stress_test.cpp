// SPDX-License-Identifier: Apache-2.0
//
// Registers, faults, polls and translations from several threads at once, with tickets that settle
// late: every wait completes once and in order, and nothing is lost when threads meet.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/vtd/unit_fixture.h"

namespace weir::vtd::test {
namespace {

class QueueStressTest : public UnitTest {};

// One driver posts; another thread settles and polls. The driver never polls itself, so a note that
// is lost between the two shows as a wait that never completes.
TEST_F(QueueStressTest, NoWakeUpIsLost) {
  enable_queue();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop.load()) {
      host_.release();
      unit_.poll();
    }
  });
  for (std::uint32_t i = 1; i <= 3000; ++i) {
    host_.hold();
    post(kFlushDomain4);
    post(0x25 | std::uint64_t{i} << 32, kStatusAt);
    while (host_.load32(kStatusAt) != i) std::this_thread::yield();
  }
  stop.store(true);
  other.join();
  EXPECT_EQ(head(), read32(kIqt));
}

TEST_F(QueueStressTest, EverythingAtOnce) {
  set_tables();
  enable_queue();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {  // a device that translates and faults
    while (!stop.load()) {
      EXPECT_EQ(code_of(request(0)), 0U);
      const auto fault = fault_of(request(0x5000));
      ASSERT_TRUE(fault);
      unit_.record(*fault);
    }
  });
  threads.emplace_back([&] {  // a fault handler
    while (!stop.load()) {
      for (unsigned i = 0; i < options_.fault_records; ++i)
        unit_.write_register(kFrcd + i * 16 + 12, 4, 1U << 31);
      unit_.write_register(kFsts, 4, kPfo);
      unit_.write_register(kFectlAt, 4, 0);
    }
  });
  threads.emplace_back([&] {  // a polling thread, and pins that come and go
    while (!stop.load()) {
      host_.hold();
      unit_.poll();
      host_.release();
      unit_.poll();
    }
  });
  for (std::uint32_t i = 1; i <= 5000; ++i) {
    command(kSrtp);
    post(kFlushDomain4);
    post(0x25 | std::uint64_t{i} << 32, kStatusAt);
    while (host_.load32(kStatusAt) != i) std::this_thread::yield();
    if (i % 512 == 0) host_.forget();
  }
  stop.store(true);
  for (std::thread& t : threads) t.join();
  host_.release();
  unit_.poll();
  EXPECT_EQ(read32(kGsts), kSrtp | kQie);
}

}  // namespace
}  // namespace weir::vtd::test
