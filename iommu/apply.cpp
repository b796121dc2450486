// SPDX-License-Identifier: Apache-2.0
//
// Transitions: all of one is checked, then all of it takes hold, and then one completion covers it.
#include <algorithm>
#include <utility>

#include "base/seam.h"
#include "iommu/core.h"

namespace weir::core {
namespace {

// The pages that are private afterwards by what `transition` says, whole: those that it shares are
// left out, so that they stay within reach all the time and nobody waits for who uses them.
[[nodiscard]] std::vector<AddressRange<Gpa>> hidden_by(const Transition& transition) {
  struct Pages {
    std::uint64_t first, last;
  };
  std::vector<Pages> hidden;
  for (const auto& range : transition.made_private)
    hidden.push_back({range.first.value() >> kPageLg2, range.last.value() >> kPageLg2});
  for (const auto& range : transition.made_shared) {
    // Whole pages only, and the end of the space is the end of one.
    const std::uint64_t first =
        (range.first.value() >> kPageLg2) + (range.first.page_offset(kPageLg2) != 0 ? 1 : 0);
    const std::uint64_t beyond = (range.last.value() >> kPageLg2) +
                                 (range.last.page_offset(kPageLg2) == kPageSize - 1 ? 1 : 0);
    if (first >= beyond) continue;
    std::vector<Pages> left;
    for (const Pages& pages : hidden) {
      if (pages.first < first) left.push_back({pages.first, std::min(pages.last, first - 1)});
      if (pages.last >= beyond) left.push_back({std::max(pages.first, beyond), pages.last});
    }
    hidden = std::move(left);
  }
  std::vector<AddressRange<Gpa>> ranges;
  for (const Pages& pages : hidden)
    ranges.push_back({Gpa(pages.first << kPageLg2),
                      Gpa(pages.last << kPageLg2 | (kPageSize - 1))});
  return ranges;
}

// Whether windows are what it lives by, or would if it were confined.
[[nodiscard]] bool has_no_unit(const Route& route, const Port& port) {
  return route.unit == nullptr && (route.kind != Route::Kind::kNone || port.pool.has_value());
}

}  // namespace

std::optional<std::string> Routes::why_not(const Transition& transition) const {
  for (const auto& move : transition.pools)
    if (move.window)
      if (auto why = why_no_window(*move.window)) return why;
  for (const auto& ranges : {transition.made_private, transition.made_shared})
    for (const auto& range : ranges)
      if (range.first > range.last) return "a range of pages ends before it begins";
  for (const auto& confinement : transition.confinements) {
    const bool moves = std::ranges::any_of(
        transition.pools, [&](const auto& move) { return move.pool == confinement.pool; });
    if (!moves && !pools_.contains(confinement.pool))
      return "no window was declared for pool " + std::to_string(confinement.pool.value);
    if (!confinement.function) continue;
    const Port* port = core_.find_port(*confinement.function);
    if (port == nullptr) return name_of(*confinement.function) + " is not attached";
    // Under the lock no route is replaced.
    if (!has_no_unit(port->route(), *port))
      return name_of(*confinement.function) +
             to_words(port->route()) + ": only a machine reset with other tables takes it away";
  }
  return std::nullopt;
}

// The guest's own structures have to say so already.
std::optional<std::string> Routes::why_not(const Transition::GroupTurn& turn) const {
  using iotlb::ContextKind;
  for (const Requester function : turn.functions) {
    const Port* port = core_.find_port(function);
    if (port == nullptr) return name_of(function) + " is not attached";
    auto& slot = core_.bursts.slot();
    core_.bursts.enter(slot);
    std::optional<ContextKind> kind;
    const Route& route = port->route();
    const bool translates = route.unit != nullptr && route.unit->mode() != UnitMode::kOff;
    if (translates) {
      const Request request = make_request(route, Iova(0), 1, Access::kRead, {});
      if (const auto context = route.unit->unit->read_context(request, core_.memory()))
        kind = context->kind;
    }
    core_.leave(slot);
    if (!translates) return name_of(function) + " is behind no unit that translates";
    const bool as_told =
        kind && kind != ContextKind::kBlocked &&
        (kind == ContextKind::kPassThrough) == (turn.to == Transition::GroupTurn::To::kIdentity);
    if (!as_told) return "the context of " + name_of(function) + " says something else";
  }
  return std::nullopt;
}

// As what the tables and the pools say now.
void Routes::replace(Port& port, Replaced& replaced) {
  auto next = resolve(port.location, port.pool);
  swap(port, next ? std::move(next).value() : nullptr, replaced);
}

// Null: there is no place for it, and it reaches nothing.
void Routes::swap(Port& port, std::unique_ptr<const Route> next, Replaced& replaced) {
  if (next == nullptr) {
    auto nowhere = std::make_unique<Route>();
    nowhere->requester = port.location.alias.value_or(port.location.function);
    nowhere->kind = Route::Kind::kNone;
    next = std::move(nowhere);
  }
  replaced.routes.push_back(port.replace_route(std::move(next)));
  replaced.covers.push_back(
      {.scope = iotlb::Scope::kRequester, .requester = replaced.routes.back()->requester});
  replaced.ports.push_back(&port);
}

void Routes::settle(Replaced replaced, Gone gone, Serials& serials) {
  for (const auto& what : replaced.covers) core_.books.invalidation(what, {});
  if (replaced.covers.empty()) return;
  gone.routes = std::move(replaced.routes);
  const std::uint64_t serial = core_.tracker.issue_all(std::nullopt, replaced.covers);
  core_.retire(serial, std::move(gone));
  if (serial != 0 && !WEIR_BUG(kTransitionNotAwaited)) serials.push_back(serial);
}

Result<Routes::Serials, std::string> Routes::apply(const Transition& transition) {
  for (const auto& turn : transition.groups)
    if (auto why = why_not(turn)) return Failure{std::move(*why)};
  Replaced replaced;
  Gone gone;
  const std::vector<AddressRange<Gpa>> hidden = hidden_by(transition);
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    if (auto why = why_not(transition)) return Failure{std::move(*why)};
    for (const auto& move : transition.pools) pools_[move.pool] = move.window;
    std::set<Port*> moved;
    for (Port* port : ports_)
      for (const auto& confinement : transition.confinements) {
        const bool meant = confinement.function ? confinement.function == port->number()
                                                : has_no_unit(port->route(), *port);
        if (!meant || port->pool == confinement.pool) continue;
        port->pool = confinement.pool;
        moved.insert(port);
      }
    for (Port* port : ports_)
      for (const auto& move : transition.pools)
        if (port->pool == move.pool) moved.insert(port);
    for (Port* port : moved) replace(*port, replaced);
    if (!WEIR_BUG(kPagesStayShared))
      gone.memory = core_.turn_pages(hidden, transition.made_shared);
    number = ++transitions_;
  }
  for (const auto& range : hidden)
    replaced.covers.push_back({.scope = iotlb::Scope::kHostRange, .host_range = range});
  // Before the tickets are given: a completion says that everybody has heard of it (L1).
  core_.shadows.replaced(replaced.ports);
  if (!transition.made_private.empty() || !transition.made_shared.empty())
    core_.shadows.pages_turned();
  Serials serials;
  for (const auto& turn : transition.groups)
    for (const Requester function : turn.functions) {
      replaced.covers.push_back(
          {.scope = iotlb::Scope::kRequester, .requester = core_.requester_of(function)});
      if (const std::uint64_t serial = core_.forget_context(function)) serials.push_back(serial);
    }
  if (core_.sinks.transitions != nullptr) core_.sinks.transitions->on_transition(number, transition);
  settle(std::move(replaced), std::move(gone), serials);
  return serials;
}

Gone Routes::reset(std::optional<Coverage> tables) {
  Replaced replaced;
  {
    const MutexLock lock(mutex_);
    if (tables) coverage_ = std::move(*tables);
    pools_ = declared_;
    for (Port* port : ports_) {
      port->pool = port->declared_pool;
      replace(*port, replaced);
    }
  }
  core_.shadows.replaced(replaced.ports);
  return {.routes = std::move(replaced.routes)};
}

}  // namespace weir::core
