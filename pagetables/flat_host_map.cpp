// SPDX-License-Identifier: Apache-2.0
#include "pagetables/flat_host_map.h"

#include <algorithm>

namespace weir::pagetables {
namespace {

// A page's word: 0 is not mapped.
constexpr Field<63, 12> kTo{"HPA of the page"};
constexpr Bit<4> kMapped{"mapped"};
constexpr Field<3, 0> kPermissions{"permissions"};
constexpr auto kWord = layout<64>(kTo, kMapped, kPermissions);
static_assert(kWord.reserved == bit_mask(11, 5));

}  // namespace

void FlatHostMap::add_regions(Gpa first, std::uint64_t size) {
  if (size == 0) return;
  const std::uint64_t last = (first + (size - 1)).value() >> kRegionLg2;
  for (std::uint64_t number = first.value() >> kRegionLg2; number <= last; ++number) {
    const auto at = std::lower_bound(regions_.begin(), regions_.end(), number,
                                     [](const Region& r, std::uint64_t n) { return r.number < n; });
    if (at != regions_.end() && at->number == number) continue;
    regions_.insert(at, {number, std::make_unique<std::atomic<std::uint64_t>[]>(kPages)});
  }
}

const FlatHostMap::Region* FlatHostMap::region_of(Gpa at) const {
  const std::uint64_t number = at.value() >> kRegionLg2;
  const auto found =
      std::lower_bound(regions_.begin(), regions_.end(), number,
                       [](const Region& r, std::uint64_t n) { return r.number < n; });
  return found != regions_.end() && found->number == number ? &*found : nullptr;
}

std::atomic<std::uint64_t>& FlatHostMap::word_of(Gpa page) {
  return region_of(page)->pages[page.page_offset(kRegionLg2) >> kPageLg2];
}

void FlatHostMap::set(Gpa page, Hpa to, Permissions permissions) {
  // Release: what the embedder put at `to` is there before the page says so; pairs with lookup.
  word_of(page).store(
      kTo.in_place(to.value()) | kMapped.kMask | kPermissions.of(permissions.bits()),
      std::memory_order_release);
}

void FlatHostMap::clear(Gpa page) {
  // Release: as in set; the drain that follows is what gives the page back.
  word_of(page).store(0, std::memory_order_release);
}

Result<HostMapping, WalkFailure> FlatHostMap::lookup(Gpa at) const {
  WalkFailure failure{.reason = FaultReason::kHostMapAbsent, .stage = Stage::kHostMap};
  const Region* region = region_of(at);
  if (region == nullptr) return Failure{failure};
  // Acquire: pairs with set.
  const std::uint64_t word =
      region->pages[at.page_offset(kRegionLg2) >> kPageLg2].load(std::memory_order_acquire);
  failure.references = 1;
  failure.level = 1;
  if (!kMapped.is_set(word)) return Failure{failure};
  const Gpa page = at.page_base(kPageLg2);
  return HostMapping{.hpa = Hpa(kTo.in_place(word)) + at.page_offset(kPageLg2),
                     .window = {page, page + (kPageSize - 1)},
                     .permissions = Permissions::from_bits(kPermissions.get(word)),
                     .references = 1};
}

}  // namespace weir::pagetables
