// SPDX-License-Identifier: Apache-2.0
#include "iommu/cached_host_map.h"

namespace weir {
namespace {

// The largest page around `at` that lies inside the window: what an entry can hold.
[[nodiscard]] unsigned page_inside(AddressRange<Gpa> window, Gpa at) {
  for (unsigned lg2 = 62; lg2 > kPageLg2; --lg2) {
    const Gpa page = at.page_base(lg2);
    if (window.first <= page && page + ((std::uint64_t{1} << lg2) - 1) <= window.last) return lg2;
  }
  return kPageLg2;
}

}  // namespace

CachedHostMap::CachedHostMap(std::shared_ptr<const pagetables::HostMap> map, std::size_t entries)
    : map_(std::move(map)), cache_({.entries = entries}) {}

Result<pagetables::HostMapping, pagetables::WalkFailure> CachedHostMap::lookup(Gpa at) const {
  if (const auto hit = cache_.lookup({}, Iova(at.value()))) {
    const Gpa page = at.page_base(hit->page_lg2);
    return pagetables::HostMapping{
        .hpa = Hpa(hit->output),
        .window = {page, page + ((std::uint64_t{1} << hit->page_lg2) - 1)},
        .permissions = hit->permissions,
        .references = 0};
  }
  const iotlb::FillTicket ticket = cache_.begin_fill(DomainId{});
  const auto mapping = map_->lookup(at);
  if (!mapping) return mapping;
  const unsigned lg2 = page_inside(mapping->window, at);
  const Gpa page = at.page_base(lg2);
  // Not where the page sticks out of its window, or lies crooked in the embedder's memory.
  const std::uint64_t output = (mapping->hpa - (at - page)).value();
  if (mapping->window.contains(page) && mapping->window.contains(page + (kPageSize - 1)) &&
      output % kPageSize == 0)
    (void)cache_.fill(ticket, {.page = Iova(page.value()),
                               .output = output,
                               .page_lg2 = static_cast<std::uint8_t>(lg2),
                               .permissions = mapping->permissions});
  return mapping;
}

void CachedHostMap::forget(AddressRange<Gpa> range) const {
  (void)cache_.invalidate({.scope = iotlb::Scope::kRange,
                           .range = {Iova(range.first.value()), Iova(range.last.value())}});
}

}  // namespace weir
