// SPDX-License-Identifier: Apache-2.0
//
// Device entries rewritten while they are in use, beside translations and completions.

#include <array>
#include <atomic>
#include <thread>

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

// L3: root and domain are always of one version. Each version's root maps page 0 to its own page,
// and a guest that stores the upper half first never shows a third state.
TEST(EntryStressTest, ALiveRewriteIsNeverAMixture) {
  Machine machine(options_for(Profile::kV1), {.entries = 0});
  machine.start();
  constexpr std::uint64_t kOther = kRoot + 0x10000;
  machine.store(kRoot, leaf(0x4000000));
  machine.store(kOther, leaf(0x5000000));
  machine.attach(kDevice, 1, 7);
  (void)machine.port();
  std::atomic<bool> stop{false};
  std::thread guest([&] {
    for (unsigned i = 0; !stop.load(); ++i) {
      const bool odd = i % 2 != 0;
      machine.attach(kDevice, 1, odd ? 8 : 7, odd ? kOther : kRoot);
      machine.forget_device(kDevice);
    }
  });
  for (int i = 0; i < 20000; ++i) {
    const auto where = machine.dma(0);
    ASSERT_TRUE(where == 0x4000000U || where == 0x5000000U);
  }
  stop.store(true);
  guest.join();
}

// L1: after the wait for a command has come back, nobody uses what it forgot.
TEST(EntryStressTest, WaitsDrain) {
  Machine machine(options_for(Profile::kV1));
  machine.start();
  machine.attach(kDevice, 1, 7);
  machine.attach(0x30, 1, 7);
  machine.store(kRoot, leaf(0x4000000));
  (void)machine.port(kDevice), (void)machine.port(0x30);
  std::atomic<std::uint64_t> oldest{0x4000000};  // what may still be seen
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  std::array<std::atomic<std::uint64_t>, 2> answered{};
  const auto device = [&](std::uint16_t bdf) {
    DmaPort& port = machine.port(bdf);
    std::atomic<std::uint64_t>& mine = answered[bdf == kDevice ? 0 : 1];
    while (!stop.load()) {
      DmaPort::Burst burst(port);
      const std::uint64_t at_least = oldest.load();
      const auto found = burst.translate(Iova(0), 4, Access::kRead);
      if (!found || found->gpa.value() < at_least) bad.fetch_add(1);
      // Nor has anybody been told that it is forgotten while it is still in use.
      std::this_thread::yield();
      if (found && oldest.load() > found->gpa.value()) bad.fetch_add(1);
      mine.fetch_add(1);
    }
  };
  std::thread one(device, kDevice), two(device, std::uint16_t{0x30});
  // Both are at it before the first command, and again before the last.
  const auto both_go_on = [&] {
    const std::uint64_t first = answered[0].load(), second = answered[1].load();
    while (answered[0].load() == first || answered[1].load() == second) std::this_thread::yield();
  };
  both_go_on();
  for (std::uint64_t i = 1; i < 100; ++i) {
    if (i % 33 == 0) both_go_on();
    const std::uint64_t page = 0x4000000 + i * 0x1000;
    machine.store(kRoot, leaf(page));
    machine.post(std::uint64_t{3} << 60 | std::uint64_t{7} << 32, 0);
    if (!machine.wait())
      while (!machine.completed()) machine.iommu->poll();
    oldest.store(page);
  }
  stop.store(true);
  one.join(), two.join();
  EXPECT_EQ(bad.load(), 0);
  EXPECT_GE(answered[0].load(), 4U);
  EXPECT_GE(answered[1].load(), 4U);
}

// The same of guest tables: pages of a PASID, the whole PASID, and the host tables below, each
// forgotten while another thread asks with that PASID.
TEST(EntryStressTest, WaitsDrainGuestTables) {
  constexpr std::uint64_t kGcr3 = 0x700000, kGuest = 0x710000, kData = 0x300000;
  constexpr std::uint64_t kGv = std::uint64_t{1} << 55;
  Machine machine;
  machine.start(kUsual | kGtEn);
  // Host tables of three levels: 2 MiB pages as they are, and one more for data, of 4 KiB.
  machine.store(kRoot, pde(kTables, 2));
  for (std::uint64_t page = 0x400000; page < 0x800000; page += 0x200000)
    machine.store(kTables + (page >> 21) * 8, leaf(page));
  machine.store(kTables + (kData >> 21) * 8, pde(kTables + 0x1000, 1));
  const std::uint64_t host_leaf = kTables + 0x1000 + (kData >> 12 & 0x1ff) * 8;
  for (std::uint64_t i = 0; i < 100; ++i)
    machine.store(host_leaf + i * 8, leaf(0x4000000 + i * 0x1000));
  // Guest tables of four levels, one page.
  machine.store(kGcr3 + 5 * 8, kGuest | 1);
  for (std::uint64_t level = 0; level < 3; ++level)
    machine.store(kGuest + level * 0x1000, (kGuest + (level + 1) * 0x1000) | 7);
  machine.store(kGuest + 0x3000, kData | 7);
  machine.set_entry(kDevice, 3 | kRw | kGv | 3 << 9 | kRoot | (kGcr3 >> 12 & 7) << 58,
                    7 | (kGcr3 >> 15 & 0xffff) << 16);
  (void)machine.port();
  std::atomic<std::uint64_t> oldest{0x4000000}, answered{0};
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  std::thread device([&] {
    DmaPort& port = machine.port();
    while (!stop.load()) {
      DmaPort::Burst burst(port);
      const std::uint64_t at_least = oldest.load();
      const auto found = burst.translate(Iova(0), 4, Access::kRead, {.pasid = Pasid{5}});
      if (!found || found->gpa.value() < at_least) bad.fetch_add(1);
      // Nor has anybody been told that it is forgotten while it is still in use.
      std::this_thread::yield();
      if (found && oldest.load() > found->gpa.value()) bad.fetch_add(1);
      answered.fetch_add(1);
    }
  });
  for (std::uint64_t i = 1; i < 100; ++i) {
    const std::uint64_t before = answered.load();
    while (answered.load() == before) std::this_thread::yield();
    constexpr std::uint64_t kForget = std::uint64_t{3} << 60 | std::uint64_t{7} << 32;
    if (i % 3 == 2) {
      // A host page moves on, under the guest's page of then.
      const std::uint64_t now = machine.load(kGuest + 0x3000) >> 12 & 0x1ff;
      machine.store(kTables + 0x1000 + now * 8, leaf(0x4000000 + i * 0x1000));
      machine.post(kForget, kData + (now - (kData >> 12 & 0x1ff)) * 0x1000);
    } else {
      machine.store(kGuest + 0x3000, (kData + i * 0x1000) | 7);
      machine.post(kForget | 5, i % 3 == 0 ? 0x7ffffffffffff000 | 5 : 4);
    }
    if (!machine.wait())
      while (!machine.completed()) machine.iommu->poll();
    oldest.store(0x4000000 + i * 0x1000);
  }
  stop.store(true);
  device.join();
  EXPECT_EQ(bad.load(), 0);
  EXPECT_GE(answered.load(), 99U);
}

// L10: a device without the right to write never writes, whoever fills the IOTLB and however often
// its neighbour's entry changes.
TEST(EntryStressTest, AStrictDeviceStaysStrict) {
  Machine machine(options_for(Profile::kV1));
  machine.start();
  machine.attach(kDevice, 1, 7);
  machine.set_entry(0x30, kRoot | 1 << 9 | 3 | kIr, 7, 0, 0);
  machine.store(kRoot, leaf(0x4000000));
  (void)machine.port(kDevice), (void)machine.port(0x30);
  std::atomic<bool> stop{false};
  std::thread lax([&] {
    while (!stop.load()) (void)machine.dma(0, Access::kWrite, kDevice);
  });
  std::thread guest([&] {
    while (!stop.load()) machine.forget_all();
  });
  for (int i = 0; i < 20000; ++i) {
    ASSERT_EQ(machine.dma(0, Access::kWrite, 0x30), std::nullopt);
    ASSERT_TRUE(machine.dma(0, Access::kRead, 0x30));
  }
  stop.store(true);
  lax.join(), guest.join();
}

// Many devices fault at once: each event is whole, and the tail never runs ahead of memory.
TEST(EntryStressTest, EventsOfManyDevicesAreWhole) {
  Machine machine(options_for(Profile::kV1));
  machine.start();
  std::vector<std::thread> devices;
  for (std::uint16_t i = 0; i < 3; ++i) {
    const auto bdf = static_cast<std::uint16_t>(0x40 + i);
    machine.attach(bdf, 1, static_cast<std::uint16_t>(0x100 + i));
    (void)machine.port(bdf);
  }
  std::atomic<int> running{3};
  for (std::uint16_t i = 0; i < 3; ++i)
    devices.emplace_back([&machine, &running, i] {
      const auto bdf = static_cast<std::uint16_t>(0x40 + i);
      for (unsigned n = 0; n < 60; ++n)
        (void)machine.dma(std::uint64_t{bdf} << 12 & 0x1ff000, Access::kWrite, bdf);
      running.fetch_sub(1);
    });
  unsigned seen = 0;
  const auto look = [&] {
    for (const Event& event : machine.events()) {
      ++seen;
      EXPECT_EQ(event.code(), 2U);
      EXPECT_EQ(event.domain(), 0xc0U + event.device());
      EXPECT_EQ(event.high, std::uint64_t{event.device()} << 12 & 0x1ff000);
    }
  };
  while (running.load() != 0) look();
  for (std::thread& device : devices) device.join();
  look();
  EXPECT_EQ(seen, 180U);
}

}  // namespace
}  // namespace weir::amdvi::test
