// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "iommu/policy.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "vendors/vtd/descriptors.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/registers.h"
#include "vendors/vtd/tables.h"
#include "vendors/vtd/unit.h"

namespace weir::bench {
namespace {

using pagetables::MemorySlot;
using pagetables::MemorySlots;
using pagetables::PhysicalMemory;
using pagetables::VtdSecondStage;

constexpr std::uint64_t kUnitRegisters = 0xfed9'0000;
constexpr Hpa kRam{0x7f00'0000'0000};
constexpr Gpa kStatusAt{0x800};  // of waits; both in the first slot
constexpr Gpa kTables{0x1000};

constexpr unsigned kLevels = 4;
constexpr std::uint8_t kFirstDevice = 4;
constexpr DomainId kDomain{1};

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

// Gives zeroed pages one after the other.
class PagePool {
 public:
  [[nodiscard]] Gpa take() { return std::exchange(next_, next_ + kPageSize); }

 private:
  Gpa next_ = kTables;
};

// What a guest's driver does before it turns translation on: the page table of the workload, and
// a context for every translated function. Gives the root table.
Gpa write_tables(const Workload& workload, const PhysicalMemory& memory, PagePool& pages) {
  pagetables::TableBuilder<VtdSecondStage> builder(memory, VtdSecondStage::rules({}), pages.take(),
                                                   kLevels,
                                                   [&] { return std::optional(pages.take()); });
  for (std::size_t i = 0; i < workload.pages(); ++i)
    if (!builder.map(workload.page(i).value(), kPageSize, workload.gpa_of_page(i),
                     Permissions::read_write(), kPageLg2))
      give_up("a page of the workload cannot be mapped");
  const Gpa root = pages.take();
  const Gpa contexts = pages.take();
  const auto put = [&](Gpa at, std::uint64_t word) {
    if (!memory.store64(at, word)) give_up("a table entry cannot be written");
  };
  using namespace vtd;
  put(root, root_entry::kContextTable.in_place(contexts.value()) | root_entry::kPresent.kMask);
  for (unsigned i = 0; i < Machine::kTranslated; ++i) {
    const Gpa entry =
        contexts + Requester::from_bdf(0, kFirstDevice + i, 0).devfn() * kTableEntryBytes;
    put(entry + 8, context_entry::kDomain.of(kDomain.value) |
                       context_entry::kAddressWidth.of(kLevels - 2));  // AW 2 is four levels
    put(entry, context_entry::kSecondStageTable.in_place(builder.root().value()) |
                   context_entry::kPresent.kMask);
  }
  return root;
}

// Coverage as the firmware would write it: the translated functions by name, and no others.
std::vector<std::byte> make_dmar() {
  UnitCoverage unit;
  unit.register_base = kUnitRegisters;
  for (std::uint8_t i = 0; i < Machine::kTranslated; ++i)
    unit.scopes.push_back({.path = {{static_cast<std::uint8_t>(kFirstDevice + i), 0}}});
  return vtd::build_dmar({{unit}});
}

// The driver's last steps.
void turn_on(vtd::Unit& unit, Gpa root) {
  using namespace vtd::reg;
  unit.write_register(rtaddr::kRegister.offset, 8, root.value());
  unit.write_register(global::kCommand.offset, 4, global::kRootPointer.kMask);
  unit.write_register(global::kCommand.offset, 4, global::kTranslation.kMask);
  if ((unit.read_register(global::kStatus.offset, 4) & global::kTranslation.kMask) == 0)
    give_up("translation does not come on");
}

// One page: room for 256 descriptors.
void turn_queue_on(vtd::Unit& unit, Gpa queue) {
  using namespace vtd::reg;
  unit.write_register(iqa::kRegister.offset, 8, iqa::kBase.in_place(queue.value()));
  unit.write_register(global::kCommand.offset, 4,
                      global::kTranslation.kMask | global::kQueue.kMask);
  if ((unit.read_register(global::kStatus.offset, 4) & global::kQueue.kMask) == 0)
    give_up("queued invalidation does not come on");
}

}  // namespace

void Machine::flush_pages(std::uint64_t first, std::size_t count) {
  using namespace vtd::descriptor;
  const SpinLock::Held held(queue_lock_);
  const auto put = [&](std::uint64_t low, std::uint64_t high) {
    std::byte* const at = ram_->bytes.get() + queue_.value() + tail_;
    std::memcpy(at, &low, sizeof low);
    std::memcpy(at + sizeof low, &high, sizeof high);
    tail_ = (tail_ + kBytes) % kPageSize;
  };
  constexpr std::uint64_t kPageSelective = 3;
  for (std::size_t i = 0; i < count; ++i)
    put(kTypeLow.of(translation::kType) | translation::kGranularity.of(kPageSelective) |
            translation::kDomain.of(kDomain.value),
        translation::kAddress.in_place(Workload::kFirstPage + (first + i) * kPageSize));
  put(kTypeLow.of(wait::kType) | wait::kStatusWrite.kMask | wait::kData.of(++status_),
      wait::kAddress.in_place(kStatusAt.value()));
  unit_->write_register(vtd::reg::iqt::kRegister.offset, 8, tail_);
  const std::atomic_ref<std::uint32_t> status(
      *reinterpret_cast<std::uint32_t*>(ram_->bytes.get() + kStatusAt.value()));
  // Acquire: pairs with the unit's status write.
  while (status.load(std::memory_order_acquire) != status_) iommu_->poll();
}

Machine::Machine(const Workload& workload, std::size_t entries, bool verified)
    : ram_(std::make_unique<Ram>()),
      iommu_(std::make_unique<Iommu>(IommuConfig{
          .memory = ram_->memory,
          .host_map = ram_->slots,
          .caches = {.entries = entries, .verified = verified, .verified_entries = entries}})) {
  PagePool pages;
  memory_ = std::make_unique<const PhysicalMemory>(ram_->memory, ram_->slots);
  const Gpa root = write_tables(workload, *memory_, pages);
  queue_ = pages.take();
  if (!iommu_->use_tables(vtd::dmar_parser(), make_dmar())) give_up("the DMAR is refused");
  unit_ = &iommu_->add_unit<vtd::Unit>(kUnitRegisters, vtd::Options{});
  turn_on(*unit_, root);
  turn_queue_on(*unit_, queue_);
  const auto attach = [&](unsigned device, std::optional<PoolId> pool = {}) {
    auto port =
        iommu_->attach({.function = Requester::from_bdf(0, device, 0), .bridges = {}}, pool);
    if (!port) give_up(port.error());
    return std::move(port).value();
  };
  for (unsigned i = 0; i < kTranslated; ++i) translated_[i] = attach(kFirstDevice + i);
  bypassing_ = attach(kFirstDevice + kTranslated);
  // The tables do not cover it, so that is all that is to be decided.
  if (decide({.offered = true, .negotiated = true}).answer != PolicyDecision::Answer::kBypass)
    give_up("the policy has a device translated that no table covers");
  offered_ = attach(kFirstDevice + kTranslated + 1);
  constexpr auto kHigh = Workload::kSlots[2];
  const Window window =
      Window::identity({Gpa(kHigh.first), Gpa(kHigh.first) + (kHigh.size - 1)});
  if (!iommu_->declare_pool(PoolId{0}, window)) give_up("the window is refused");
  windowed_ = attach(kFirstDevice + kTranslated + 2, PoolId{0});
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
    for (const auto& port : {&bypassing_, &offered_})
      if (!check(**port, Iova(gpa.value()), gpa)) return "a bypassing request goes astray";
    if (gpa.value() >= Workload::kSlots[2].first && !check(*windowed_, Iova(gpa.value()), gpa))
      return "a request through a window goes astray";
  }
  return std::nullopt;
}

}  // namespace weir::bench
