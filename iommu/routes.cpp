// SPDX-License-Identifier: Apache-2.0
#include "iommu/routes.h"

#include <utility>

#include "iommu/core.h"

namespace weir::core {

Port::Port(IommuCore& core_of_port, const Location& location_of_port)
    : core(core_of_port),
      recorded(core.recorder != nullptr && core.recorder->hears_pieces()),
      open(!recorded),
      location(location_of_port),
      number_(location_of_port.function) {}

Port::~Port() {
  if (core.routes.remove(*this)) core.device_tlbs.detach(number());
  // Relaxed: no burst of the port is alive.
  delete route_.load(std::memory_order_relaxed);
}

std::unique_ptr<const Route> Port::replace_route(std::unique_ptr<const Route> next) {
  // Sequentially consistent: before the epoch of the completion that follows, so that a burst of
  // that epoch takes the new route.
  return std::unique_ptr<const Route>(route_.exchange(next.release(), std::memory_order_seq_cst));
}

void Routes::use(Coverage coverage) {
  const MutexLock lock(mutex_);
  for (UnitCoverage& unit : coverage.units) coverage_.units.push_back(std::move(unit));
}

std::uint16_t Routes::segment_of(std::uint64_t register_base) const {
  const MutexLock lock(mutex_);
  for (const UnitCoverage& covered : coverage_.units)
    if (covered.register_base == register_base) return covered.segment;
  return 0;
}

void Routes::declare(PoolId pool, const Window& window) {
  const MutexLock lock(mutex_);
  pools_[pool] = declared_[pool] = window;
}

// 2. Route: from the parse of the bytes that the guest reads, and from what was declared beside
// them where they say nothing.
Result<std::unique_ptr<const Route>, std::string> Routes::resolve(
    const Location& location, std::optional<PoolId> pool) const {
  const auto covered = covering(coverage_, location);
  if (!covered) return Failure{covered.error()};
  const UnitCoverage* const entry = *covered;

  auto route = std::make_unique<Route>();
  route->requester = location.alias.value_or(location.function);
  if (entry != nullptr) {
    if (pool)
      return Failure{
          std::string("the function was declared to have a window, and the tables say ") +
          (!names(*entry, location) ? "that a unit covers the rest of its segment: name the "
                                      "functions of that unit one by one"
                                    : "that a unit covers it")};
    for (const auto& candidate : core_.units)
      if (candidate->register_base() == entry->register_base) route->unit = candidate.get();
    if (route->unit == nullptr)
      return Failure{std::string("the tables name a unit for the function that was not added")};
    route->kind = Route::Kind::kUnit;
  } else if (pool) {
    const auto declared = pools_.find(*pool);
    if (declared == pools_.end())
      return Failure{std::string("no window was declared for the function's pool")};
    const std::optional<Window>& window = declared->second;
    route->kind = window ? Route::Kind::kWindow : Route::Kind::kNone;
    if (window) route->window = *window;
  }
  return std::unique_ptr<const Route>(std::move(route));
}

Result<std::unique_ptr<Port>, std::string> Routes::attach(const Location& location,
                                                          std::optional<PoolId> pool,
                                                          std::optional<FunctionId> followed) {
  auto port = std::make_unique<Port>(core_, location);
  port->pool = port->declared_pool = pool;
  port->followed = followed;
  const MutexLock lock(mutex_);
  auto route = resolve(location, pool);
  if (!route) return Failure{std::move(route).error()};
  (void)port->replace_route(std::move(route).value());
  if (!core_.add_port(*port)) return Failure{std::string("the function is attached already")};
  ports_.insert(port.get());
  return port;
}

bool Routes::remove(Port& port) {
  const MutexLock lock(mutex_);
  ports_.erase(&port);
  return core_.remove_port(port);
}

}  // namespace weir::core
