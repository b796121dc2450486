// SPDX-License-Identifier: Apache-2.0
#include "iommu/topology.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <tuple>
#include <utility>

namespace weir {
namespace {

constexpr unsigned kFunctionBits = 3;

[[nodiscard]] Requester at(std::uint16_t segment, unsigned bus, unsigned devfn) {
  return {segment, static_cast<std::uint16_t>(bus << 8 | devfn)};
}

}  // namespace

std::string to_string(Requester r) {
  std::array<char, 24> text{};
  const int length = r.segment == 0 ? std::snprintf(text.data(), text.size(), "%02x:%02x.%x",
                                                    unsigned{r.bus()}, r.device(), r.function())
                                    : std::snprintf(text.data(), text.size(), "%04x:%02x:%02x.%x",
                                                    unsigned{r.segment}, unsigned{r.bus()},
                                                    r.device(), r.function());
  return std::string(text.data(), static_cast<std::size_t>(length));
}

std::uint32_t Topology::add(RootBus root) {
  ++revision_;
  roots_.push_back(std::move(root));
  return static_cast<std::uint32_t>(roots_.size() - 1);
}

FunctionId Topology::add(Function function) {
  ++revision_;
  if (function.bridge) function.root = functions_[function.bridge->value].root;
  functions_.push_back(std::move(function));
  return {static_cast<std::uint32_t>(functions_.size() - 1)};
}

std::uint32_t Topology::add(UnitPlace unit) {
  ++revision_;
  units_.push_back(std::move(unit));
  return static_cast<std::uint32_t>(units_.size() - 1);
}

std::uint32_t Topology::add(WindowPlace window) {
  ++revision_;
  windows_.push_back(std::move(window));
  return static_cast<std::uint32_t>(windows_.size() - 1);
}

void Topology::add(InterruptSource source) {
  ++revision_;
  sources_.push_back(source);
}

void Topology::add(NamedDevice device) {
  ++revision_;
  named_.push_back(std::move(device));
}

void Topology::add(ReservedRegion region) {
  ++revision_;
  reserved_.push_back(std::move(region));
}

std::uint8_t Topology::bus_of(const Function& function) const {
  return function.bridge ? functions_[function.bridge->value].secondary : roots_[function.root].bus;
}

Requester Topology::number(FunctionId id) const {
  const Function& function = functions_[id.value];
  return at(roots_[function.root].segment, bus_of(function), function.devfn);
}

Location Topology::location(FunctionId id) const {
  const Function& function = functions_[id.value];
  Location location{.function = number(id)};
  if (const Requester as = requester(id); as != location.function) location.alias = as;
  // Tables that go by path know a virtual function by its physical one.
  if (function.physical) location.physical = number(*function.physical);
  for (auto above = function.bridge; above; above = functions_[above->value].bridge)
    location.bridges.push_back(number(*above));
  std::ranges::reverse(location.bridges);
  return location;
}

Location Topology::location(const InterruptSource& source) {
  return {
      .function = source.as,
      .origin = source.kind == InterruptSource::Kind::kIoApic ? Origin::kIoApic : Origin::kHpet};
}

Location Topology::location(const NamedDevice& device) {
  return {.function = device.as, .origin = Origin::kNamed, .mmio = device.mmio};
}

// Each bridge on the way up may put a number of its own in place of what came from below.
Requester Topology::requester(FunctionId id) const {
  const Function& function = functions_[id.value];
  Requester as = number(id);
  if (function.alias) as.bdf = *function.alias;
  for (auto above = function.bridge; above; above = functions_[above->value].bridge) {
    const Function& bridge = functions_[above->value];
    if (bridge.kind == FunctionKind::kPcieToPciBridge) as = at(as.segment, bridge.secondary, 0);
    if (bridge.kind == FunctionKind::kPciBridge) as = number(*above);
  }
  return as;
}

std::vector<Requester> Topology::requesters(FunctionId id) const {
  const Function& function = functions_[id.value];
  const Requester base = requester(id);
  std::vector<Requester> all{base};
  // Phantom numbers live on the function's own bus; what a bridge renames has none.
  if (base == number(id)) {
    const unsigned step = 1U << (kFunctionBits - function.phantom_bits);
    for (unsigned add = step; add < (1U << kFunctionBits); add += step)
      all.push_back({base.segment, static_cast<std::uint16_t>(base.bdf | add)});
  }
  return all;
}

std::string Topology::name(FunctionId id) const {
  const std::string number_text = to_string(number(id));
  const std::string& name = functions_[id.value].name;
  return name.empty() ? number_text : name + " (" + number_text + ")";
}

std::optional<Topology::Span> Topology::window_now(std::uint32_t window) const {
  const WindowPlace& place = windows_[window];
  Span span{.first = place.first, .base = place.base, .bytes = place.bytes};
  if (!place.bar) return span;
  const Function& owner = functions_[place.bar->function.value];
  const auto bar = std::ranges::find(owner.bars, place.bar->index, &Bar::index);
  if (!owner.present || bar == owner.bars.end() || !bar->decoded) return std::nullopt;
  if (place.base > bar->bytes || place.bytes > bar->bytes - place.base) return std::nullopt;
  span.base += bar->base;
  // What is identity stays that: the function uses the BAR's own addresses.
  if (place.first == place.base) span.first = span.base;
  return span;
}

Result<Done, std::string> Topology::plug(FunctionId id) {
  Function& function = functions_[id.value];
  if (function.present) return Failure{name(id) + " is there already"};
  if (function.bridge && !functions_[function.bridge->value].present)
    return Failure{"the bridge above " + name(id) + " is not there"};
  function.present = true;
  if (auto good = check(); !good) {
    function.present = false;
    return good;
  }
  ++revision_;
  return Done{};
}

Result<Done, std::string> Topology::unplug(FunctionId id) {
  if (!functions_[id.value].present) return Failure{name(id) + " is not there"};
  // Bridges were added before what is below them.
  for (std::uint32_t i = id.value; i < functions_.size(); ++i) {
    Function& function = functions_[i];
    if (i == id.value || (function.bridge && function.bridge->value >= id.value &&
                          !functions_[function.bridge->value].present))
      function.present = false;
  }
  ++revision_;
  return Done{};
}

Result<Done, std::string> Topology::renumber(FunctionId bridge, std::uint8_t secondary,
                                             std::uint8_t subordinate) {
  Function& function = functions_[bridge.value];
  if (!is_bridge(function.kind)) return Failure{name(bridge) + " is no bridge"};
  const auto before = std::pair(function.secondary, function.subordinate);
  function.secondary = secondary;
  function.subordinate = subordinate;
  // While a guest renumbers, bridges may overlap for a moment; two functions at one number may not.
  if (auto problem = two_at_one_number()) {
    std::tie(function.secondary, function.subordinate) = before;
    return Failure{std::move(*problem)};
  }
  ++revision_;
  return Done{};
}

Result<Done, std::string> Topology::set_bar(FunctionId id, Bar bar) {
  auto& bars = functions_[id.value].bars;
  const auto known = std::ranges::find(bars, bar.index, &Bar::index);
  if (known == bars.end()) return Failure{name(id) + " has no BAR " + std::to_string(bar.index)};
  *known = bar;
  ++revision_;
  return Done{};
}

}  // namespace weir
