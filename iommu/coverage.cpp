// SPDX-License-Identifier: Apache-2.0
#include "iommu/coverage.h"

#include <algorithm>

namespace weir {
namespace {

[[nodiscard]] PathStep step_of(Requester r) {
  return {static_cast<std::uint8_t>(r.device()), static_cast<std::uint8_t>(r.function())};
}

}  // namespace

// A scope's path is walked along the chain of bridges that leads to the function: bus numbers below
// the root bus are the guest's to change, device and function numbers are not.
bool scope_covers(const DeviceScope& scope, const Location& location) {
  std::vector<Requester> chain = location.bridges;
  chain.push_back(location.function);
  if (scope.path.empty() || scope.path.size() > chain.size()) return false;
  if (chain.front().bus() != scope.start_bus) return false;
  for (std::size_t i = 0; i < scope.path.size(); ++i)
    if (step_of(chain[i]) != scope.path[i]) return false;
  // An endpoint scope names this function alone; a sub-hierarchy also everything behind it.
  return scope.kind == DeviceScope::Kind::kSubHierarchy || scope.path.size() == chain.size();
}

bool names(const UnitCoverage& unit, const Location& location) {
  const auto by_scope = [&](const DeviceScope& scope) { return scope_covers(scope, location); };
  const auto by_number = [&](FunctionRange range) { return range.holds(location.function.bdf); };
  return std::ranges::any_of(unit.scopes, by_scope) ||
         std::ranges::any_of(unit.functions, by_number);
}

}  // namespace weir
