// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/domains.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace weir::virtio_iommu {
namespace {

using pagetables::MapStatus;
using pagetables::UnmapStatus;

// The bits below the lowest one of the mask.
[[nodiscard]] std::uint64_t below_lowest(std::uint64_t mask) { return (mask & (~mask + 1)) - 1; }

// By domain and address, the ranges of a domain behind everything else of it.
[[nodiscard]] auto order_of(const iotlb::Invalidation& what) {
  return std::tuple(what.scope, what.domain, what.requester, what.range.first);
}

[[nodiscard]] bool adjoin(const iotlb::Invalidation& a, const iotlb::Invalidation& b) {
  return a.scope == iotlb::Scope::kRange && b.scope == iotlb::Scope::kRange &&
         a.domain == b.domain &&
         (b.range.first <= a.range.last || b.range.first - a.range.last == 1);
}

[[nodiscard]] bool same(const iotlb::Invalidation& a, const iotlb::Invalidation& b) {
  return a.scope != iotlb::Scope::kRange && order_of(a) == order_of(b);
}

}  // namespace

Domains::Domains(const Options& options, Endpoints& endpoints, Graveyard& graveyard)
    : options_(options),
      endpoints_(endpoints),
      graveyard_(graveyard),
      granule_mask_(below_lowest(options.page_size_mask)) {}

Domains::~Domains() = default;

Domain* Domains::find(std::uint32_t id) {
  const auto found = domains_.find(id);
  return found == domains_.end() ? nullptr : found->second.get();
}

void Domains::drop_endpoint(const Endpoint& endpoint) {
  drops_.push_back(
      {.scope = iotlb::Scope::kContextDevice, .requester = endpoint.options.requester});
}

// 5.13.6.4: a domain without endpoints ceases to exist.
void Domains::leave(Endpoint& endpoint) {
  // Relaxed: the runner wrote it.
  Domain* const domain = endpoint.domain.load(std::memory_order_relaxed);
  // Release: pairs with the acquire in read_context; said again by the invalidation that follows.
  endpoint.domain.store(nullptr, std::memory_order_release);
  drop_endpoint(endpoint);
  --attached_;
  std::erase(domain->endpoints, &endpoint);
  if (!domain->endpoints.empty()) return;
  drops_.push_back({.scope = iotlb::Scope::kDomain, .domain = DomainId{domain->id}});
  mappings_ -= domain->mappings.size();
  const auto gone = domains_.find(domain->id);
  graveyard_.bury(std::move(gone->second));
  domains_.erase(gone);
}

bool Domains::reserved_by_some(const Domain& domain, AddressRange<Iova> range) {
  return std::ranges::any_of(
      domain.endpoints, [range](const Endpoint* endpoint) { return endpoint->reserves(range); });
}

Status Domains::carry_out(const Attach& request) {
  const std::uint64_t known = has(feature::kBypassConfig.kMask) ? attach::kBypass.kMask : 0;
  if (request.reserved != 0 || (request.flags & ~known) != 0) return Status::kInvalid;
  Endpoint* const endpoint = endpoints_.by_id(request.endpoint);
  if (endpoint == nullptr) return Status::kNoEntry;
  if (request.domain < options_.first_domain || request.domain > options_.last_domain)
    return Status::kRange;
  const bool bypass = attach::kBypass.is_set(request.flags);
  // Relaxed: the runner wrote it.
  Domain* const before = endpoint->domain.load(std::memory_order_relaxed);
  Domain* domain = find(request.domain);
  if (domain != nullptr && domain->bypass != bypass) return Status::kInvalid;
  if (domain != nullptr && domain == before) return Status::kOk;
  if (domain != nullptr) {
    // Mappings lie where this endpoint cannot have any: its properties do not go with the domain's.
    for (const ReservedRegion& region : endpoint->options.reserved) {
      const auto mapped = domain->mappings.first_at_or_after(region.range.first);
      if (mapped && mapped->range.overlaps(region.range)) return Status::kUnsupported;
    }
  } else {
    const bool makes_room = before != nullptr && before->endpoints.size() == 1;
    if (domains_.size() - (makes_room ? 1 : 0) >= options_.limits.domains) return Status::kNoMemory;
  }
  if (before == nullptr && attached_ >= options_.limits.attached_endpoints)
    return Status::kNoMemory;

  // Nothing is refused from here on.
  if (domain == nullptr) {
    const pagetables::IntervalMapOptions map_options{.max_mappings =
                                                         options_.limits.mappings_per_domain};
    auto made = std::make_unique<Domain>(request.domain, bypass, map_options, graveyard_);
    domain = made.get();
    domains_.emplace(request.domain, std::move(made));
  }
  if (before != nullptr) leave(*endpoint);
  domain->endpoints.push_back(endpoint);
  ++attached_;
  // Release: pairs with the acquire in read_context; the domain is complete.
  endpoint->domain.store(domain, std::memory_order_release);
  drop_endpoint(*endpoint);
  return Status::kOk;
}

Status Domains::carry_out(const Detach& request) {
  Endpoint* const endpoint = endpoints_.by_id(request.endpoint);
  if (endpoint == nullptr) return Status::kNoEntry;
  // Relaxed: the runner wrote it.
  const Domain* const domain = endpoint->domain.load(std::memory_order_relaxed);
  if (domain == nullptr || domain->id != request.domain) return Status::kInvalid;
  leave(*endpoint);
  return Status::kOk;
}

Status Domains::carry_out(const Map& request) {
  const std::uint64_t known =
      map::kRead.kMask | map::kWrite.kMask | (has(feature::kMmio.kMask) ? map::kMmio.kMask : 0);
  if ((request.flags & ~known) != 0) return Status::kInvalid;
  Domain* const domain = find(request.domain);
  if (domain == nullptr) return Status::kNoEntry;
  if (domain->bypass) return Status::kInvalid;
  const AddressRange<Iova> range{request.first, request.last};
  if (((request.first.value() | request.output.value() | (request.last.value() + 1)) &
       granule_mask_) != 0)
    return Status::kRange;
  if (range.last < range.first) return Status::kInvalid;
  if (range.first < options_.input_range.first || range.last > options_.input_range.last)
    return Status::kRange;
  if (reserved_by_some(*domain, range)) return Status::kInvalid;
  if (mappings_ >= options_.limits.mappings) return Status::kNoMemory;
  const MapStatus mapped =
      domain->mappings.map({.range = range,
                            .output = request.output,
                            .permissions = Permissions::of(map::kRead.is_set(request.flags),
                                                           map::kWrite.is_set(request.flags)),
                            .mmio = map::kMmio.is_set(request.flags)});
  switch (mapped) {
    case MapStatus::kMapped:
      ++mappings_;
      if (announces_)
        announced_.push_back(
            {.scope = iotlb::Scope::kRange, .domain = DomainId{domain->id}, .range = range});
      return Status::kOk;
    case MapStatus::kBadRange:
    case MapStatus::kOverlap:
      return Status::kInvalid;
    case MapStatus::kOutputWraps:
      return Status::kRange;
    case MapStatus::kNoMemory:
      return Status::kNoMemory;
  }
  return Status::kDeviceError;
}

Status Domains::carry_out(const Unmap& request) {
  Domain* const domain = find(request.domain);
  if (domain == nullptr) return Status::kNoEntry;
  if (domain->bypass) return Status::kInvalid;
  const pagetables::Unmapped unmapped = domain->mappings.unmap({request.first, request.last});
  mappings_ -= unmapped.removed;
  switch (unmapped.status) {
    case UnmapStatus::kUnmapped:
      // What was not mapped when this batch began is not in a cache, and what was mapped in it
      // since is dropped by the UNMAP that removed it.
      if (unmapped.removed != 0)
        drops_.push_back({.scope = iotlb::Scope::kRange,
                          .domain = DomainId{domain->id},
                          .range = {request.first, request.last}});
      return Status::kOk;
    case UnmapStatus::kBadRange:
      return Status::kInvalid;
    case UnmapStatus::kWouldSplit:
      return Status::kRange;
    case UnmapStatus::kNoMemory:
      return Status::kNoMemory;
  }
  return Status::kDeviceError;
}

void Domains::detach_all() {
  for (Endpoint* const endpoint : endpoints_.all())
    // Relaxed: the runner wrote it.
    if (endpoint->domain.load(std::memory_order_relaxed) != nullptr) leave(*endpoint);
}

void Domains::drop_unattached() {
  for (const Endpoint* const endpoint : endpoints_.all())
    // Relaxed: the runner wrote it.
    if (endpoint->domain.load(std::memory_order_relaxed) == nullptr) drop_endpoint(*endpoint);
}

Drops Domains::take_drops() {
  Drops drops{.awaited = !drops_.empty()};
  drops_.insert(drops_.end(), announced_.begin(), announced_.end());
  announced_.clear();
  std::ranges::sort(drops_, {}, order_of);
  std::vector<iotlb::Invalidation>& joined = drops.what;
  for (const iotlb::Invalidation& next : drops_) {
    if (joined.empty() || !(adjoin(joined.back(), next) || same(joined.back(), next)))
      joined.push_back(next);
    else
      joined.back().range.last = std::max(joined.back().range.last, next.range.last);
  }
  drops_.clear();
  return drops;
}

}  // namespace weir::virtio_iommu
