// SPDX-License-Identifier: Apache-2.0
//
// A whole machine with one AMD-Vi unit: 128 MiB of RAM, a clock that is told, sinks that remember,
// and the few things that a guest's driver does. Registers, bits and entries are written as numbers
// here, never through the layouts under test (compare Linux drivers/iommu/amd/amd_iommu_types.h): a
// test that repeats the shift is not a test.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "iommu/iommu.h"
#include "vendors/amdvi/unit.h"

namespace weir::amdvi::test {

inline constexpr std::uint64_t kRamBytes = 0x8000000;

// Registers.
inline constexpr std::uint64_t kDevTab = 0x00, kCmdBase = 0x08, kEvtBase = 0x10, kCtrl = 0x18,
                               kExclBase = 0x20, kExclLimit = 0x28, kEfr = 0x30, kPprBase = 0x38,
                               kGaBase = 0xe0, kGaTailAddr = 0xe8, kXtEvt = 0x170, kXtPpr = 0x178,
                               kXtGa = 0x180, kEfr2 = 0x1a0, kCmdHead = 0x2000, kCmdTail = 0x2008,
                               kEvtHead = 0x2010, kEvtTail = 0x2018, kStat = 0x2020,
                               kPprHead = 0x2030, kPprTail = 0x2038, kGaHead = 0x2040,
                               kGaTail = 0x2048;
// Control and status bits.
inline constexpr std::uint64_t kIommuEn = 1, kEvtLogEn = 1 << 2, kEvtIntEn = 1 << 3,
                               kWaitIntEn = 1 << 4, kCmdBufEn = 1 << 12, kPprLogEn = 1 << 13,
                               kPprIntEn = 1 << 14, kPprEn = 1 << 15, kGtEn = 1 << 16,
                               kGaEn = 1 << 17, kGamEn = 1 << 25, kGaLogEn = 1 << 28,
                               kGaIntEn = 1 << 29, kEphEn = std::uint64_t{1} << 45,
                               kXtEn = std::uint64_t{1} << 50, kIntCapXtEn = std::uint64_t{1} << 51,
                               kGcr3TrpMode = std::uint64_t{1} << 58;
inline constexpr std::uint64_t kStOverflow = 1, kStEvtInt = 2, kStWaitInt = 4, kStEvtRun = 8,
                               kStCmdRun = 16;
// What the sheet's golden vectors run with.
inline constexpr std::uint64_t kUsual = 0x100d;
// Host table entries.
inline constexpr std::uint64_t kIr = std::uint64_t{1} << 61, kIw = std::uint64_t{1} << 62,
                               kRw = kIr | kIw;
[[nodiscard]] constexpr std::uint64_t leaf(std::uint64_t page, unsigned next_level = 0) {
  return page | next_level << 9 | 1 | kRw;
}
[[nodiscard]] constexpr std::uint64_t pde(std::uint64_t table, unsigned next_level) {
  return leaf(table, next_level);
}

// Where things are.
inline constexpr std::uint64_t kDeviceTable = 0x200000, kRing = 0x400000, kLog = 0x410000,
                               kPprLogAt = 0x420000, kGaLogAt = 0x430000, kSemaphore = 0x440000,
                               kRoot = 0x500000, kTables = 0x510000;
inline constexpr std::uint64_t kLength256 = std::uint64_t{8} << 56;
inline constexpr std::uint16_t kDevice = 0x28;

struct Event {
  std::uint64_t low = 0, high = 0;
  [[nodiscard]] unsigned code() const { return static_cast<unsigned>(low >> 60); }
  [[nodiscard]] unsigned flags() const { return low >> 48 & 0xfff; }
  [[nodiscard]] unsigned device() const { return low & 0xffff; }
  [[nodiscard]] unsigned domain() const { return low >> 32 & 0xffff; }
  [[nodiscard]] unsigned pasid() const { return (low >> 32 & 0xffff) | (low & 0xf0000); }
};

class Sinks final : public InterruptSink, public FaultSink, public DirtySink, public PinSink {
 public:
  void on_device_msi(Requester requester, Msi msi) override {
    const std::lock_guard lock(mutex);
    device_msis.emplace_back(requester, msi);
  }
  void on_unit_msi(UnitId, Msi msi) override {
    const std::lock_guard lock(mutex);
    unit_msis.push_back(msi);
  }
  void on_fault(const Fault&) override {}
  void on_dirty(Gpa, std::uint64_t) override {}
  void on_stuck_pin(std::uint64_t, const StuckPin&) override {}

  std::mutex mutex;
  std::vector<std::pair<Requester, Msi>> device_msis;
  std::vector<Msi> unit_msis;
};

class Machine {
 public:
  explicit Machine(const Options& options = options_for(Profile::kFull),
                   const CacheOptions& caches = {});
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Guest memory.
  void store(std::uint64_t at, std::uint64_t word);
  [[nodiscard]] std::uint64_t load(std::uint64_t at) const;

  // Registers.
  [[nodiscard]] std::uint64_t read(std::uint64_t at, unsigned size = 8) {
    return unit->read_register(at, size);
  }
  void write(std::uint64_t at, std::uint64_t value, unsigned size = 8) {
    unit->write_register(at, size, value);
  }

  // Rings and tables as above, 256 entries each, every device's entry zero; then Control.
  void start(std::uint64_t control = kUsual);
  void set_entry(std::uint16_t bdf, std::uint64_t q0, std::uint64_t q1 = 0, std::uint64_t q2 = 0,
                 std::uint64_t q3 = 0);
  // A valid entry: host tables of `mode` levels at `root`, read and write.
  void attach(std::uint16_t bdf, unsigned mode, std::uint16_t domain, std::uint64_t root = kRoot) {
    set_entry(bdf, root | mode << 9 | 3 | kRw, domain);
  }

  // The command buffer.
  void post(std::uint64_t low, std::uint64_t high = 0);
  // COMPLETION_WAIT with a store, as Linux does. True: it has come.
  bool wait();
  // The last of them has come by now.
  [[nodiscard]] bool completed() const { return load(kSemaphore) == sequence_; }
  // Commands by name, each followed by a wait.
  void forget_device(std::uint16_t bdf) { post(std::uint64_t{2} << 60 | bdf), wait(); }
  void forget_pages(std::uint16_t domain, std::uint64_t address_and_bits) {
    post(std::uint64_t{3} << 60 | std::uint64_t{domain} << 32, address_and_bits), wait();
  }
  void forget_all() { post(std::uint64_t{8} << 60), wait(); }

  // What was logged since the last call.
  [[nodiscard]] std::vector<Event> events();

  // DMA.
  [[nodiscard]] DmaPort& port(std::uint16_t bdf = kDevice);
  // Where the first byte lands; nothing: it faulted.
  [[nodiscard]] std::optional<std::uint64_t> dma(std::uint64_t iova, Access access = Access::kWrite,
                                                 std::uint16_t bdf = kDevice,
                                                 const DmaAttributes& attributes = kPlainDma);

  Sinks sinks;
  ManualClock clock;
  std::unique_ptr<Iommu> iommu;
  Unit* unit = nullptr;

 private:
  std::byte* ram_ = nullptr;
  std::shared_ptr<const GuestMemory> memory_;
  std::map<std::uint16_t, std::unique_ptr<DmaPort>> ports_;
  std::uint32_t tail_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace weir::amdvi::test
