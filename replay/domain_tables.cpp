// SPDX-License-Identifier: Apache-2.0
#include "replay/domain_tables.h"

namespace weir::replay {
namespace {

[[nodiscard]] std::string to_string(pagetables::BuildFailure why) {
  switch (why) {
    case pagetables::BuildFailure::kMisaligned:
      return "a page that is not aligned to its size";
    case pagetables::BuildFailure::kBeyondReach:
      return "an address beyond the width of its context's tables";
    case pagetables::BuildFailure::kNoPage:
      return "more page tables than the model guest has room for";
    case pagetables::BuildFailure::kNoMemory:
      return "page tables outside the model guest's memory";
    case pagetables::BuildFailure::kCollision:
      return "a page inside a larger one";
  }
  return "unknown";
}

[[nodiscard]] std::uint64_t size_of(const MappedLeaf& leaf) {
  return std::uint64_t{1} << leaf.page_lg2;
}

}  // namespace

DomainTables::DomainTables(ModelMemory& memory, DomainId domain, Gpa root, unsigned levels,
                           Stage stage)
    : domain_(domain),
      root_(root),
      stage_(stage),
      builder_(std::in_place_type<SecondStage>, memory.physical(),
               pagetables::VtdSecondStage::rules({}), root, levels,
               [&memory] { return memory.allocate_page(); }) {
  if (stage == Stage::kFirst)
    builder_.emplace<FirstStage>(memory.physical(), pagetables::X86FirstStage::rules({}), root,
                                 levels, [&memory] { return memory.allocate_page(); });
}

Result<Done, std::string> DomainTables::erase(const MappedLeaf& leaf) {
  const auto cleared = std::visit(
      [&](auto& builder) { return builder.unmap(leaf.iova.value(), size_of(leaf)); }, builder_);
  if (!cleared) return Failure{to_string(cleared.error())};
  return Done{};
}

DomainTables::Gone DomainTables::map(const MappedLeaf& leaf) {
  auto gone = said_.leaves.put(leaf);
  // A larger leaf stands where a table is needed; smaller ones go with the table they are in.
  for (const MappedLeaf& old : gone)
    if (old.page_lg2 > leaf.page_lg2)
      if (const auto erased = erase(old); !erased) return Failure{erased.error()};
  const auto written = std::visit(
      [&](auto& builder) {
        return builder.map(leaf.iova.value(), size_of(leaf), leaf.gpa, leaf.permissions,
                           leaf.page_lg2);
      },
      builder_);
  if (!written) return Failure{to_string(written.error())};
  return gone;
}

DomainTables::Gone DomainTables::forbid(Iova iova, Access access) {
  auto leaf = said_.leaves.find(iova);
  if (!leaf || !leaf->permissions.allows(access)) return std::vector<MappedLeaf>{};
  if (access != Access::kRead) leaf->permissions = leaf->permissions.without_write();
  if (access != Access::kWrite) leaf->permissions = leaf->permissions.without_read();
  const bool nothing = !leaf->permissions.can_read() &&
                       (stage_ == Stage::kFirst || !leaf->permissions.can_write());
  if (nothing) return unmap(leaf->range());
  return map(*leaf);
}

DomainTables::Gone DomainTables::unmap(AddressRange<Iova> range) {
  std::vector<MappedLeaf> gone;
  for (Iova at = range.first;;) {
    std::uint64_t step = kPageSize - at.page_offset(kPageLg2);
    if (const auto leaf = said_.leaves.take(at)) {
      if (const auto erased = erase(*leaf); !erased) return Failure{erased.error()};
      gone.push_back(*leaf);
      step = leaf->range().last - at + 1;
    }
    if (range.last - at < step) return gone;
    at = at + step;
  }
}

}  // namespace weir::replay
