// SPDX-License-Identifier: Apache-2.0
#include "replay/strict_rings.h"

#include <deque>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "iommu/iommu.h"
#include "pagetables/table_builder.h"
#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "replay/model_memory.h"
#include "replay/vtd_driver_registers.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/unit.h"

namespace weir::replay {
namespace {

using namespace driver;
using pagetables::TableBuilder;
using pagetables::VtdSecondStage;
using pagetables::X86FirstStage;

constexpr std::uint64_t kRegisters = 0xfed90000;
constexpr unsigned kLevels = 4;
constexpr std::uint64_t kBuffers = std::uint64_t{1} << 30;  // guest memory of buffers, from here
constexpr std::uint64_t kBufferPages = 16384;
constexpr std::uint64_t kIovas = std::uint64_t{1} << 32;  // handed out downwards, as Linux does
constexpr std::uint64_t kPagesOfTransfer = 32, kTransfersInFlight = 32, kPacketsInRing = 512;
constexpr std::uint64_t kPacketsOfRound = 32;

// PASID entry (9.6): nested; the second word holds the domain, the third first-stage tables.
constexpr std::uint64_t kNested = 3;
constexpr std::uint64_t kFourLevels = 2;
// PASID-selective-within-domain page flush (6.5.2.4).
constexpr std::uint64_t kPagesOfPasid = 3U << 4 | 6U;
constexpr std::uint64_t kLeafOnlyHint = 1U << 6;

}  // namespace

struct StrictRings::State {
  explicit State(ModelMemory of_machine) : memory(std::move(of_machine)) {}

  using Step = Result<Done, std::string>;

  // Pages of the model's memory are where they are said to be: stage 2 is the identity, in pages.
  [[nodiscard]] Gpa page() { return *memory.allocate_page(); }
  void put(Gpa at, std::uint64_t word) { (void)memory.physical().store64(at, word); }

  [[nodiscard]] Step start(Hint hint);
  void descriptor(std::uint64_t low, std::uint64_t high);
  [[nodiscard]] Step flush(std::uint32_t domain, Iova first, unsigned order);

  // One function with first-stage tables of its own.
  struct Function {
    std::uint16_t sid = 0;
    std::uint32_t domain = 0;
    std::optional<TableBuilder<X86FirstStage>> tables;
    std::unique_ptr<DmaPort> port;
    std::uint64_t next_iova = kIovas;
    std::vector<std::uint64_t> freed[6];  // by size, the last one first: what a processor's cache is
    Iova ring;
  };
  [[nodiscard]] Step attach(Function& function, std::uint16_t sid, std::uint32_t domain);
  [[nodiscard]] Step map(Function& function, Iova iova, Gpa page);
  [[nodiscard]] Result<Iova, std::string> map_buffer(Function& function, unsigned order);
  [[nodiscard]] Step unmap_buffer(Function& function, Iova iova, unsigned order);
  [[nodiscard]] Step touch(Function& function, Iova first, std::uint64_t bytes,
                           std::uint64_t piece, Access access);
  [[nodiscard]] Step transfer();
  [[nodiscard]] Step packet();

  ModelMemory memory;
  std::unique_ptr<Iommu> iommu;
  vtd::Unit* unit = nullptr;
  Gpa queue, status, contexts;
  std::uint64_t tail = 0;
  std::uint32_t waits = 0;
  std::uint64_t hint = 0;
  std::optional<TableBuilder<VtdSecondStage>> stage2;
  Function nvme, nic;
  std::deque<Iova> transfers, packets;
  std::uint64_t transfer_number = 0, packet_number = 0;
  std::mt19937_64 random{1};
};

// ---- The unit

void StrictRings::State::descriptor(std::uint64_t low, std::uint64_t high) {
  const Gpa at = queue + tail * 2 * kDescriptorBytes;
  put(at, low), put(at + 8, high), put(at + 16, 0), put(at + 24, 0);
  tail = (tail + 1) % kQueueEntries;
}

// Posts it with a wait behind it, one doorbell for both.
StrictRings::State::Step StrictRings::State::flush(std::uint32_t domain, Iova first,
                                                   unsigned order) {
  descriptor(kPagesOfPasid | std::uint64_t{domain} << 16, first.value() | hint | order);
  ++waits;
  descriptor(kStatusData.of(waits) | kStatusWrite.kMask | kType.of(5), status.value());
  unit->write_register(kIqt, 4, tail * 2 * kDescriptorBytes);
  const auto word = memory.physical().load64(status);
  if (!word || static_cast<std::uint32_t>(*word) != waits)
    return Failure{std::string("a flush has not completed")};
  return Done{};
}

StrictRings::State::Step StrictRings::State::start(Hint with) {
  hint = with == Hint::kLeafOnly ? kLeafOnlyHint : 0;
  iommu = std::make_unique<Iommu>(IommuConfig{.memory = memory.memory()});
  const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
  const auto dmar = vtd::build_dmar(everything);
  if (!iommu->use_tables(vtd::dmar_parser(), dmar)) return Failure{std::string("no routes")};
  vtd::Options options = vtd::profile::full();
  options.walk_coherency = false;
  unit = &iommu->add_unit<vtd::Unit>(kRegisters, options);
  const Gpa root = page();
  queue = page();
  (void)page();  // the queue has two
  status = page();
  contexts = page();
  put(root, contexts.value() | kPresent.kMask);
  stage2.emplace(memory.physical(), VtdSecondStage::rules({}), page(), kLevels,
                 [this] { return memory.allocate_page(); });
  if (!stage2->map(kBuffers, kBufferPages << kPageLg2, Gpa(kBuffers), Permissions::all(), kPageLg2))
    return Failure{std::string("no second stage")};
  if (auto done = attach(nvme, 0x10, 1); !done) return done;
  if (auto done = attach(nic, 0x20, 2); !done) return done;
  // All pages that the model has taken so far and will take: the first stage's tables among them.
  constexpr std::uint64_t kModelPages = 4096;
  if (!stage2->map(ModelMemory::kTables.value(), kModelPages << kPageLg2, ModelMemory::kTables,
                   Permissions::all(), kPageLg2))
    return Failure{std::string("no second stage for tables")};
  unit->write_register(kIqt, 4, 0);
  unit->write_register(kIqa, 8, queue.value() | kWide.kMask | kQueueSize.of(1));
  unit->write_register(kGcmd, 4, kQueueEnable);
  unit->write_register(kRtaddr, 8, root.value() | kTableMode.of(kScalableTables));
  unit->write_register(kGcmd, 4, kQueueEnable | kSetRootPointer);
  unit->write_register(kGcmd, 4, kQueueEnable | kTranslationEnable);
  return Done{};
}

StrictRings::State::Step StrictRings::State::attach(Function& f, std::uint16_t sid,
                                                    std::uint32_t domain) {
  f.sid = sid;
  f.domain = domain;
  f.tables.emplace(memory.physical(), X86FirstStage::rules({}), page(), kLevels,
                   [this] { return memory.allocate_page(); });
  const Gpa directory = page(), entries = page();
  put(directory, entries.value() | kPresent.kMask);
  put(entries + 16, f.tables->root().value());
  put(entries + 8, domain);
  put(entries, stage2->root().value() | kTranslationKind.of(kNested) |
                   kPasidWidth.of(kFourLevels) | kPresent.kMask);
  put(contexts + sid * kContextBytes, directory.value() | kPresent.kMask);
  auto port = iommu->attach({.function = Requester::from_sid(sid)});
  if (!port) return Failure{port.error()};
  f.port = std::move(*port);
  f.ring = Iova(f.next_iova -= 4 * kPageSize);
  for (std::uint64_t i = 0; i < 4; ++i)
    if (auto done = map(f, f.ring + (i << kPageLg2), Gpa(kBuffers + ((sid + i) << kPageLg2)));
        !done)
      return done;
  return Done{};
}

// ---- The guest's DMA API

StrictRings::State::Step StrictRings::State::map(Function& f, Iova iova, Gpa to) {
  if (!f.tables->map(iova.value(), kPageSize, to, Permissions::all(), kPageLg2))
    return Failure{std::string("no room for the first stage")};
  return Done{};
}

// A block of 2^order pages, aligned to its size; its pages lie anywhere.
Result<Iova, std::string> StrictRings::State::map_buffer(Function& f, unsigned order) {
  const std::uint64_t bytes = kPageSize << order;
  auto& freed = f.freed[order];
  Iova iova;
  if (freed.size() > 16) {
    iova = Iova(freed.back());
    freed.pop_back();
  } else {
    f.next_iova = (f.next_iova - bytes) & ~(bytes - 1);
    iova = Iova(f.next_iova);
  }
  for (std::uint64_t i = 0; i < std::uint64_t{1} << order; ++i) {
    const Gpa to(kBuffers + (random() % kBufferPages << kPageLg2));
    if (auto done = map(f, iova + (i << kPageLg2), to); !done) return Failure{done.error()};
  }
  return iova;
}

StrictRings::State::Step StrictRings::State::unmap_buffer(Function& f, Iova iova, unsigned order) {
  if (!f.tables->unmap(iova.value(), kPageSize << order))
    return Failure{std::string("an unmap failed")};
  f.freed[order].push_back(iova.value());
  return flush(f.domain, iova, order);
}

// ---- The devices

StrictRings::State::Step StrictRings::State::touch(Function& f, Iova first, std::uint64_t bytes,
                                                   std::uint64_t piece, Access access) {
  DmaPort::Burst burst(*f.port);
  for (std::uint64_t at = 0; at < bytes; at += piece)
    if (!burst.translate(first + at, std::min(piece, bytes - at), access))
      return Failure{std::string("a transfer has faulted")};
  return Done{};
}

StrictRings::State::Step StrictRings::State::transfer() {
  constexpr unsigned kOrder = 5;
  static_assert(kPagesOfTransfer == 1U << kOrder);
  const auto buffer = map_buffer(nvme, kOrder);
  if (!buffer) return Failure{buffer.error()};
  transfers.push_back(*buffer);
  const std::uint64_t slot = transfer_number++ % 64;
  // Submission queue, completion queue and lists of pages: a page each.
  if (auto done = touch(nvme, nvme.ring + slot * 64, 64, 64, Access::kRead); !done) return done;
  if (auto done = touch(nvme, nvme.ring + 2 * kPageSize, 256, 256, Access::kRead); !done)
    return done;
  if (auto done = touch(nvme, *buffer, kPagesOfTransfer << kPageLg2, 512, Access::kWrite); !done)
    return done;
  if (auto done = touch(nvme, nvme.ring + kPageSize + slot * 16, 16, 16, Access::kWrite); !done)
    return done;
  if (transfers.size() <= kTransfersInFlight) return Done{};
  const Iova oldest = transfers.front();
  transfers.pop_front();
  return unmap_buffer(nvme, oldest, kOrder);
}

StrictRings::State::Step StrictRings::State::packet() {
  // The driver keeps the ring full; the device takes the oldest buffer.
  while (packets.size() < kPacketsInRing) {
    const auto buffer = map_buffer(nic, 0);
    if (!buffer) return Failure{buffer.error()};
    packets.push_back(*buffer);
  }
  const Iova slot = nic.ring + packet_number++ % kPacketsInRing * 16;
  const Iova buffer = packets.front();
  packets.pop_front();
  if (auto done = touch(nic, slot, 16, 16, Access::kRead); !done) return done;
  if (auto done = touch(nic, buffer, 1500, 256, Access::kWrite); !done) return done;
  if (auto done = touch(nic, slot, 16, 16, Access::kWrite); !done) return done;
  return unmap_buffer(nic, buffer, 0);
}

// ---- StrictRings

StrictRings::StrictRings(std::unique_ptr<State> state) : state_(std::move(state)) {}
StrictRings::~StrictRings() = default;

Result<std::unique_ptr<StrictRings>, std::string> StrictRings::create(Hint hint) {
  auto memory = ModelMemory::create();
  if (!memory) return Failure{memory.error()};
  auto state = std::make_unique<State>(std::move(*memory));
  if (auto started = state->start(hint); !started) return Failure{started.error()};
  return std::unique_ptr<StrictRings>(new StrictRings(std::move(state)));
}

Result<Done, std::string> StrictRings::run(std::uint64_t rounds) {
  for (std::uint64_t round = 0; round < rounds; ++round) {
    if (auto done = state_->transfer(); !done) return done;
    for (std::uint64_t i = 0; i < kPacketsOfRound; ++i)
      if (auto done = state_->packet(); !done) return done;
  }
  return Done{};
}

Stats StrictRings::stats() const { return state_->iommu->stats(); }

}  // namespace weir::replay
