// SPDX-License-Identifier: Apache-2.0
#include "iommu/shadows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "iommu/core.h"
#include "iommu/pipeline.h"

namespace weir::core {
namespace {

using iotlb::Context;
using iotlb::ContextKind;

constexpr std::uint64_t kLastByte = std::numeric_limits<std::uint64_t>::max();

[[nodiscard]] constexpr std::uint64_t last_of(std::uint64_t first, unsigned lg2) {
  return lg2 >= 64 ? kLastByte : first | ((std::uint64_t{1} << lg2) - 1);
}

}  // namespace

// What the function's address space is at this moment.
struct Shadow::Space {
  enum class Kind : std::uint8_t { kNothing, kIdentity, kWindow, kTables, kUnknowable };
  Kind kind = Kind::kNothing;
  UnitCore* unit = nullptr;  // kTables
  Window window{};           // kWindow
  Context context{};
  Request request{};
};

Shadow::~Shadow() { port_.core.shadows.remove(*this); }

Requester Shadow::requester() const { return port_.core.requester_of(port_.number()); }

const UnitCore* Shadow::unit() const {
  auto& slot = port_.core.bursts.slot();
  port_.core.bursts.enter(slot);
  const UnitCore* const unit = port_.route().unit;
  port_.core.leave(slot);
  return unit;
}

bool Shadow::lost() const {
  const MutexLock lock(mutex_);
  return lost_;
}

Shadow::Space Shadow::read_space() const {
  const Route& route = port_.route();
  Space space{.unit = route.unit,
              .window = route.window,
              .request = make_request(route, Iova(0), 1, Access::kRead, {})};
  if (route.kind == Route::Kind::kNone) return space;
  if (route.kind == Route::Kind::kWindow) {
    space.kind = Space::Kind::kWindow;
    return space;
  }
  if (route.kind == Route::Kind::kBypass || route.unit->mode() == UnitMode::kOff) {
    space.kind = Space::Kind::kIdentity;
    space.context.input_bits = 64;
    return space;
  }
  const auto context = route.unit->unit->read_context(space.request, port_.core.memory());
  if (!context) return space;
  space.context = *context;
  switch (context->kind) {
    case ContextKind::kBlocked:
      break;
    case ContextKind::kPassThrough:
      space.kind = Space::Kind::kIdentity;
      break;
    case ContextKind::kStage2:
      space.kind = context->coherence == iotlb::Coherence::kAnnounced ||
                           context->coherence == iotlb::Coherence::kCaching
                       ? Space::Kind::kTables
                       : Space::Kind::kUnknowable;
      break;
    case ContextKind::kStage1:
    case ContextKind::kNested:
      space.kind = Space::Kind::kUnknowable;
      break;
  }
  return space;
}

bool Shadow::list(const Space& space, AddressRange<Iova> range, Mappings& found) const {
  const pagetables::PrivatePages* const hidden = port_.core.memory().private_pages();
  std::size_t steps = 0;
  const auto add = [&](std::uint64_t first, std::uint64_t last, Gpa gpa, Permissions permissions) {
    permissions = permissions & space.context.rights;
    if (!permissions.can_read() && !permissions.can_write()) return;
    if (hidden == nullptr) {
      found[first] = {{Iova(first), Iova(last)}, gpa, permissions};
      return;
    }
    // In pieces that are shared, each as long as it can be.
    Mapping* open = nullptr;
    for (std::uint64_t at = first; ++steps <= kMaxSteps;) {
      const Gpa to = gpa + (at - first);
      const auto run = hidden->run(to, std::max(last - at, last - at + 1));
      const std::uint64_t run_last = run.bytes > last - at ? last : at + (run.bytes - 1);
      if (run.is_private)
        open = nullptr;
      else if (open != nullptr)
        open->range.last = Iova(run_last);
      else
        open = &(found[at] = {{Iova(at), Iova(run_last)}, to, permissions});
      if (run_last == last) break;
      at = run_last + 1;
    }
  };
  if (space.kind == Space::Kind::kIdentity) {
    const std::uint64_t last = last_of(0, space.context.input_bits);
    const std::uint64_t hole = kInterruptRange.first.value();
    const std::uint64_t beyond = kInterruptRange.last.value() + 1;
    add(0, std::min(last, hole - 1), Gpa(0), Permissions::read_write());
    if (last >= beyond) add(beyond, last, Gpa(beyond), Permissions::read_write());
  }
  if (space.kind == Space::Kind::kWindow)
    add(space.window.range.first.value(), space.window.range.last.value(), space.window.to,
        space.window.rights);
  if (space.kind != Space::Kind::kTables) return steps <= kMaxSteps && found.size() <= kMaxMappings;
  const UnitCore& unit = *space.unit;
  const WalkScope scope{
      port_.core.memory(), space.unit->no_walk_caches, {}, pagetables::Trace::kNone};
  const std::uint64_t end = std::min(range.last.value(), last_of(0, space.context.input_bits));
  for (std::uint64_t at = range.first.value(); at <= end;) {
    if (++steps > kMaxSteps || found.size() > kMaxMappings) return false;
    Request request = space.request;
    request.iova = Iova(at);
    auto leaf = unit.unit->walk(space.context, request, scope);
    if (!leaf) {
      // What cannot be read may still be writable.
      request.access = Access::kWrite;
      leaf = unit.unit->walk(space.context, request, scope);
    }
    std::uint64_t last = 0;
    if (leaf) {
      const Iova page = Iova(at).page_base(leaf->page_lg2);
      last = last_of(page.value(), leaf->page_lg2);
      add(page.value(), last, leaf->page, leaf->permissions);
    } else {
      // Nothing below the entry where the walk stopped; every format here has nine bits a level.
      const unsigned level = leaf.error().level;
      last = last_of(Iova(at).page_base(kPageLg2).value(), kPageLg2);
      if (level > 1) last = last_of(at, kPageLg2 + 9 * (level - 1));
    }
    if (last >= end) break;
    at = last + 1;
  }
  return true;
}

void Shadow::lose() {
  for (const auto& [first, mapping] : std::exchange(told_, {})) listener_.on_unmap(mapping);
  lost_ = true;
  listener_.on_lost();
}

void Shadow::update(const iotlb::Invalidation& what, AddressRange<Iova> range) {
  const MutexLock lock(mutex_);
  if (lost_) return;
  auto& slot = port_.core.bursts.slot();
  port_.core.bursts.enter(slot);
  const Space space = read_space();
  const bool of_another = what.scope >= iotlb::Scope::kDomain &&
                          what.scope <= iotlb::Scope::kStage2Range &&
                          space.kind == Space::Kind::kTables && space.context.domain != what.domain;
  Mappings found;
  // Whatever is not tables is all there is. Of tables, what was told of pages that are partly
  // outside is asked anew as a whole.
  if (space.kind != Space::Kind::kTables) range = whole_space<Iova>();
  if (const auto next = told_.upper_bound(range.last.value()); next != told_.begin())
    range.last = std::max(range.last, std::prev(next)->second.range.last);
  if (const auto next = told_.upper_bound(range.first.value()); next != told_.begin())
    if (const Mapping& before = std::prev(next)->second; before.range.last >= range.first)
      range.first = before.range.first;
  const bool followed =
      of_another || (space.kind != Space::Kind::kUnknowable && list(space, range, found));
  port_.core.leave(slot);
  if (of_another) return;
  if (!followed) return lose();
  // What was told and overlaps the range, or what was found there.
  std::uint64_t first = range.first.value();
  std::uint64_t last = range.last.value();
  for (const auto& [at, mapping] : found) {
    first = std::min(first, at);
    last = std::max(last, mapping.range.last.value());
  }
  auto old = told_.lower_bound(first);
  while (old != told_.end() && old->first <= last) {
    const auto now = found.find(old->first);
    if (now != found.end() && now->second == old->second) {
      found.erase(now);
      ++old;
      continue;
    }
    listener_.on_unmap(old->second);
    old = told_.erase(old);
  }
  for (const auto& [at, mapping] : found) {
    told_.emplace(at, mapping);
    listener_.on_map(mapping);
  }
  if (told_.size() > kMaxMappings) lose();
}

void Shadow::replace(AddressRange<Gpa> range) {
  const MutexLock lock(mutex_);
  const auto lies_there = [&](const Mapping& mapping) {
    const std::uint64_t span = mapping.range.last - mapping.range.first;
    return range.overlaps({mapping.gpa, mapping.gpa + span});
  };
  for (const auto& [at, mapping] : told_)
    if (lies_there(mapping)) listener_.on_unmap(mapping);
  for (const auto& [at, mapping] : told_)
    if (lies_there(mapping)) listener_.on_map(mapping);
}

// Acquire-release, all three: who is counted after a change asked for the count sees the guest's
// tables as they were changed; hence an addition also where there is nothing to add.

void Shadows::add(Shadow& shadow) {
  const MutexLock lock(mutex_);
  shadows_.push_back(&shadow);
  count_.fetch_add(1, std::memory_order_acq_rel);
}

void Shadows::remove(Shadow& shadow) {
  const MutexLock lock(mutex_);
  count_.fetch_sub(std::erase(shadows_, &shadow), std::memory_order_acq_rel);
}

void Shadows::for_each(const std::function<void(Shadow&)>& call) {
  if (count_.fetch_add(0, std::memory_order_acq_rel) == 0) return;
  // Under the lock, so that none is destroyed meanwhile.
  const MutexLock lock(mutex_);
  for (Shadow* shadow : shadows_) call(*shadow);
}

void Shadows::changed(const UnitCore& unit, const iotlb::Invalidation& what) {
  const bool by_range =
      what.scope == iotlb::Scope::kRange || what.scope == iotlb::Scope::kStage2Range;
  for_each([&](Shadow& shadow) {
    if (shadow.unit() != &unit) return;
    if (what.scope == iotlb::Scope::kContextDevice && !what.matches(shadow.requester())) return;
    shadow.update(what, by_range ? what.range : whole_space<Iova>());
  });
}

void Shadows::replaced(std::span<const Port* const> ports) {
  if (ports.empty()) return;
  for_each([&](Shadow& shadow) {
    if (std::ranges::find(ports, shadow.port()) != ports.end())
      shadow.update({.scope = iotlb::Scope::kAll}, whole_space<Iova>());
  });
}

void Shadows::pages_turned() {
  for_each(
      [](Shadow& shadow) { shadow.update({.scope = iotlb::Scope::kAll}, whole_space<Iova>()); });
}

void Shadows::host_changed(AddressRange<Gpa> range) {
  for_each([&](Shadow& shadow) { shadow.replace(range); });
}

}  // namespace weir::core
