// SPDX-License-Identifier: Apache-2.0
//
// One run of the linearizability test: kGuests guests and kDevices devices, each a thread.
#pragma once

#include <chrono>

#include "tests/iommu/linear_device.h"

namespace weir::testing_iommu::linear {

class Run {
 public:
  explicit Run(const CacheOptions& caches)
      : iommu({.memory = ram.memory(), .host_map = sides, .caches = caches}) {
    const std::byte table[1]{};
    (void)iommu.use_tables(Everything(), table);
    unit = &iommu.add_unit<TableUnit>(kRegisters);
    // What is on its way is there long enough to be overtaken.
    unit->after_walk = unit->after_context = [](const Request& request) { dawdle(request); };
    unit->before_update = [] { dawdle({}); };
    for (std::size_t g = 0; g < kGuests; ++g)
      guests.push_back(std::make_unique<Guest>(
          Guest::Machine{ram, *sides, iommu, *unit, findings, [this] { return turns(); }}, g));
    for (std::size_t d = 0; d < kDevices; ++d)
      devices.push_back(std::make_unique<Device>(iommu, guests, findings, d));
    (void)unit->set_mode(UnitMode::kTranslating);
  }

  // Until the time is over and there were `least` operations, or something was found.
  void go(std::chrono::steady_clock::duration time, std::uint64_t least) {
    const auto end = std::chrono::steady_clock::now() + time;
    {
      Threads threads;
      std::atomic<bool> stop{false};
      std::atomic<std::size_t> at_work{kGuests};
      for (auto& device : devices)
        threads.run([&] {
          while (!stop) device->turn();
        });
      for (auto& guest : guests)
        threads.run([&] {
          while (findings.all() == 0 &&
                 (std::chrono::steady_clock::now() < end || guest->steps() < least / kGuests))
            guest->step();
          guest->turns = Guest::kEnded;
          if (--at_work == 0) stop = true;
        });
    }
    for (const auto& guest : guests) operations += guest->steps();
    for (const auto& device : devices) {
      pieces += device->pieces;
      faults += device->faults;
    }
  }

  Ram ram;
  std::shared_ptr<SidesMap> sides = std::make_shared<SidesMap>();
  Findings findings;
  Iommu iommu;
  TableUnit* unit = nullptr;
  std::vector<std::unique_ptr<Guest>> guests;
  std::vector<std::unique_ptr<Device>> devices;
  std::uint64_t operations = 0, pieces = 0, faults = 0;

 private:
  static constexpr std::uint64_t kRegisters = 0xfed90000;
  class Everything final : public TableParser {
   public:
    [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
      return Coverage{{UnitCoverage{.register_base = kRegisters, .rest_of_segment = true}}};
    }
  };
  static void dawdle(const Request& request) {
    thread_local Random random(request.requester.bdf + 3U);
    linger(random);
  }
  [[nodiscard]] std::vector<std::uint64_t> turns() const {
    std::vector<std::uint64_t> all;
    for (const auto& device : devices) all.push_back(device->turns);
    for (const auto& guest : guests) all.push_back(guest->turns);
    return all;
  }
};

}  // namespace weir::testing_iommu::linear
