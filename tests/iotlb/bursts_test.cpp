// SPDX-License-Identifier: Apache-2.0
#include "iotlb/bursts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace weir::iotlb {
namespace {

TEST(BurstRegistry, ABurstHoldsUpOnlyLaterEpochs) {
  BurstRegistry bursts;
  const std::uint64_t first = bursts.advance();
  EXPECT_TRUE(bursts.ended_before(first)) << "nobody is inside";
  auto& slot = bursts.slot();
  bursts.enter(slot);
  EXPECT_EQ(slot.epoch(), first);
  EXPECT_TRUE(bursts.ended_before(first)) << "it began in this epoch, not before it";
  const std::uint64_t second = bursts.advance();
  EXPECT_FALSE(bursts.ended_before(second));
  bursts.leave(slot);
  EXPECT_TRUE(bursts.ended_before(second));
  EXPECT_EQ(slot.epoch(), BurstRegistry::kIdle);
}

TEST(BurstRegistry, NestedBurstsAreOne) {
  BurstRegistry bursts;
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const std::uint64_t began = slot.epoch();
  const std::uint64_t epoch = bursts.advance();
  bursts.enter(slot);
  EXPECT_EQ(slot.epoch(), began) << "an inner burst must not make the outer one look younger (L1)";
  EXPECT_EQ(bursts.leave(slot), BurstRegistry::kIdle) << "not the outermost";
  EXPECT_FALSE(bursts.ended_before(epoch));
  EXPECT_EQ(bursts.leave(slot), began);
  EXPECT_TRUE(bursts.ended_before(epoch));
}

// Who asks from inside a burst would wait for itself.
TEST(BurstRegistry, NobodyWaitsForItself) {
  BurstRegistry bursts;
  auto& slot = bursts.slot();
  bursts.enter(slot);
  EXPECT_FALSE(bursts.ended_soon(bursts.advance()));
  bursts.leave(slot);
  EXPECT_TRUE(bursts.ended_soon(bursts.advance()));
}

// Another thread's burst is waited for, though not for long.
TEST(BurstRegistry, SomebodyElsesEndIsSeen) {
  BurstRegistry bursts;
  std::atomic<bool> inside{false};
  std::atomic<bool> end{false};
  std::thread device([&] {
    auto& slot = bursts.slot();
    bursts.enter(slot);
    inside = true;
    while (!end) std::this_thread::yield();
    bursts.leave(slot);
  });
  while (!inside) std::this_thread::yield();
  const std::uint64_t epoch = bursts.advance();
  EXPECT_FALSE(bursts.ended_soon(epoch));
  end = true;
  while (!bursts.ended_soon(epoch)) std::this_thread::yield();
  device.join();
}

TEST(BurstRegistry, AThreadHasOneSlotPerRegistry) {
  BurstRegistry a;
  BurstRegistry b;
  auto* const in_a = &a.slot();
  auto* const in_b = &b.slot();
  EXPECT_NE(in_a, in_b);
  EXPECT_EQ(&a.slot(), in_a);
  EXPECT_EQ(&b.slot(), in_b);
  a.enter(*in_a);
  EXPECT_TRUE(b.ended_before(b.advance())) << "registries know nothing of each other";
  EXPECT_FALSE(a.ended_before(a.advance()));
  a.leave(*in_a);
}

TEST(BurstRegistry, EndedThreadsGiveTheirSlotBackAndKeepTheirCounts) {
  BurstRegistry bursts;
  BurstRegistry::Slot* first = nullptr;
  BurstRegistry::Slot* second = nullptr;
  std::thread([&] {
    first = &bursts.slot();
    first->count(3, 5);
    bursts.enter(*first);
    bursts.leave(*first);
  }).join();
  std::thread([&] {
    second = &bursts.slot();
    second->count(3, 2);
  }).join();
  EXPECT_EQ(first, second);
  EXPECT_EQ(bursts.sum(3), 7u);
  EXPECT_EQ(bursts.sum(2), 0u);
  EXPECT_TRUE(bursts.ended_before(bursts.advance()));
}

TEST(BurstRegistry, LivingThreadsDoNotShareASlot) {
  BurstRegistry bursts;
  auto* const mine = &bursts.slot();
  BurstRegistry::Slot* theirs = nullptr;
  std::thread other([&] { theirs = &bursts.slot(); });
  other.join();
  EXPECT_NE(mine, theirs);
}

// Addresses of registries come back; their slots must not.
TEST(BurstRegistry, RegistriesComeAndGo) {
  for (int i = 0; i < 100; ++i) {
    const auto registry = std::make_unique<BurstRegistry>();
    auto& slot = registry->slot();
    EXPECT_EQ(slot.epoch(), BurstRegistry::kIdle);
    slot.count(0);
    EXPECT_EQ(registry->sum(0), 1u);
    registry->enter(slot);
    registry->leave(slot);
  }
}

TEST(BurstRegistry, MayEndBeforeTheThreadsThatUsedIt) {
  auto registry = std::make_unique<BurstRegistry>();
  std::thread user([&] {
    (void)registry->slot();
    registry.reset();
    // The thread's end finds its slot gone and leaves it alone (ASan watches).
  });
  user.join();
  EXPECT_EQ(registry, nullptr);
}

TEST(BurstRegistry, CountsOfManyThreadsAddUp) {
  BurstRegistry bursts;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) bursts.slot().count(1);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bursts.sum(1), 4000u);
}

}  // namespace
}  // namespace weir::iotlb
