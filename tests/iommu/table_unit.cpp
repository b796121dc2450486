// SPDX-License-Identifier: Apache-2.0
#include "tests/iommu/table_unit.h"

#include "iommu/cached_walk.h"
#include "pagetables/vtd_second_stage.h"

namespace weir::testing_iommu {
namespace {

using pagetables::VtdSecondStage;
constexpr auto kRules = VtdSecondStage::rules({.accessed_dirty = true});

class HookedReader : public pagetables::DirectReader {
 public:
  HookedReader(const pagetables::PhysicalMemory& memory, const std::function<void()>& hook)
      : DirectReader(memory), hook_(hook) {}
  [[nodiscard]] auto update(Gpa at, std::uint64_t seen, std::uint64_t desired) {
    if (hook_) hook_();
    return DirectReader::update(at, seen, desired);
  }

 private:
  const std::function<void()>& hook_;
};

}  // namespace

Result<pagetables::Leaf<Gpa>, Fault> TableUnit::walk(const iotlb::Context& context,
                                                     const Request& piece, const WalkScope& scope) {
  if (before_walk) before_walk(piece);
  HookedReader reader(scope.memory, before_update);
  CachedTables<VtdSecondStage, Gpa> tables(scope.caches.stage2_tables,
                                           {.domain = context.domain, .pasid = context.pasid},
                                           scope.tickets.stage2_tables);
  const auto leaf = pagetables::walk<VtdSecondStage>(kRules, reader, Gpa(context.stage2_root),
                                                     context.stage2_levels, piece.iova.value(),
                                                     Ask{.access = piece.access}, tables);
  if (after_walk) after_walk(piece);
  if (leaf) return *leaf;
  return Failure{Fault{.request = piece,
                       .reason = leaf.error().reason,
                       .stage = Stage::kStage2,
                       .level = leaf.error().level,
                       .entry_at = leaf.error().entry_at,
                       .code = kWalkFault,
                       .recorded = !context.silence_faults,
                       .references = leaf.error().references}};
}

}  // namespace weir::testing_iommu
