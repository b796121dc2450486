// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <cstdlib>
#include <stdexcept>

#include "bench/bench_unit.h"
#include "pagetables/table_builder.h"

namespace weir::bench {
namespace {

using pagetables::MemorySlot;
using pagetables::MemorySlots;
using pagetables::PhysicalMemory;
using pagetables::VtdSecondStage;

constexpr std::uint64_t kUnitRegisters = 0xfed9'0000;
constexpr Hpa kRam{0x7f00'0000'0000};
constexpr Gpa kTables{0x1000};  // in the first slot

// Covers the devices of the machine's table, and no others.
class OneUnit final : public TableParser {
 public:
  [[nodiscard]] Result<Coverage, TableError> parse(std::span<const std::byte>) const override {
    UnitCoverage unit;
    unit.register_base = kUnitRegisters;
    for (std::uint8_t i = 0; i < Machine::kTranslated; ++i)
      unit.scopes.push_back({.path = {{static_cast<std::uint8_t>(4 + i), 0}}});
    return Coverage{{unit}};
  }
};

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error("the machine to measure cannot be built: " + what);
}

}  // namespace

// Zeroed by the system and untouched but for the tables: a lookup gives pointers, it does not
// follow them.
struct Machine::Ram {
  std::uint64_t size = 0;
  std::unique_ptr<std::byte, decltype(&std::free)> bytes{nullptr, &std::free};
  std::shared_ptr<const GuestMemory> memory;
  std::shared_ptr<const MemorySlots> slots;

  Ram() {
    std::vector<MemorySlot> list;
    for (const Workload::Slot& slot : Workload::kSlots) {
      list.push_back({.first = Gpa(slot.first), .size = slot.size, .to = kRam + size});
      size += slot.size;
    }
    bytes.reset(static_cast<std::byte*>(std::calloc(1, size)));
    if (bytes == nullptr) throw std::bad_alloc();
    memory = std::make_shared<GuestMemory>(GuestMemory::single(kRam, {bytes.get(), size}));
    auto made = MemorySlots::create(std::move(list));
    if (!made) give_up(made.error());
    slots = std::make_shared<MemorySlots>(std::move(made).value());
  }
};

namespace {

Gpa write_tables(const Workload& workload, const PhysicalMemory& memory) {
  Gpa next = kTables;
  const auto take = [&next]() -> std::optional<Gpa> {
    const Gpa page = next;
    next = next + kPageSize;
    return page;
  };
  const Gpa root = *take();
  pagetables::TableBuilder<VtdSecondStage> builder(memory, BenchUnit::kRules, root,
                                                   BenchUnit::kLevels, take);
  for (std::size_t i = 0; i < workload.pages(); ++i)
    if (!builder.map(workload.page(i).value(), kPageSize, workload.gpa_of_page(i),
                     Permissions::read_write(), kPageLg2))
      give_up("a page of the workload cannot be mapped");
  return root;
}

}  // namespace

Machine::Machine(const Workload& workload, std::size_t entries)
    : ram_(std::make_unique<Ram>()),
      iommu_(std::make_unique<Iommu>(IommuConfig{
          .memory = ram_->memory, .host_map = ram_->slots, .caches = {.entries = entries}})) {
  const Gpa root = write_tables(workload, PhysicalMemory(ram_->memory, ram_->slots));
  if (!iommu_->use_tables(OneUnit(), {})) give_up("no table");
  iommu_->add_unit<BenchUnit>(kUnitRegisters, root);
  const auto attach = [&](unsigned device) {
    auto port = iommu_->attach({.function = Requester::from_bdf(0, device, 0), .bridges = {}});
    if (!port) give_up(port.error());
    return std::move(port).value();
  };
  for (unsigned i = 0; i < kTranslated; ++i) translated_[i] = attach(4 + i);
  bypassing_ = attach(4 + kTranslated);
}

Machine::~Machine() = default;

std::optional<std::string> Machine::warm_up(const Workload& workload) {
  const auto check = [&](DmaPort& port, Iova iova, Gpa gpa) {
    const auto t = port.translate(iova, Workload::kRequestBytes, Access::kRead);
    if (!t || t->gpa != gpa || t->length != Workload::kRequestBytes) return false;
    const auto at = ram_->slots->lookup(gpa);
    return at && t->hpa == at->hpa && t->host == ram_->bytes.get() + (at->hpa - kRam);
  };
  for (std::size_t i = 0; i < workload.pages(); ++i) {
    const Gpa gpa = workload.gpa_of_page(i);
    for (const auto& port : translated_)
      if (!check(*port, workload.page(i), gpa)) return "a page translates to the wrong place";
    if (!check(*bypassing_, Iova(gpa.value()), gpa)) return "a bypassing request goes astray";
  }
  return std::nullopt;
}

}  // namespace weir::bench
