// SPDX-License-Identifier: Apache-2.0
//
// Routes after the machine itself has changed: buses renumbered, BARs moved or switched off,
// functions plugged and pulled. The tables stay as they are; what they say of a function may not,
// because it has another number or is gone.
#include <algorithm>
#include <utility>

#include "iommu/core.h"

namespace weir::core {
namespace {

[[nodiscard]] std::optional<Window> window_now(const Topology& topology, std::uint32_t index) {
  const auto span = topology.window_now(index);
  if (!span || span->bytes == 0) return std::nullopt;
  const WindowPlace& place = topology.windows()[index];
  const Window window{{Iova(span->first), Iova(span->first) + (span->bytes - 1)},
                      Gpa(span->base),
                      Permissions::of(place.read, place.write)};
  // The guest may put a BAR where no window can be.
  return why_no_window(window) ? std::nullopt : std::optional(window);
}

}  // namespace

// A wish that the bytes do not express is refused, also of a function that is added later.
Result<std::unique_ptr<Port>, std::string> Routes::attach(const Topology& topology,
                                                          FunctionId function) {
  const Function& wanted = topology[function];
  if (!wanted.present) return Failure{topology.name(function) + " is an empty slot"};
  std::optional<PoolId> pool;
  if (wanted.wish.kind == Wish::Kind::kWindow) {
    pool = PoolId{wanted.wish.index};
    const MutexLock lock(mutex_);
    // Where it is known already it may have been moved, and others use it there.
    if (!pools_.contains(*pool))
      pools_[*pool] = declared_[*pool] = window_now(topology, pool->value);
  }
  auto port = attach(topology.location(function), pool, function);
  if (!port) return Failure{topology.name(function) + ": " + port.error()};
  const RouteView got = core_.view(**port);
  const bool wants_unit = wanted.wish.kind == Wish::Kind::kUnit;
  if (wants_unit != (got.kind == RouteView::Kind::kUnit))
    return Failure{topology.name(function) + (wants_unit
                       ? " is wished behind a unit, and the tables name none for it"
                       : " is wished to bypass, and the tables say that a unit covers it: list "
                         "that unit's functions one by one, without this one")};
  if (wants_unit && core_.units[got.unit->value]->register_base() !=
                        topology.units()[wanted.wish.index].register_base)
    return Failure{topology.name(function) + " is wished behind one unit, and the tables name another"};
  return port;
}

// All numbers are given up before any is taken: two functions may have changed places.
void Routes::renumber(std::span<Port* const> ports, std::vector<std::string>& refused) {
  std::vector<std::pair<Requester, Requester>> names;
  for (Port* port : ports) (void)core_.remove_port(*port);
  for (Port* port : ports) {
    names.emplace_back(port->number(), port->location.function);
    port->renumber(port->location.function);
    if (!core_.add_port(*port))
      refused.push_back(name_of(port->number()) + " is the number of two functions");
  }
  core_.device_tlbs.rename(names);
}

Routes::Serials Routes::follow(const Topology& topology, std::vector<std::string>& refused) {
  Replaced replaced;
  struct Moved {
    Requester number;
    UnitCore* from = nullptr;
  };
  std::vector<Moved> left_a_unit;
  {
    const MutexLock lock(mutex_);
    for (auto& [pool, window] : pools_)
      if (pool.value < topology.windows().size() && topology.windows()[pool.value].bar)
        window = declared_[pool] = window_now(topology, pool.value);
    std::vector<Port*> renamed;
    for (Port* port : ports_) {
      if (!port->followed) continue;
      port->location = topology.location(*port->followed);
      if (port->location.function != port->number()) renamed.push_back(port);
    }
    renumber(renamed, refused);
    for (Port* port : ports_) {
      if (!port->followed) continue;
      const Route& old = port->route();
      std::string why;
      const bool here = topology[*port->followed].present && core_.find_port(port->number()) == port;
      auto next = here ? resolve(port->location, port->pool)
                       : Failure{std::string("it is not there any more")};
      if (!next) why = next.error();
      const bool same = next ? same_way(old, **next) : old.kind == Route::Kind::kNone;
      if (same) continue;
      if (!why.empty()) refused.push_back(topology.name(*port->followed) + ": " + why);
      if (old.unit != nullptr && (!next || (*next)->unit != old.unit))
        left_a_unit.push_back({port->number(), old.unit});
      swap(*port, next ? std::move(next).value() : nullptr, replaced);
    }
  }
  core_.shadows.replaced(replaced.ports);
  Serials serials;
  // What its own TLB holds is of the unit that it was behind.
  for (const Moved& moved : left_a_unit) {
    const iotlb::Invalidation what{
        .scope = iotlb::Scope::kDeviceTlb, .requester = moved.number, .all_pasids = true};
    serials.push_back(
        core_.device_tlbs.invalidate(moved.from->id(), what, core_.device_tlb_limit));
  }
  settle(std::move(replaced), {}, serials);
  return serials;
}

}  // namespace weir::core
