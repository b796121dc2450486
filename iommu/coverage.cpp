// SPDX-License-Identifier: Apache-2.0
#include "iommu/coverage.h"

#include <algorithm>

namespace weir {
namespace {

[[nodiscard]] PathStep step_of(Requester r) {
  return {static_cast<std::uint8_t>(r.device()), static_cast<std::uint8_t>(r.function())};
}

[[nodiscard]] bool is_of(DeviceScope::Kind kind, Origin origin) {
  switch (kind) {
    case DeviceScope::Kind::kEndpoint:
    case DeviceScope::Kind::kSubHierarchy:
      return origin == Origin::kFunction;
    case DeviceScope::Kind::kIoApic:
      return origin == Origin::kIoApic;
    case DeviceScope::Kind::kHpet:
      return origin == Origin::kHpet;
    case DeviceScope::Kind::kNamed:
      return origin == Origin::kNamed;
  }
  return false;
}

}  // namespace

// A scope's path is walked along the chain of bridges that leads to the function: bus numbers below
// the root bus are the guest's to change, device and function numbers are not.
bool scope_covers(const DeviceScope& scope, const Location& location) {
  if (!is_of(scope.kind, location.origin)) return false;
  std::vector<Requester> chain = location.bridges;
  chain.push_back(location.physical.value_or(location.function));
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
  const auto by_base = [&](std::uint64_t base) { return location.mmio == base; };
  // An address is one in every segment.
  if (std::ranges::any_of(unit.mmio_devices, by_base)) return true;
  if (unit.segment != location.function.segment) return false;
  const bool numbered = location.origin == Origin::kFunction || unit.numbers_name_all;
  return std::ranges::any_of(unit.scopes, by_scope) ||
         (numbered && std::ranges::any_of(unit.functions, by_number));
}

Result<const UnitCoverage*, std::string> covering(const Coverage& coverage,
                                                  const Location& location) {
  const UnitCoverage* named = nullptr;
  const UnitCoverage* rest = nullptr;
  for (const UnitCoverage& unit : coverage.units) {
    if (unit.rest_of_segment && unit.segment == location.function.segment &&
        location.origin == Origin::kFunction) {
      if (rest != nullptr) return Failure{std::string("two units cover the rest of the segment")};
      rest = &unit;
    }
    if (!names(unit, location)) continue;
    if (named != nullptr) return Failure{std::string("the function is covered by two units")};
    named = &unit;
  }
  return named != nullptr ? named : rest;
}

}  // namespace weir
