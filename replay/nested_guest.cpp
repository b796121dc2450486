// SPDX-License-Identifier: Apache-2.0
#include "replay/nested_guest.h"

#include <utility>

#include "replay/vtd_driver_registers.h"
#include "vendors/vtd/dmar.h"

namespace weir::replay {
namespace {

using namespace driver;
using pagetables::VtdSecondStage;
using pagetables::X86FirstStage;

constexpr std::uint64_t kRegisters = 0xfed90000;
constexpr unsigned kLevels = 4;

// PASID entry (9.6): nested; the second word holds the domain, the third first-stage tables.
constexpr std::uint64_t kNested = 3;
constexpr std::uint64_t kFourLevels = 2;
// PASID-selective-within-domain page flush (6.5.2.4).
constexpr std::uint64_t kPagesOfPasid = 3U << 4 | 6U;
constexpr std::uint64_t kLeafOnlyHint = 1U << 6;

}  // namespace

Result<std::unique_ptr<NestedGuest>, std::string> NestedGuest::create(
    std::span<const std::uint16_t> source_ids) {
  auto memory = ModelMemory::create();
  if (!memory) return Failure{memory.error()};
  std::unique_ptr<NestedGuest> guest(new NestedGuest(std::move(*memory)));
  if (auto started = guest->start(source_ids); !started) return Failure{started.error()};
  return guest;
}

Result<Done, std::string> NestedGuest::start(std::span<const std::uint16_t> source_ids) {
  iommu_ = std::make_unique<Iommu>(IommuConfig{.memory = memory_.memory()});
  const Coverage everything{{{.register_base = kRegisters, .rest_of_segment = true}}};
  const auto dmar = vtd::build_dmar(everything);
  if (!iommu_->use_tables(vtd::dmar_parser(), dmar)) return Failure{std::string("no routes")};
  vtd::Options options = vtd::profile::full();
  options.walk_coherency = false;
  unit_ = &iommu_->add_unit<vtd::Unit>(kRegisters, options);
  const Gpa root = page();
  queue_ = page();
  (void)page();  // the queue has two
  status_ = page();
  contexts_ = page();
  put(root, contexts_.value() | kPresent.kMask);
  stage2_.emplace(memory_.physical(), VtdSecondStage::rules({}), page(), kLevels,
                  [this] { return memory_.allocate_page(); });
  if (!stage2_->map(kBuffers, kBufferPages << kPageLg2, Gpa(kBuffers), Permissions::all(),
                    kPageLg2))
    return Failure{std::string("no second stage")};
  functions_.resize(source_ids.size());
  for (std::size_t i = 0; i < source_ids.size(); ++i) {
    functions_[i].domain = static_cast<std::uint32_t>(i) + 1;
    if (auto done = attach(functions_[i], source_ids[i]); !done) return done;
  }
  // All pages that the model has taken so far and will take: the first stage's tables among them.
  constexpr std::uint64_t kModelPages = 4096;
  if (!stage2_->map(ModelMemory::kTables.value(), kModelPages << kPageLg2, ModelMemory::kTables,
                    Permissions::all(), kPageLg2))
    return Failure{std::string("no second stage for tables")};
  unit_->write_register(kIqt, 4, 0);
  unit_->write_register(kIqa, 8, queue_.value() | kWide.kMask | kQueueSize.of(1));
  unit_->write_register(kGcmd, 4, kQueueEnable);
  unit_->write_register(kRtaddr, 8, root.value() | kTableMode.of(kScalableTables));
  unit_->write_register(kGcmd, 4, kQueueEnable | kSetRootPointer);
  unit_->write_register(kGcmd, 4, kQueueEnable | kTranslationEnable);
  return Done{};
}

Result<Done, std::string> NestedGuest::attach(Function& function, std::uint16_t source_id) {
  function.tables.emplace(memory_.physical(), X86FirstStage::rules({}), page(), kLevels,
                          [this] { return memory_.allocate_page(); });
  const Gpa directory = page(), entries = page();
  put(directory, entries.value() | kPresent.kMask);
  put(entries + 16, function.tables->root().value());
  put(entries + 8, function.domain);
  put(entries, stage2_->root().value() | kTranslationKind.of(kNested) |
                   kPasidWidth.of(kFourLevels) | kPresent.kMask);
  put(contexts_ + source_id * kContextBytes, directory.value() | kPresent.kMask);
  auto port = iommu_->attach({.function = Requester::from_sid(source_id)});
  if (!port) return Failure{port.error()};
  function.port = std::move(*port);
  return Done{};
}

Result<Done, std::string> NestedGuest::map(Function& function, Iova iova, std::uint64_t number) {
  const Gpa to(kBuffers + (number % kBufferPages << kPageLg2));
  if (!function.tables->map(iova.value(), kPageSize, to, Permissions::all(), kPageLg2))
    return Failure{std::string("no room for the first stage")};
  return Done{};
}

void NestedGuest::descriptor(std::uint64_t low, std::uint64_t high) {
  const Gpa at = queue_ + tail_ * 2 * kDescriptorBytes;
  put(at, low), put(at + 8, high), put(at + 16, 0), put(at + 24, 0);
  tail_ = (tail_ + 1) % kQueueEntries;
}

std::uint32_t NestedGuest::post(std::span<const Flush> flushes) {
  // The doorbell is inside the lock, as in a guest, whose processors write the tail in turn.
  const MutexLock lock(queue_mutex_);
  for (const Flush& flush : flushes)
    descriptor(kPagesOfPasid | std::uint64_t{flush.domain} << 16,
               flush.first.value() | (flush.leaf_only ? kLeafOnlyHint : 0) | flush.order);
  ++waits_;
  descriptor(kStatusData.of(waits_) | kStatusWrite.kMask | kType.of(5), status_.value());
  unit_->write_register(kIqt, 4, tail_ * 2 * kDescriptorBytes);
  return waits_;
}

bool NestedGuest::completed(std::uint32_t wait) const {
  // Waits complete in their order.
  const auto word = memory_.physical().load64(status_);
  return word && static_cast<std::uint32_t>(*word) >= wait;
}

}  // namespace weir::replay
