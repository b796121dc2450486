// SPDX-License-Identifier: Apache-2.0
//
// Bursts, pins and tickets under threads: a settled ticket means that everything which began before
// it has ended (L1). What is guarded is plain memory: TSan sees an end that was not waited for, the
// values see it without TSan.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <optional>

#include "iotlb/flush_tracker.h"
#include "tests/iotlb/stress.h"

namespace weir::iotlb {
namespace {

constexpr UnitId kUnit{0};
constexpr std::uint64_t kGone = 0xdead;

class Resource {
 public:
  // A device thread: uses what is current, in a burst or under a pin.
  void use(std::uint64_t seed, int rounds) {
    Random random(seed);
    for (int i = 0; (rounds == 0 || i < rounds) && !stop_; ++i) {
      auto& slot = bursts_.slot();
      bursts_.enter(slot);
      if (random.below(4) == 0) bursts_.enter(slot), bursts_.leave(slot);
      // Acquire: pairs with the guest's exchange.
      const std::size_t mine = current_.load(std::memory_order_acquire);
      look(mine);
      linger(random);
      look(mine);
      std::optional<std::uint64_t> pin;
      if (random.below(8) == 0) {
        PinRecord record;
        record.unit = kUnit;
        record.range = {Iova(0), Iova(0xfff)};
        record.epoch = slot.epoch();
        pin = tracker_.add_pin(record);
      }
      bursts_.leave(slot);
      slot.count(0);
      if (!pin) continue;
      linger(random);
      look(mine);
      EXPECT_TRUE(tracker_.remove_pin(*pin));
    }
    ended_.fetch_add(1, std::memory_order_relaxed);
  }

  // The guest: replaces what is current, waits for the ticket, destroys the old one. Goes on until
  // there was something to wait for, and `threads` device threads have come and gone.
  void replace(int rounds, std::uint64_t threads) {
    std::size_t now = 0;
    for (int i = 0; goes_on(i, rounds, bursts_.sum(0) / 16) || ended_ < threads; ++i) {
      const std::size_t next = (now + 1) % kPlaces;
      places_[next] = static_cast<std::uint64_t>(i);
      current_.store(next, std::memory_order_release);
      const std::uint64_t ticket = tracker_.issue(kUnit, {.scope = Scope::kAll});
      while (!tracker_.settled(ticket)) std::this_thread::yield();
      places_[now] = kGone;
      now = next;
      if (i % 32 == 0) tracker_.collect();
      if (i % 256 == 0) std::this_thread::yield();
    }
    stop_ = true;
  }

  void check() {
    EXPECT_EQ(violations_, 0u) << "used after the ticket that covered it had settled";
    EXPECT_FALSE(tracker_.waiting());
    EXPECT_GT(bursts_.sum(0), 0u);
  }
  [[nodiscard]] bool stopped() const { return stop_; }

 private:
  void look(std::size_t place) {
    if (places_[place] == kGone) violations_.fetch_add(1);
  }

  static constexpr std::size_t kPlaces = 3;
  BurstRegistry bursts_;
  FlushTracker tracker_{bursts_};
  std::array<std::uint64_t, kPlaces> places_{};  // plain on purpose
  std::atomic<std::size_t> current_{0};
  std::atomic<std::uint64_t> violations_{0};
  std::atomic<std::uint64_t> ended_{0};
  std::atomic<bool> stop_{false};
};

TEST(FlushStress, ASettledTicketMeansThatAllHasEnded) {
  Resource resource;
  {
    Threads threads;
    for (std::uint64_t seed = 0; seed < 3; ++seed)
      threads.run([&, seed] { resource.use(seed, 0); });
    resource.replace(kRounds / 20, 0);
  }
  resource.check();
}

// Threads that come and go: their slots are taken over, and no burst of theirs is overlooked.
TEST(FlushStress, ThreadsComeAndGo) {
  Resource resource;
  {
    Threads guest;
    guest.run([&] { resource.replace(kRounds / 40, 100); });
    for (std::uint64_t seed = 0; !resource.stopped(); ++seed) {
      Threads devices;
      for (std::uint64_t i = 0; i < 3; ++i) devices.run([&, i] { resource.use(seed * 3 + i, 50); });
    }
  }
  resource.check();
}

// Several guests at once (units, and the embedder): every ticket settles, none twice.
TEST(FlushStress, TicketsOfManyThreads) {
  BurstRegistry bursts;
  FlushTracker tracker(bursts);
  std::atomic<bool> stop{false};
  std::atomic<int> guests{3};
  {
    Threads threads;
    for (int i = 0; i < 2; ++i)
      threads.run([&] {
        while (!stop) {
          auto& slot = bursts.slot();
          bursts.enter(slot);
          bursts.leave(slot);
        }
      });
    for (std::uint32_t g = 0; g < 3; ++g)
      threads.run([&, g] {
        const std::optional<UnitId> unit = g == 0 ? std::nullopt : std::optional(UnitId{g});
        std::array<std::uint64_t, 8> tickets{};
        for (int i = 0; i < kRounds / 100; ++i) {
          for (auto& ticket : tickets) ticket = tracker.issue(unit, {.scope = Scope::kAll});
          for (const std::uint64_t ticket : tickets)
            while (!tracker.settled(ticket)) std::this_thread::yield();
        }
        if (--guests == 0) stop = true;
      });
  }
  tracker.collect();
  EXPECT_FALSE(tracker.waiting());
}

}  // namespace
}  // namespace weir::iotlb
