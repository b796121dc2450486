// SPDX-License-Identifier: Apache-2.0
//
// What a Topology must not contradict, and which of its functions nothing keeps apart.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "iommu/topology.h"

namespace weir {
namespace {

// Sets of functions that grow together.
class Sets {
 public:
  explicit Sets(std::size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), std::uint32_t{0});
  }
  [[nodiscard]] std::uint32_t of(std::uint32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::uint32_t a, std::uint32_t b) { parent_[of(a)] = of(b); }

 private:
  std::vector<std::uint32_t> parent_;
};

}  // namespace

// Functions of one slot reach each other unless they have ACS; what is below a bridge without it is
// one with the bridge's own slot, because requests are routed past the IOMMU there.
std::vector<std::vector<FunctionId>> Topology::groups() const {
  Sets sets(functions_.size());
  std::map<std::uint32_t, std::uint32_t> by_requester;
  std::map<std::pair<std::uint64_t, unsigned>, std::uint32_t> open_slot;
  for (std::uint32_t i = 0; i < functions_.size(); ++i) {
    const Function& function = functions_[i];
    const Requester as = requester({i});
    const auto [same, first] = by_requester.emplace(std::uint32_t{as.segment} << 16 | as.bdf, i);
    if (!first) sets.join(i, same->second);
    // ACS is of PCI Express: a conventional function has none, whatever is said of it.
    const bool isolates = function.isolates && function.kind != FunctionKind::kConventional;
    if (!isolates && !function.physical) {
      const std::uint64_t bus = function.bridge ? std::uint64_t{function.bridge->value} + 1
                                                : std::uint64_t{function.root} << 32;
      const unsigned device = function.ari ? 0 : function.devfn >> 3;
      const auto [slot, alone] = open_slot.emplace(std::pair(bus, device), i);
      if (!alone) sets.join(i, slot->second);
    }
    for (auto above = function.bridge; above; above = functions_[above->value].bridge) {
      const Function& bridge = functions_[above->value];
      const bool merges = !bridge.isolates || bridge.kind == FunctionKind::kPcieToPciBridge ||
                          bridge.kind == FunctionKind::kPciBridge;
      if (merges) sets.join(i, above->value);
    }
  }
  std::map<std::uint32_t, std::vector<FunctionId>> members;
  for (std::uint32_t i = 0; i < functions_.size(); ++i) members[sets.of(i)].push_back({i});
  std::vector<std::vector<FunctionId>> groups;
  for (auto& [root, group] : members) groups.push_back(std::move(group));
  std::ranges::sort(groups, {}, [](const auto& group) { return group.front(); });
  return groups;
}

std::optional<std::string> Topology::problem_of(FunctionId id) const {
  const Function& function = functions_[id.value];
  if (function.root >= roots_.size()) return "a function names a root bus that is not there";
  if (function.bridge) {
    if (function.bridge->value >= id.value) return "a function comes before the bridge above it";
    const Function& bridge = functions_[function.bridge->value];
    if (!is_bridge(bridge.kind))
      return name(id) + " is below " + name(*function.bridge) + ", which is no bridge";
    if (bridge.secondary == 0)
      return name(*function.bridge) + " has " + name(id) + " below it and no secondary bus number";
    if (function.present && !bridge.present)
      return name(id) + " is below an empty slot, " + name(*function.bridge);
  }
  if (function.physical && function.physical->value >= functions_.size())
    return name(id) + " names a physical function that is not there";
  if (function.phantom_bits > 3) return name(id) + " has more phantom bits than function bits";
  const unsigned highest = 7U >> function.phantom_bits;
  if (function.phantom_bits != 0 && (function.devfn & 7U) > highest)
    return name(id) + " uses a function number that is a phantom one";
  if (function.wish.kind == Wish::Kind::kUnit && function.wish.index >= units_.size())
    return name(id) + " wishes a unit that is not there";
  if (function.wish.kind == Wish::Kind::kWindow && function.wish.index >= windows_.size())
    return name(id) + " wishes a window that is not there";
  return std::nullopt;
}

// What tables know units, sources and devices by has to be theirs alone.
std::optional<std::string> Topology::two_by_one_name() const {
  std::map<std::uint64_t, std::string> units, addresses;
  for (const UnitPlace& unit : units_)
    if (const auto [other, first] = units.emplace(unit.register_base, unit.name); !first)
      return "units " + other->second + " and " + unit.name + " have one register address";
  std::map<std::pair<InterruptSource::Kind, unsigned>, Requester> sources;
  for (const InterruptSource& source : sources_)
    if (!sources.emplace(std::pair(source.kind, unsigned{source.id}), source.as).second)
      return (source.kind == InterruptSource::Kind::kIoApic ? "I/O APIC " : "HPET ") +
             std::to_string(source.id) + " is there twice";
  std::set<std::string> paths;
  for (const NamedDevice& device : named_) {
    if (!paths.insert(device.path).second) return device.path + " is there twice";
    if (!device.mmio) continue;
    if (const auto [other, first] = addresses.emplace(*device.mmio, device.path); !first)
      return other->second + " and " + device.path + " have one register address";
  }
  return std::nullopt;
}

std::optional<std::string> Topology::two_at_one_number() const {
  std::map<Requester, FunctionId> seen;
  for (std::uint32_t i = 0; i < functions_.size(); ++i) {
    if (!functions_[i].present) continue;
    const auto [other, first] = seen.emplace(number({i}), FunctionId{i});
    if (!first) return name({i}) + " and " + name(other->second) + " have the same number";
  }
  return std::nullopt;
}

Result<Done, std::string> Topology::check() const {
  for (std::uint32_t i = 0; i < functions_.size(); ++i)
    if (auto problem = problem_of({i})) return Failure{std::move(*problem)};
  if (auto problem = two_at_one_number()) return Failure{std::move(*problem)};
  if (auto problem = two_by_one_name()) return Failure{std::move(*problem)};
  for (const UnitPlace& unit : units_)
    if (unit.function && unit.function->value >= functions_.size())
      return Failure{"unit " + unit.name + " is a function that is not there"};
  for (const WindowPlace& window : windows_)
    if (window.bar && window.bar->function.value >= functions_.size())
      return Failure{"window " + window.name + " is in a BAR of a function that is not there"};
  for (const InterruptSource& source : sources_)
    if (source.unit && *source.unit >= units_.size())
      return Failure{"interrupt source " + to_string(source.as) +
                     " names a unit that is not there"};
  for (const NamedDevice& device : named_) {
    if (device.wish.kind == Wish::Kind::kUnit && device.wish.index >= units_.size())
      return Failure{device.path + " wishes a unit that is not there"};
    if (device.wish.kind == Wish::Kind::kWindow && device.wish.index >= windows_.size())
      return Failure{device.path + " wishes a window that is not there"};
  }
  for (const ReservedRegion& region : reserved_) {
    if (region.last < region.first)
      return Failure{std::string("a reserved region ends before it begins")};
    for (const FunctionId id : region.functions)
      if (id.value >= functions_.size())
        return Failure{std::string("a reserved region names a function that is not there")};
  }
  return Done{};
}

}  // namespace weir
