// SPDX-License-Identifier: Apache-2.0
//
// A machine for the block device: 2 MiB of RAM, a VT-d unit in front of function 00:04.0, and a
// host of the function that a test drives by hand. Tables map the first MiB of IOVA onto itself
// (rings, headers) and the second one page by page onto the guest's pages in reverse order, so that
// no two neighbours stay together.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "iommu/iommu.h"
#include "plugs/vfio_user/pci_function.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::testing_blk {

class ManualHost final : public vfio_user::FunctionHost {
 public:
  explicit ManualHost(DmaPort& dma) : dma_(dma) {}

  [[nodiscard]] DmaPort& dma() override { return dma_; }
  [[nodiscard]] const Clock& clock() const override { return time; }
  bool raise(vfio_user::InterruptKind kind, std::uint32_t vector) override {
    raised.emplace_back(kind, vector);
    return true;
  }
  bool send_msi(Msi /*msi*/) override { return false; }
  void post(std::function<void()> work) override { post_after({}, std::move(work)); }
  void post_after(Clock::Duration delay, std::function<void()> work) override {
    work_.emplace(time.now() + delay, std::move(work));
  }

  // Runs what is due; how many that were.
  std::size_t run() {
    std::size_t ran = 0;
    while (!work_.empty() && work_.begin()->first <= time.now()) {
      const auto work = std::move(work_.begin()->second);
      work_.erase(work_.begin());
      work();
      ++ran;
    }
    return ran;
  }
  void pass(Clock::Duration how_long) {
    time.advance(how_long);
    run();
  }

  ManualClock time;
  std::vector<std::pair<vfio_user::InterruptKind, std::uint32_t>> raised;

 private:
  DmaPort& dma_;
  std::multimap<Clock::Duration, std::function<void()>> work_;
};

class Machine {
 public:
  static constexpr std::uint64_t kRam = 2 << 20;
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint64_t kShuffled = 1 << 20;  // IOVAs from here on
  static constexpr std::uint16_t kBdf = 0x20;

  Machine() {
    for (std::uint64_t page = 0x10; page < 0x100; ++page) map(page * kPage, page * kPage);
    for (std::uint64_t page = 0x100; page < 0x180; ++page) map(page * kPage, gpa_of(page * kPage));
    put(0x1000, 0x2001);                                            // root: bus 0
    put(0x2200, 0x3001), put(0x2208, 0x102);                        // context: 00:04.0, domain 1
    put(0x3000, 0x4003), put(0x4000, 0x5003), put(0x5000, 0x6003);  // tables
    unit->write_register(0x20, 8, 0x1000);
    unit->write_register(0x18, 4, 1U << 30);
    unit->write_register(0x18, 4, 1U << 31);
  }

  // Where the guest's page behind a shuffled IOVA lies.
  [[nodiscard]] static std::uint64_t gpa_of(std::uint64_t iova) {
    return iova < kShuffled ? iova : (0x1ff + 0x100 - iova / kPage) * kPage + iova % kPage;
  }
  void map(std::uint64_t iova, std::uint64_t gpa) { put(0x6000 + iova / kPage * 8, gpa | 3); }
  void unmap(std::uint64_t iova) { put(0x6000 + iova / kPage * 8, 0); }

  void put(std::uint64_t at, std::uint64_t word) { (void)memory->store64(Hpa(at), word); }
  // As the guest sees them, a byte at a time through its own map.
  void fill(std::uint64_t iova, std::size_t bytes, std::uint8_t seed) {
    for (std::size_t i = 0; i < bytes; ++i)
      ram[gpa_of(iova + i)] = static_cast<std::byte>(seed + i * 7 + i / 251);
  }
  [[nodiscard]] bool holds(std::uint64_t iova, std::size_t bytes, std::uint8_t seed) const {
    for (std::size_t i = 0; i < bytes; ++i)
      if (ram[gpa_of(iova + i)] != static_cast<std::byte>(seed + i * 7 + i / 251)) return false;
    return true;
  }

  // A domain-selective IOTLB invalidation through the register (11.4.8), as old guests do it.
  void start_invalidation() {
    const std::uint64_t at = (unit->read_register(0x10, 8) >> 8 & 0x3ff) * 16 + 8;
    unit->write_register(at, 8, 1ULL << 63 | 2ULL << 60 | 1ULL << 32);
  }
  [[nodiscard]] bool invalidating() const {
    const std::uint64_t at = (unit->read_register(0x10, 8) >> 8 & 0x3ff) * 16 + 8;
    return (unit->read_register(at, 8) >> 63) != 0;
  }
  // The first fault record: source-id and reason, and its address; zeros: there is none.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> fault() const {
    const std::uint64_t at = (unit->read_register(0x08, 8) >> 24 & 0x3ff) * 16;
    const std::uint64_t high = unit->read_register(at + 8, 8);
    if (high >> 63 == 0) return {};
    return {(high & 0xffff) | (high >> 32 & 0xff) << 16, unit->read_register(at, 8)};
  }

  alignas(4096) std::vector<std::byte> storage = std::vector<std::byte>(kRam + kPage);
  std::byte* const ram = storage.data() + (kPage - std::uintptr_t(storage.data()) % kPage) % kPage;
  std::shared_ptr<const GuestMemory> memory = std::make_shared<GuestMemory>(
      GuestMemory::single(Hpa(0), std::span(ram, std::size_t{kRam})));
  ManualClock clock;
  Iommu iommu{{.memory = memory, .clock = &clock}};
  vtd::Unit* const unit = make_unit(iommu);
  const std::unique_ptr<DmaPort> port =
      std::move(iommu.attach({.function = Requester::from_sid(kBdf)}).value());
  ManualHost host{*port};

 private:
  static vtd::Unit* make_unit(Iommu& iommu) {
    constexpr std::uint64_t kRegisters = 0xfed90000;
    const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
    (void)iommu.use_tables(vtd::dmar_parser(), vtd::build_dmar(everything));
    return &iommu.add_unit<vtd::Unit>(kRegisters, vtd::Options{});
  }
};

}  // namespace weir::testing_blk
