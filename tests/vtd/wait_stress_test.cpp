// SPDX-License-Identifier: Apache-2.0
//
// C3: translation and invalidation as one history. Device threads translate while a driver rewrites
// one page again and again, each time with the flush and the wait that make it hold. Whatever a
// device is told was in force at some moment of its question: never what a wait that had completed
// before has ended (6.5.2.8: a wait completes after the invalidations before it, and after the
// requests that used what they end).
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint64_t kIova = 0x10000;
// Every rewrite has a page of its own, so that an answer says which one it comes from.
constexpr std::uint64_t kPages = 0x400000, kRewrites = 400;
constexpr unsigned kDevices = 3;

enum Type : std::uint64_t { kFirst = 1, kSecond = 2, kNested = 3 };

class WaitStress : public ::testing::TestWithParam<Type> {
 protected:
  WaitStress() : machine_(profile::full()) {
    const std::uint64_t root = machine_.page(), contexts = machine_.page(),
                        directory = machine_.page(), pasids = machine_.page();
    const std::uint64_t upper = machine_.page(), lower = machine_.page();
    machine_.put(root, contexts | 1);
    machine_.put(directory, pasids | 1);
    machine_.put(pasids + 16, upper | 16);
    machine_.put(pasids + 8, 5 | 1 << 23);
    machine_.put(pasids, lower | 2 << 2 | std::uint64_t{GetParam()} << 6 | 1);
    for (unsigned i = 0; i < kDevices; ++i) {
      machine_.put(contexts + sid(i) * 32U, directory | 9);
      (void)machine_.device(sid(i));
    }
    const std::uint64_t upper_at = machine_.entry_for(upper, 4, kIova, 7);
    const std::uint64_t lower_at = machine_.entry_for(lower, 4, kIova, 3);
    machine_.put(upper_at, kIova | 7);
    // The first stage's tables, through the second.
    for (std::uint64_t gpa = 0x100000; gpa < 0x180000; gpa += 0x1000)
      machine_.put(machine_.entry_for(lower, 4, gpa, 3), gpa | 3);
    leaf_ = GetParam() == kFirst ? upper_at : lower_at;
    rewrite(0);
    machine_.start_queue();
    machine_.writeq(0x20, root | 0x400);
    machine_.command(WholeMachine::kSrtp);
    machine_.command(WholeMachine::kTe);
  }
  [[nodiscard]] static std::uint16_t sid(unsigned i) {
    return static_cast<std::uint16_t>(0x10 + i * 8);
  }
  void rewrite(std::uint64_t number) {
    machine_.put(leaf_, (kPages + number * 0x1000) | (GetParam() == kFirst ? 7 : 3));
  }
  // The flush of the page, by turns of the page and of the domain, and its wait.
  void flush(std::uint64_t number) {
    const bool page = number % 2 == 0;
    const std::uint64_t low = GetParam() == kFirst ? (page ? 0x36 : 0x26) : (page ? 0xf2 : 0xe2);
    (void)machine_.post_unwaited(low | 5U << 16, page ? kIova : 0);
    while (machine_.wait_status() != machine_.wait_serial()) {
      machine_.iommu().poll();
      std::this_thread::yield();
    }
  }

  WholeMachine machine_;
  std::uint64_t leaf_ = 0;
};

TEST_P(WaitStress, C3NoTranslationAfterItsWaitHasCompleted) {
  std::atomic<std::uint64_t> begun{0};  // rewrites that may be in the tables
  std::atomic<std::uint64_t> ended{0};  // rewrites whose wait has completed
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> answers{0}, wrong{0};
  const auto device = [&](unsigned i) {
    DmaPort& port = machine_.device(sid(i));
    while (!stop.load()) {
      const std::uint64_t before = ended.load();
      DmaPort::Burst burst(port);
      const auto found = burst.translate(Iova(kIova), 4, i == 0 ? Access::kWrite : Access::kRead);
      if (!found) {
        wrong.fetch_add(1);
        continue;
      }
      const std::uint64_t number = (found->gpa.value() - kPages) / 0x1000;
      // Not older than what had completed, not from the future; and while the burst lasts the next
      // rewrite cannot complete.
      if (number < before || number > begun.load() || ended.load() > number) wrong.fetch_add(1);
      answers.fetch_add(1);
    }
  };
  std::vector<std::thread> devices;
  for (unsigned i = 0; i < kDevices; ++i) devices.emplace_back(device, i);
  for (std::uint64_t number = 1; number <= kRewrites; ++number) {
    begun.store(number);
    rewrite(number);
    flush(number);
    ended.store(number);
    // Or a machine with other things to do would let no device in.
    const std::uint64_t before = answers.load();
    while (number % 8 == 0 && answers.load() < before + kDevices && wrong.load() == 0)
      std::this_thread::yield();
  }
  stop.store(true);
  for (std::thread& thread : devices) thread.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_EQ(machine_.iommu().stats().pieces(), answers.load());
  const auto last = machine_.device(sid(0)).translate(Iova(kIova), 4, Access::kRead);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->gpa, Gpa(kPages + kRewrites * 0x1000));
}

INSTANTIATE_TEST_SUITE_P(Stages, WaitStress, ::testing::Values(kFirst, kSecond, kNested));

}  // namespace
}  // namespace weir::vtd::test
