// SPDX-License-Identifier: Apache-2.0
//
// L1 and L2 through the whole core, under threads: devices in bursts, copies and pins against a
// guest that remaps, switches contexts, and an embedder that replaces memory and gates functions.
// After each run the books are exact (L9) and no wake-up was lost.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/iommu/versioned_guest.h"

namespace weir::testing_iommu {
namespace {

constexpr int kGuestRounds = kRounds / 100;
constexpr std::size_t kDevices = VersionedGuest::kDevices;

[[nodiscard]] Requester function(std::size_t device) {
  return Requester::from_sid(static_cast<std::uint16_t>(0x20 + 8 * device));
}

class Stress {
 public:
  explicit Stress(CacheOptions caches = {})
      : machine({.caches = caches}), guest(machine), tables(machine) {
    // What is on its way from the tables to the caches is there long enough to be overtaken.
    machine.unit->after_walk = machine.unit->after_context = [](const Request& request) {
      thread_local Random random(request.requester.bdf);
      for (int i = 0; i < 4; ++i) linger(random);
    };
    for (std::size_t d = 0; d < kDevices; ++d) {
      machine.unit->set_context(function(d), FakeUnit::second_stage(1, tables.root()));
      ports.push_back(machine.attach(function(d).bdf));
      devices.push_back(std::make_unique<VersionedDevice>(guest, *ports[d], d));
    }
    for (std::size_t i = 0; i < VersionedGuest::kIovas; ++i)
      tables.map(VersionedGuest::iova(i), VersionedGuest::page(i, 0));
  }

  // Devices run while `mutate` does, on this thread.
  template <typename Mutate>
  void run(Mutate mutate) {
    Threads threads;
    for (auto& device : devices) threads.run([&device] { device->run(); });
    mutate();
    guest.stop = true;
  }
  // Whether the guest begins another round: until it and the devices have met often enough.
  [[nodiscard]] bool goes_on(int round, int rounds = kGuestRounds) const {
    return weir::goes_on(round, rounds, guest.uses / 512);
  }

  // Waits without polling: whoever ended the last burst or pin has to have resumed the queue. Once
  // every device has come round often since the last completion, nothing is left that was in flight
  // then, and the next one ought to be there.
  void await(std::uint64_t number) {
    std::array<std::uint64_t, kDevices> from{};
    std::uint64_t seen = ~std::uint64_t{0};
    for (std::uint64_t now = 0; (now = machine.unit->completed()) < number;) {
      bool all = now == seen;
      for (std::size_t d = 0; d < kDevices; ++d) {
        if (now != seen) from[d] = devices[d]->turns;
        all = all && devices[d]->turns > from[d] + 1000;
      }
      seen = now;
      if (all) {
        ++lost;
        machine.iommu->poll();
      }
      std::this_thread::yield();
    }
  }

  void check() {
    EXPECT_EQ(guest.stale, 0u) << "older than what was complete before the burst began";
    EXPECT_EQ(guest.landed_late, 0u) << "a write landed after the completion that covered it";
    EXPECT_EQ(guest.wrong_page, 0u);
    EXPECT_EQ(lost, 0u) << "a wake-up was lost";
    std::uint64_t pieces = 0;
    std::uint64_t faults = 0;
    for (const auto& device : devices) {
      pieces += device->pieces;
      faults += device->faults;
    }
    const Stats stats = machine.iommu->stats();
    EXPECT_EQ(stats.pieces(), pieces);
    EXPECT_EQ(stats.of(Outcome::kFaulted), faults);
    EXPECT_EQ(faults_by_reason(stats), faults);
    EXPECT_EQ(machine.seen.faults.size(), faults);
    EXPECT_EQ(stats.walks, stats.fills + stats.refused_fills) << "every page was mapped";
  }

  Machine machine;
  VersionedGuest guest;
  Tables tables;
  std::vector<std::unique_ptr<DmaPort>> ports;
  std::vector<std::unique_ptr<VersionedDevice>> devices;
  std::uint64_t lost = 0;
};

void remap(CacheOptions caches) {
  Stress s(caches);
  std::array<std::uint64_t, VersionedGuest::kIovas> version{};
  s.run([&] {
    Random random(99);
    for (int round = 0; s.goes_on(round); ++round) {
      // Some pages at once, then one flush for each or one for all.
      const std::size_t first = random.below(VersionedGuest::kIovas);
      const std::size_t count = 1 + random.below(VersionedGuest::kIovas - first);
      std::uint64_t number = 0;
      for (std::size_t i = first; i < first + count; ++i) {
        s.guest.set_version(i, ++version[i]);
        s.tables.map(VersionedGuest::iova(i), VersionedGuest::page(i, version[i]));
      }
      switch (random.below(4)) {
        case 0:
          number = s.machine.unit->post({.scope = iotlb::Scope::kAll});
          break;
        case 1:
          number = s.machine.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{1}});
          break;
        case 2:
          number =
              s.machine.unit->post(flush_page(1, VersionedGuest::iova(first), count * kPageSize));
          break;
        default:
          for (std::size_t i = first; i < first + count; ++i)
            number = s.machine.unit->post(flush_page(1, VersionedGuest::iova(i)));
      }
      s.await(number);
      for (std::size_t i = first; i < first + count; ++i) s.guest.complete(i, version[i]);
    }
  });
  s.check();
}

TEST(TranslateStress, RemapsAreNeverSeenStale) { remap({}); }
TEST(TranslateStress, RemapsInATinyCache) { remap({.entries = 4}); }
TEST(TranslateStress, RemapsByTheReference) {
  remap({.organisation = CacheOptions::Organisation::kReference, .entries = 16});
}

// The tables of the next version are complete before the context names them; the domain stays the
// same, so that only the contexts' own invalidation stands between two versions.
TEST(TranslateStress, ContextSwitchesAreNeverSeenStale) {
  Stress s;
  std::vector<std::unique_ptr<Tables>> roots;
  for (int r = 0; r < 2; ++r) roots.push_back(std::make_unique<Tables>(s.machine));
  s.run([&] {
    Random random(98);
    for (std::uint64_t version = 1; s.goes_on(static_cast<int>(version)); ++version) {
      Tables& next = *roots[version % 2];
      for (std::size_t i = 0; i < VersionedGuest::kIovas; ++i) {
        s.guest.set_version(i, version);
        next.map(VersionedGuest::iova(i), VersionedGuest::page(i, version));
      }
      // Without need, so that contexts are being read just when they change.
      (void)s.machine.unit->host().invalidate({.scope = iotlb::Scope::kContextAll});
      linger(random);
      for (std::size_t d = 0; d < kDevices; ++d)
        s.machine.unit->set_context(function(d), FakeUnit::second_stage(1, next.root()));
      if (random.below(2) == 0)
        s.machine.unit->post({.scope = iotlb::Scope::kContextAll});
      else
        for (std::size_t d = 0; d < kDevices; ++d)
          s.machine.unit->post({.scope = iotlb::Scope::kContextDevice, .requester = function(d)});
      s.await(s.machine.unit->post({.scope = iotlb::Scope::kDomain, .domain = DomainId{1}}));
      for (std::size_t i = 0; i < VersionedGuest::kIovas; ++i) s.guest.complete(i, version);
    }
  });
  s.check();
}

// The embedder moves memory under the guest's feet: two copies of RAM in turn, the one that is out
// of use poisoned after the change has completed.
TEST(TranslateStress, MemoryIsNotTouchedAfterItsChange) {
  Stress s;
  constexpr std::size_t kWords = VersionedGuest::kIovas * VersionedGuest::kSpare * 512;
  std::array<std::vector<std::uint64_t>, 2> copies{std::vector<std::uint64_t>(kWords),
                                                   std::vector<std::uint64_t>(kWords)};
  // The data pages come from a copy; the tables stay where they are.
  const auto memory = [&](std::size_t copy) {
    auto made = GuestMemory::create({{.first = Hpa(kData.value()),
                                      .size = kWords * 8,
                                      .host = reinterpret_cast<std::byte*>(copies[copy].data())},
                                     {.first = Hpa(kTables.value()),
                                      .size = 512 * kPageSize,
                                      .host = s.machine.host(kTables)}});
    return std::make_shared<const GuestMemory>(std::move(made).value());
  };
  std::uint64_t late = 0;
  while (!s.machine.iommu->change_memory(memory(0)).complete()) {
  }
  s.run([&] {
    for (int round = 1; s.goes_on(round, kGuestRounds / 4); ++round) {
      auto& next = copies[static_cast<std::size_t>(round % 2)];
      auto& old = copies[static_cast<std::size_t>((round + 1) % 2)];
      for (std::size_t i = 0; i < kWords; i += 8) {
        // Devices have not been here since it was poisoned.
        if (round > 2 && next[i] != VersionedGuest::kPoison) ++late;
        next[i] = 0;
      }
      const Change change = s.machine.iommu->change_memory(memory(round % 2));
      while (!change.complete()) std::this_thread::yield();
      for (std::size_t i = 0; i < kWords; i += 8) old[i] = VersionedGuest::kPoison;
    }
  });
  EXPECT_EQ(late, 0u);
  s.check();
}

// A function that is gated writes nothing from the completion on until it is let go again.
TEST(TranslateStress, AGatedFunctionIsStill) {
  Stress s;
  std::uint64_t moved = 0;
  s.run([&] {
    Random random(97);
    for (int round = 0; s.goes_on(round, kGuestRounds / 8); ++round) {
      const std::size_t d = random.below(kDevices);
      const Change off = s.machine.iommu->set_bus_master(function(d), false);
      while (!off.complete()) std::this_thread::yield();
      std::array<std::uint64_t, VersionedGuest::kIovas> mark{};
      const auto word = [&](std::size_t i) -> std::uint64_t& {
        return s.machine.word(VersionedGuest::page(i, 0) + VersionedGuest::offset_of(d));
      };
      for (std::size_t i = 0; i < mark.size(); ++i)
        word(i) = mark[i] = static_cast<std::uint64_t>(round) << 8;
      std::this_thread::yield();
      for (std::size_t i = 0; i < mark.size(); ++i) moved += word(i) != mark[i] ? 1 : 0;
      (void)s.machine.iommu->set_bus_master(function(d), true);
    }
  });
  EXPECT_EQ(moved, 0u);
  const Stats stats = s.machine.iommu->stats();
  EXPECT_EQ(faults_by_reason(stats), stats.of(Outcome::kFaulted));
  std::uint64_t pieces = 0;
  for (const auto& device : s.devices) pieces += device->pieces;
  EXPECT_EQ(stats.pieces(), pieces);
}

}  // namespace
}  // namespace weir::testing_iommu
