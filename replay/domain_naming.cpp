// SPDX-License-Identifier: Apache-2.0
#include "replay/domain_naming.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "replay/flush.h"

namespace weir::replay {
namespace {

[[nodiscard]] std::optional<Access> access_of(DmaDirection direction) {
  switch (direction) {
    case DmaDirection::kToDevice:
      return Access::kRead;
    case DmaDirection::kFromDevice:
      return Access::kWrite;
    case DmaDirection::kBidirectional:
    case DmaDirection::kNone:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

void DomainNaming::push(FtraceEvent event) {
  const std::uint64_t number = ++read_;
  window_.push_back({.event = std::move(event), .number = number, .settled = number});
  std::visit([this](const auto& what) { take(what); }, window_.back().event.what);
}

NamedEvent DomainNaming::pop() {
  NamedEvent first = std::move(window_.front());
  window_.pop_front();
  return first;
}

std::optional<DomainId> DomainNaming::domain_of(const std::optional<Requester>& requester) const {
  if (!requester) return std::nullopt;
  const auto found = domains_.find(*requester);
  return found == domains_.end() ? std::nullopt : std::optional(found->second);
}

// Goes back from the newest event to the last map or unmap of each page, on the same processor: an
// older one of the same page is another mapping's, and perhaps another domain's.
void DomainNaming::tell(const Told& told) {
  std::vector<AddressRange<Iova>> newer;
  const std::uint32_t cpu = window_.back().event.cpu;
  for (auto at = window_.rbegin() + 1; at != window_.rend(); ++at) {
    if (at->event.cpu != cpu) continue;
    const auto* const map = std::get_if<GuestMap>(&at->event.what);
    const auto* const unmap = std::get_if<GuestUnmap>(&at->event.what);
    if (map == nullptr && unmap == nullptr) continue;
    const AddressRange<Iova>& range = map != nullptr ? map->range : unmap->range;
    if (!range.overlaps(told.range)) continue;
    const bool hidden = std::any_of(newer.begin(), newer.end(),
                                    [&](const auto& other) { return other.overlaps(range); });
    newer.push_back(range);
    const Kind kind = map != nullptr ? Kind::kMap : Kind::kUnmap;
    if (!hidden && (told.kind == Kind::kEither || told.kind == kind)) name(*at, told);
  }
}

void DomainNaming::name(NamedEvent& event, const Told& told) {
  if (told.requester) {
    if (event.requester) return;  // by an event nearer to it
    event.requester = told.requester;
    event.access = told.access;
    event.settled = read_;
    if (event.by == NamedBy::kFlush) {
      // The trace begins after the device was attached, or does not show it.
      domains_.try_emplace(*told.requester, *event.domain);
    } else if (told.domain) {
      event.domain = told.domain;
      event.by = NamedBy::kDevice;
    }
  } else if (event.by != NamedBy::kFlush) {
    event.domain = told.domain;
    event.by = NamedBy::kFlush;
    event.settled = read_;
  }
}

void DomainNaming::dma(const std::optional<Requester>& requester, DmaDirection direction, Iova iova,
                       std::uint64_t size, Kind kind) {
  const std::uint64_t most = ~iova.value();
  if (!requester || size == 0) return;
  tell({.range = {iova, iova + std::min(size - 1, most)},
        .kind = kind,
        .domain = domain_of(requester),
        .requester = requester,
        .access = access_of(direction)});
}

void DomainNaming::take(const DmaMapSg& map) {
  for (const DmaSegment& s : map.segments)
    dma(map.requester, map.direction, s.iova, s.size, Kind::kMap);
}

void DomainNaming::take(const InvalidationDescriptor& descriptor) {
  const auto flush = flush_of(descriptor);
  if (!flush || flush->of != Flush::Of::kTranslations) return;
  if (flush->reach == Flush::Reach::kSelective)
    tell({.range = flush->range, .domain = flush->domain, .requester = {}, .access = {}});
  else if (flush->reach == Flush::Reach::kDomain)
    recent().flushed = flush->domain;
}

void DomainNaming::take(const CacheTagAssigned& assigned) {
  assignments_ = true;
  recent().assigned = assigned.domain;
}

void DomainNaming::take(const DeviceAttached& attached) {
  Recent& r = recent();
  NamedEvent& self = window_.back();
  self.domain = assignments_ ? r.assigned : r.flushed;
  r.assigned.reset();
  r.flushed.reset();
  if (!self.domain) return;
  if (attached.requester) domains_[*attached.requester] = *self.domain;
  for (NamedEvent& event : window_) {
    if (event.event.cpu != self.event.cpu || event.domain || event.requester ||
        !std::holds_alternative<GuestMap>(event.event.what))
      continue;
    event.domain = self.domain;
    event.by = NamedBy::kAttachment;
    event.settled = read_;
  }
}

void DomainNaming::take(const GuestUnmap&) {
  const std::optional<Requester> device = std::exchange(recent().freeing, std::nullopt);
  NamedEvent& self = window_.back();
  if (const auto domain = domain_of(device)) {
    self.domain = domain;
    self.by = NamedBy::kDevice;
  }
}

}  // namespace weir::replay
