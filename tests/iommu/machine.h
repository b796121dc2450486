// SPDX-License-Identifier: Apache-2.0
//
// A machine for tests of the core: 4 MiB of RAM at 0, a device's registers and a ROM further up,
// sinks that remember, a clock that is told, and one FakeUnit at kUnitBase (more can be added).
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "iommu/iommu.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "tests/iommu/fake_unit.h"

namespace weir::testing_iommu {

// Remembers everything that is said, from any thread.
class Recorder final : public InterruptSink,
                       public InterruptChangeSink,
                       public FaultSink,
                       public DirtySink,
                       public PinSink {
 public:
  void on_device_msi(Requester requester, Msi msi) override {
    const std::lock_guard lock(mutex);
    device_msis.emplace_back(requester, msi);
  }
  void on_device_interrupt(Requester requester, const RemappedInterrupt& interrupt) override {
    on_device_msi(requester, interrupt.msi);
    const std::lock_guard lock(mutex);
    interrupts.push_back(interrupt);
  }
  void on_interrupts_changed(const InterruptChange& change) override {
    const std::lock_guard lock(mutex);
    interrupt_changes.push_back(change);
  }
  void on_unit_msi(UnitId unit, Msi msi) override {
    const std::lock_guard lock(mutex);
    unit_msis.emplace_back(unit, msi);
  }
  void on_fault(const Fault& fault) override {
    const std::lock_guard lock(mutex);
    faults.push_back(fault);
  }
  void on_dirty(Gpa first, std::uint64_t size) override {
    const std::lock_guard lock(mutex);
    dirty.emplace_back(first, size);
  }
  void on_stuck_pin(std::uint64_t pin, const StuckPin& what) override {
    const std::lock_guard lock(mutex);
    stuck.emplace_back(pin, what);
  }

  std::mutex mutex;
  std::vector<std::pair<Requester, Msi>> device_msis;
  std::vector<RemappedInterrupt> interrupts;
  std::vector<InterruptChange> interrupt_changes;
  std::vector<std::pair<UnitId, Msi>> unit_msis;
  std::vector<Fault> faults;
  std::vector<std::pair<Gpa, std::uint64_t>> dirty;
  std::vector<std::pair<std::uint64_t, StuckPin>> stuck;
};

// A page of device registers with atomics.
class Registers final : public MemoryTarget {
 public:
  bool read(std::uint64_t offset, std::span<std::byte> to) override {
    if (refuse) return false;
    std::memcpy(to.data(), bytes.data() + offset, to.size());
    return true;
  }
  bool write(std::uint64_t offset, std::span<const std::byte> from) override {
    if (refuse) return false;
    std::memcpy(bytes.data() + offset, from.data(), from.size());
    return true;
  }
  std::optional<bool> compare_exchange(std::uint64_t offset, std::uint64_t& expected,
                                       std::uint64_t desired) override {
    if (!atomics) return std::nullopt;
    std::uint64_t now = 0;
    std::memcpy(&now, bytes.data() + offset, 8);
    const bool match = now == std::exchange(expected, now);
    if (match) std::memcpy(bytes.data() + offset, &desired, 8);
    return match;
  }

  std::array<std::byte, kPageSize> bytes{};
  bool refuse = false;
  bool atomics = true;
};

// A firmware table whose parse is given.
class FakeParser final : public TableParser {
 public:
  explicit FakeParser(Coverage coverage) : coverage_(std::move(coverage)) {}
  [[nodiscard]] Result<Coverage, TableError> parse(
      std::span<const std::byte> table) const override {
    if (table.empty()) return Failure{TableError{.offset = 3, .cause = "too short"}};
    return coverage_;
  }

 private:
  Coverage coverage_;
};

inline constexpr std::uint64_t kUnitBase = 0xfed90000;
inline constexpr std::uint64_t kRamPages = 1024;
inline constexpr Gpa kData{0x100000};    // data pages: 256 of them
inline constexpr Gpa kTables{0x200000};  // table pages: 512 of them
inline constexpr Gpa kRegisters{0x10000000};
inline constexpr Gpa kRom{0x20000000};

class Machine {
 public:
  struct Options {
    CacheOptions caches{};
    std::shared_ptr<const pagetables::HostMap> host_map{};
    // Who is behind the unit: every function of bus 0 by default.
    Coverage coverage{{UnitCoverage{.register_base = kUnitBase, .rest_of_segment = true}}};
    bool add_unit = true;
  };

  Machine() : Machine(Options{}) {}
  explicit Machine(Options options) : ram_(kRamPages * 512), rom_(512, 0x5252525252525252) {
    memory_ = make_memory();
    const Sinks sinks{.interrupts = &seen,
                      .interrupt_changes = &seen,
                      .faults = &seen,
                      .dirty = &seen,
                      .pins = &seen};
    iommu = std::make_unique<Iommu>(IommuConfig{.memory = memory_,
                                                .host_map = options.host_map,
                                                .clock = &clock,
                                                .sinks = sinks,
                                                .caches = options.caches});
    const std::byte table[1]{};
    (void)iommu->use_tables(FakeParser(options.coverage), table);
    if (options.add_unit) {
      unit = &iommu->add_unit<FakeUnit>(kUnitBase);
      (void)unit->set_mode(UnitMode::kTranslating);
    }
    physical = std::make_unique<pagetables::PhysicalMemory>(memory_);
  }

  // Another snapshot of the same bytes.
  [[nodiscard]] std::shared_ptr<const GuestMemory> make_memory() {
    auto made = GuestMemory::create(
        {{.first = Hpa(0), .size = ram_.size() * 8, .host = host(Gpa(0))},
         {.first = Hpa(kRegisters.value()), .size = kPageSize, .target = &registers},
         {.first = Hpa(kRom.value()),
          .size = kPageSize,
          .host = reinterpret_cast<std::byte*>(rom_.data()),
          .permissions = Permissions::read_only()}});
    return std::make_shared<const GuestMemory>(std::move(made).value());
  }

  [[nodiscard]] std::unique_ptr<DmaPort> attach(std::uint16_t sid) {
    auto port = iommu->attach({.function = Requester::from_sid(sid)});
    return port ? std::move(port).value() : nullptr;
  }
  // The address of RAM bytes.
  [[nodiscard]] std::byte* host(Gpa at) {
    return reinterpret_cast<std::byte*>(ram_.data()) + at.value();
  }
  [[nodiscard]] std::uint64_t& word(Gpa at) { return ram_[at.value() / 8]; }
  // A zeroed table page; the first call gives kTables.
  [[nodiscard]] std::optional<Gpa> allocate() {
    if (next_table_ == 512) return std::nullopt;
    return kTables + kPageSize * next_table_++;
  }

  Recorder seen;
  Registers registers;
  ManualClock clock;

 private:
  std::vector<std::uint64_t> ram_;
  std::vector<std::uint64_t> rom_;
  std::shared_ptr<const GuestMemory> memory_;
  std::uint64_t next_table_ = 0;

 public:
  std::unique_ptr<pagetables::PhysicalMemory> physical;  // how the guest's CPUs see memory
  std::unique_ptr<Iommu> iommu;
  FakeUnit* unit = nullptr;
};

// The guest's page tables of one domain.
template <pagetables::RadixFormat Format>
class TablesOf {
 public:
  explicit TablesOf(Machine& machine)
      : builder_(*machine.physical, Format::rules({}), *machine.allocate(), 4,
                 [&machine] { return machine.allocate(); }) {}

  [[nodiscard]] Gpa root() const { return builder_.root(); }
  void map(Iova iova, Gpa gpa, std::uint64_t size = kPageSize,
           Permissions permissions = Permissions::read_write(), unsigned max_lg2 = 30) {
    (void)builder_.map(iova.value(), size, gpa, permissions, max_lg2);
  }
  void unmap(Iova iova, std::uint64_t size = kPageSize) {
    (void)builder_.unmap(iova.value(), size);
  }

 private:
  pagetables::TableBuilder<Format> builder_;
};
using Tables = TablesOf<pagetables::VtdSecondStage>;
using FirstStageTables = TablesOf<pagetables::X86FirstStage>;

[[nodiscard]] inline iotlb::Invalidation flush_page(std::uint32_t domain, Iova page,
                                                    std::uint64_t size = kPageSize) {
  return {.scope = iotlb::Scope::kRange,
          .domain = DomainId{domain},
          .range = {page, page + (size - 1)}};
}

// The sum over every outcome and over every reason: equal books count equal pieces (L9).
[[nodiscard]] inline std::uint64_t faults_by_reason(const Stats& stats) {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : stats.faults) sum += count;
  return sum;
}

}  // namespace weir::testing_iommu
