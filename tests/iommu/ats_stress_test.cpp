// SPDX-License-Identifier: Apache-2.0
//
// L1 and L2 with TLBs in the devices, under threads: a guest moves pages, flushes IOTLB and device
// TLBs, and after the completion nothing may reach where a page was. And messages: after the
// completion of an entry's change nothing comes with what it said before.
#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "iommu/device_tlb_client.h"
#include "tests/iommu/machine.h"
#include "tests/iotlb/stress.h"

namespace weir::testing_iommu {
namespace {

constexpr std::size_t kDevices = 2;
constexpr std::uint64_t kPages = 4;
constexpr std::uint8_t kGone = 0x41;  // a vector

[[nodiscard]] Requester function(std::size_t device) {
  return Requester::from_sid(static_cast<std::uint16_t>(0x20 + 8 * device));
}
[[nodiscard]] Iova iova_of(std::uint64_t page) { return Iova(0x10000 + page * kPageSize); }

TEST(AtsStress, NothingReachesWhereAPageWas) {
  Machine machine;
  Tables tables(machine);
  // Every page has two places; it is at one of them.
  const auto place = [](std::uint64_t page, std::uint64_t turn) {
    return kData + (2 * page + turn % 2) * kPageSize;
  };
  std::array<std::uint64_t, kPages> turns{};
  for (std::uint64_t page = 0; page < kPages; ++page) tables.map(iova_of(page), place(page, 0));
  iotlb::Context context = FakeUnit::second_stage(1, tables.root());
  context.allow_translation_requests = context.allow_translated = true;
  std::vector<std::unique_ptr<DmaPort>> ports;
  std::vector<std::shared_ptr<DeviceTlbClient>> clients;
  for (std::size_t device = 0; device < kDevices; ++device) {
    machine.unit->set_context(function(device), context);
    ports.push_back(machine.attach(function(device).bdf));
    clients.push_back(DeviceTlbClient::attach(*ports.back(), 16));
  }
  machine.unit->after_walk = [](const Request& request) {
    thread_local Random random(request.requester.bdf);
    linger(random);
  };
  std::atomic<std::uint64_t> written{0};
  std::atomic<bool> stop{false};
  std::uint64_t late = 0;
  {
    Threads threads;
    for (std::size_t device = 0; device < kDevices; ++device)
      threads.run([&, device] {
        Random random(device + 1);
        while (!stop) {
          DmaPort::Burst burst(*ports[device]);
          const auto found =
              clients[device]->translate(burst, iova_of(random.below(kPages)), 8, Access::kWrite);
          if (!found) continue;  // just unmapped
          linger(random);
          // Relaxed: what orders it against the guest's look is the completion.
          std::atomic_ref(*reinterpret_cast<std::uint64_t*>(found->host))
              .store(1, std::memory_order_relaxed);
          written.fetch_add(1, std::memory_order_relaxed);
        }
      });
    Random random(9);
    for (int round = 0; goes_on(round, kRounds / 2000, written); ++round) {
      const std::uint64_t page = random.below(kPages);
      const std::uint64_t turn = turns[page]++;
      tables.unmap(iova_of(page));
      machine.unit->post(flush_page(1, iova_of(page)));
      std::uint64_t number = 0;
      for (std::size_t device = 0; device < kDevices; ++device)
        number = machine.unit->post({.scope = iotlb::Scope::kDeviceTlb,
                                     .requester = function(device),
                                     .range = {iova_of(page), iova_of(page) + 0xfff}});
      while (machine.unit->completed() < number) machine.iommu->poll();
      auto old = std::atomic_ref(machine.word(place(page, turn)));
      old.store(0, std::memory_order_relaxed);
      tables.map(iova_of(page), place(page, turn + 1));
      for (int i = 0; i < 4; ++i) linger(random);
      late += old.load(std::memory_order_relaxed);
    }
    stop = true;
  }
  EXPECT_EQ(late, 0u) << "a write landed after the guest was told that it cannot";
  EXPECT_GT(written, 0u);
  const Stats stats = machine.iommu->stats();
  EXPECT_EQ(faults_by_reason(stats), stats.of(Outcome::kFaulted));
  EXPECT_EQ(stats.device_tlb_timeouts, 0u);
}

TEST(InterruptStress, NoMessageBecomesWhatItsEntrySaidBefore) {
  // The newest vector whose entry's change has completed; deliveries after that are of it or newer.
  struct Sink final : InterruptSink {
    void on_device_msi(Requester, Msi msi) override {
      if ((msi.data & 0xff) != kGone) return;
      if (gone.load(std::memory_order_acquire)) late.fetch_add(1);
    }
    void on_unit_msi(UnitId, Msi) override {}
    std::atomic<bool> gone{false};
    std::atomic<std::uint64_t> late{0};
  };
  Sink sink;
  auto memory = std::make_shared<const GuestMemory>(GuestMemory::single(Hpa(0), {}));
  Iommu iommu({.memory = memory, .sinks = {.interrupts = &sink}});
  const std::byte table[1]{};
  ASSERT_TRUE(iommu.use_tables(
      FakeParser({{UnitCoverage{.register_base = kUnitBase, .rest_of_segment = true}}}), table));
  auto& unit = iommu.add_unit<FakeUnit>(kUnitBase);
  unit.host().set_interrupt_mode(InterruptMode::kRemapping);
  unit.after_interrupt = [](const Request&) {
    thread_local Random random(5);
    linger(random);
  };
  const auto entry = [](std::uint8_t vector) {
    return RemappedInterrupt::remapped({.vector = vector}, 5);
  };
  unit.set_interrupt(5, entry(kGone));
  auto port = iommu.attach({.function = function(0)}).value();
  std::atomic<std::uint64_t> sent{0};
  std::atomic<bool> stop{false};
  {
    Threads threads;
    for (int device = 0; device < 2; ++device)
      threads.run([&] {
        while (!stop) {
          (void)port->write(Iova(0xfee05000), std::array<std::byte, 4>{});
          sent.fetch_add(1, std::memory_order_relaxed);
        }
      });
    Random random(3);
    for (int round = 0; goes_on(round, kRounds / 2000, sent); ++round) {
      unit.set_interrupt(5, entry(0x42));
      const std::uint64_t number = unit.post(
          {.scope = iotlb::Scope::kInterruptRange, .first_interrupt = 5, .last_interrupt = 5});
      while (unit.completed() < number) iommu.poll();
      sink.gone.store(true, std::memory_order_release);
      for (int i = 0; i < 4; ++i) linger(random);
      sink.gone.store(false, std::memory_order_release);
      unit.set_interrupt(5, entry(kGone));
    }
    stop = true;
  }
  EXPECT_EQ(sink.late, 0u) << "delivered after the completion of its entry's change (L1)";
  EXPECT_EQ(iommu.stats().of(Outcome::kInterrupt), sent.load());
}

}  // namespace
}  // namespace weir::testing_iommu
