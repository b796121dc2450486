// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/registers.h"
#include "vendors/vtd/tables.h"
#include "vendors/vtd/unit.h"

namespace weir::bench {
namespace {

using pagetables::PhysicalMemory;
using pagetables::VtdSecondStage;

constexpr std::uint64_t kUnitRegisters = 0xfed9'0000;
constexpr std::uint64_t kRamBytes = 0x40'0000;
constexpr unsigned kLevels = 4;
constexpr std::size_t kPerBus = 256;
constexpr Iova kPage{0x10'0000};

[[noreturn]] void give_up(const char* what) { throw std::runtime_error(what); }

}  // namespace

struct Crowd::Parts {
  explicit Parts(std::size_t devices)
      : bytes(static_cast<std::byte*>(std::calloc(1, kRamBytes)), &std::free),
        memory(
            std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), {bytes.get(), kRamBytes}))),
        iommu(IommuConfig{.memory = memory}),
        wanted(devices) {}

  std::unique_ptr<std::byte, decltype(&std::free)> bytes;
  std::shared_ptr<const GuestMemory> memory;
  Iommu iommu;
  std::size_t wanted;
  std::vector<std::unique_ptr<DmaPort>> ports{};
};

// One page table for all; a context of its own, with a domain of its own, for each.
Crowd::Crowd(std::size_t devices) : parts_(std::make_unique<Parts>(devices)) {
  const PhysicalMemory memory(parts_->memory);
  std::uint64_t next = kPageSize;
  const auto take = [&] { return Gpa(std::exchange(next, next + kPageSize)); };
  pagetables::TableBuilder<VtdSecondStage> builder(memory, VtdSecondStage::rules({}), take(),
                                                   kLevels, [&] { return std::optional(take()); });
  if (!builder.map(kPage.value(), kPageSize, Gpa(kPage.value()), Permissions::read_write(),
                   kPageLg2))
    give_up("the crowd's page cannot be mapped");
  const auto put = [&](Gpa at, std::uint64_t word) {
    if (!memory.store64(at, word)) give_up("a table entry cannot be written");
  };
  using namespace vtd;
  const Gpa root = take();
  Gpa contexts;
  for (std::size_t i = 0; i < devices; ++i) {
    if (i % kPerBus == 0) {
      contexts = take();
      put(root + i / kPerBus * kTableEntryBytes,
          root_entry::kContextTable.in_place(contexts.value()) | root_entry::kPresent.kMask);
    }
    const Gpa entry = contexts + i % kPerBus * kTableEntryBytes;
    put(entry + 8, context_entry::kDomain.of(1 + i) | context_entry::kAddressWidth.of(kLevels - 2));
    put(entry, context_entry::kSecondStageTable.in_place(builder.root().value()) |
                   context_entry::kPresent.kMask);
  }
  UnitCoverage unit;
  unit.register_base = kUnitRegisters;
  unit.rest_of_segment = true;
  if (!parts_->iommu.use_tables(dmar_parser(), build_dmar({{unit}})))
    give_up("the DMAR is refused");
  vtd::Unit& made = parts_->iommu.add_unit<vtd::Unit>(kUnitRegisters, vtd::Options{});
  made.write_register(reg::rtaddr::kRegister.offset, 8, root.value());
  made.write_register(reg::global::kCommand.offset, 4, reg::global::kRootPointer.kMask);
  made.write_register(reg::global::kCommand.offset, 4, reg::global::kTranslation.kMask);
  parts_->ports.reserve(devices);
}

Crowd::~Crowd() = default;

void Crowd::attach() {
  for (std::size_t i = 0; i < parts_->wanted; ++i) {
    auto port = parts_->iommu.attach(
        {.function = Requester::from_sid(static_cast<std::uint16_t>(i)), .bridges = {}});
    if (!port) give_up("a device of the crowd cannot be attached");
    parts_->ports.push_back(std::move(port).value());
  }
}

bool Crowd::everyone_asks() {
  for (const auto& port : parts_->ports) {
    const auto t = port->translate(kPage, Workload::kRequestBytes, Access::kRead);
    if (!t || t->gpa.value() != kPage.value()) return false;
  }
  return true;
}

}  // namespace weir::bench
