// SPDX-License-Identifier: Apache-2.0
//
// From a machine and its wishes to a DMAR: which scopes say what is wished, and what no scope can.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "iommu/wishes.h"
#include "vendors/vtd/dmar.h"
#include "vendors/vtd/dmar_from.h"

namespace weir::vtd {
namespace {

using Problem = std::optional<std::string>;
using Kind = FunctionKind;

constexpr std::uint64_t kPage = 4096;
constexpr int kMostNamed = 255;

[[nodiscard]] bool is_behind(const Function& function, std::uint32_t unit) {
  return function.wish == Wish::unit(unit);
}

[[nodiscard]] PathStep step_of(Requester r) {
  return {static_cast<std::uint8_t>(r.device()), static_cast<std::uint8_t>(r.function())};
}

// Whether something between the function and its root bus is in `listed`: a sub-hierarchy that
// names it already.
[[nodiscard]] bool is_below_one_of(const Topology& t, FunctionId id,
                                   const std::set<FunctionId>& listed) {
  for (auto above = t[id].bridge; above; above = t[*above].bridge)
    if (listed.contains(*above)) return true;
  return false;
}

class Builder {
 public:
  Builder(const Topology& topology, const DmarOptions& options)
      : t_(topology), table_(empty_dmar(options)) {}

  // Types in numerical order (8.2), and of DRHDs of a segment that takes the rest last (8.3).
  [[nodiscard]] Result<dmar::Table, std::string> run() {
    if (auto problem = first_problem()) return Failure{std::move(*problem)};
    number_named_devices();
    for (const bool rest : {false, true})
      for (std::uint32_t u = 0; u < t_.units().size(); ++u)
        if (t_.units()[u].takes_rest == rest) add_unit(u);
    for (const ReservedRegion& region : t_.reserved()) add_region(region);
    add_root_ports();
    add_affinities();
    for (const auto& [device, number] : numbers_)
      table_.structures.emplace_back(
          dmar::Andd{.number = number, .name = t_.named_devices()[device].path});
    add_integrated();
    add_properties();
    return std::move(table_);
  }

 private:
  [[nodiscard]] Problem first_problem() const {
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (auto problem = problem_of(FunctionId{i})) return problem;
    for (const NamedDevice& device : t_.named_devices())
      if (device.wish.kind == Wish::Kind::kUnit &&
          device.as.segment != t_.units()[device.wish.index].segment)
        return other_segment(device.path, device.wish.index);
    for (const InterruptSource& source : t_.interrupt_sources())
      if (source.unit && source.as.segment != t_.units()[*source.unit].segment)
        return other_segment("interrupt source " + to_string(source.as), *source.unit);
    for (const ReservedRegion& region : t_.reserved())
      if (auto problem = problem_of(region)) return problem;
    if (auto problem = bridge_or_none()) return problem;
    const auto listed = [](const NamedDevice& d) { return d.wish.kind == Wish::Kind::kUnit; };
    if (std::ranges::count_if(t_.named_devices(), listed) > kMostNamed)
      return "more than 255 devices of ACPI wish to be behind units, and a DMAR numbers no more: "
             "let the others bypass";
    return std::nullopt;
  }

  // Of two that are declared for one slot, one a bridge: a scope says which, and a guest that finds
  // the other takes none of that slot's.
  [[nodiscard]] Problem bridge_or_none() const {
    std::map<Requester, FunctionId> first;
    std::set<FunctionId> hierarchies;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      const FunctionId id{i};
      if (t_[id].wish.kind != Wish::Kind::kUnit || t_.units()[t_[id].wish.index].takes_rest ||
          t_[id].physical || is_below_one_of(t_, id, hierarchies))
        continue;
      if (is_bridge(t_[id].kind)) hierarchies.insert(id);
      const auto [other, alone] = first.emplace(t_.number(id), id);
      if (alone || is_bridge(t_[other->second].kind) == is_bridge(t_[id].kind)) continue;
      return t_.name(other->second) + " and " + t_.name(id) +
             " are declared for one slot and one of them is a bridge, but a scope of a DMAR is of "
             "a bridge or of none: let both bypass, or declare one";
    }
    return std::nullopt;
  }

  [[nodiscard]] std::string other_segment(const std::string& who, std::uint32_t unit) const {
    return who + " is in another segment than " + name_of_unit(t_, unit) +
           ", and a remapping unit of a DMAR serves one: give the other segment a unit of its own";
  }

  [[nodiscard]] Problem problem_of(FunctionId id) const {
    const Function& function = t_[id];
    // Bypass and windows are one to a table.
    const Wish physical = function.physical ? t_[*function.physical].wish : function.wish;
    if (physical != function.wish &&
        (physical.kind == Wish::Kind::kUnit || function.wish.kind == Wish::Kind::kUnit))
      return t_.name(id) + " is a virtual function and wishes otherwise than " +
             t_.name(*function.physical) +
             ", and a DMAR names both by the physical one: give them one wish";
    if (function.wish.kind == Wish::Kind::kUnit &&
        t_.number(id).segment != t_.units()[function.wish.index].segment)
      return other_segment(t_.name(id), function.wish.index);
    for (auto above = function.bridge; above; above = t_[*above].bridge) {
      const Wish wish = t_[*above].wish;
      if (wish.kind != Wish::Kind::kUnit || wish == function.wish) continue;
      // Nothing names what belongs to the rest.
      if (t_.units()[wish.index].takes_rest) continue;
      return t_.name(*above) + " wishes to be behind " + name_of_unit(t_, t_[*above].wish.index) +
             " and " + t_.name(id) +
             " below it wishes otherwise, but a DMAR names a bridge only with all that is below: "
             "let the bridge bypass, its functions can have explicit scopes";
    }
    return std::nullopt;
  }

  [[nodiscard]] Problem problem_of(const ReservedRegion& region) const {
    if (region.functions.empty())
      return "a reserved region of a DMAR names its devices: list the functions";
    if (region.exclusion || !region.read || !region.write)
      return "a reserved region of a DMAR is readable and writable and mapped one to one: it has "
             "no other kind";
    if (region.first % kPage != 0 || (region.last + 1) % kPage != 0)
      return "a reserved region of a DMAR consists of whole pages: widen it";
    for (const FunctionId id : region.functions)
      if (t_.number(id).segment != region.segment)
        return t_.name(id) + " is not in segment " + std::to_string(region.segment) +
               ", for which its reserved region is: give the other segment a region of its own";
    return std::nullopt;
  }

  void number_named_devices() {
    std::uint8_t number = 0;
    for (std::uint32_t i = 0; i < t_.named_devices().size(); ++i)
      if (t_.named_devices()[i].wish.kind == Wish::Kind::kUnit) numbers_[i] = ++number;
  }

  // By the way from the root bus, which does not change with bus numbers; a virtual function by its
  // physical one.
  [[nodiscard]] dmar::Scope scope_of(FunctionId id) const {
    id = t_[id].physical.value_or(id);
    const Location location = t_.location(id);
    dmar::Scope scope{
        .type = is_bridge(t_[id].kind) ? dmar::scope::kSubHierarchy : dmar::scope::kEndpoint,
        .start_bus = t_.roots()[t_[id].root].bus};
    for (const Requester bridge : location.bridges) scope.path.push_back(step_of(bridge));
    scope.path.push_back(step_of(location.function));
    return scope;
  }

  // Two functions declared for one slot have one scope.
  static void add_once(std::vector<dmar::Scope>& scopes, dmar::Scope scope) {
    const auto same = [&](const dmar::Scope& other) {
      return other.type == scope.type && other.start_bus == scope.start_bus &&
             other.path == scope.path;
    };
    if (std::ranges::none_of(scopes, same)) scopes.push_back(std::move(scope));
  }

  void add_unit(std::uint32_t u) {
    const UnitPlace& unit = t_.units()[u];
    dmar::Drhd drhd = empty_drhd(unit.register_base, unit.segment, unit.takes_rest);
    for (const InterruptSource& source : t_.interrupt_sources())
      if (source.unit == u)
        drhd.scopes.push_back({.type = source.kind == InterruptSource::Kind::kIoApic
                                           ? dmar::scope::kIoApic
                                           : dmar::scope::kHpet,
                               .enumeration = source.id,
                               .start_bus = source.as.bus(),
                               .path = {step_of(source.as)}});
    for (const auto& [device, number] : numbers_) {
      const NamedDevice& named = t_.named_devices()[device];
      if (named.wish == Wish::unit(u))
        drhd.scopes.push_back({.type = dmar::scope::kNamespaceDevice,
                               .enumeration = number,
                               .start_bus = named.as.bus(),
                               .path = {step_of(named.as)}});
    }
    if (!unit.takes_rest) add_functions(u, drhd.scopes);
    table_.structures.emplace_back(std::move(drhd));
  }

  void add_functions(std::uint32_t u, std::vector<dmar::Scope>& scopes) const {
    std::set<FunctionId> hierarchies;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      const FunctionId id{i};
      if (!is_behind(t_[id], u) || t_[id].physical || is_below_one_of(t_, id, hierarchies))
        continue;
      if (is_bridge(t_[id].kind)) hierarchies.insert(id);
      add_once(scopes, scope_of(id));
    }
  }

  void add_region(const ReservedRegion& region) {
    dmar::Rmrr rmrr{.segment = region.segment, .base = region.first, .limit = region.last};
    for (const FunctionId id : region.functions) add_once(rmrr.scopes, scope_of(id));
    table_.structures.emplace_back(std::move(rmrr));
  }

  // A function whose requests for translation a unit answers.
  [[nodiscard]] bool has_device_tlb(FunctionId id) const {
    return t_[id].ats && t_[id].wish.kind == Wish::Kind::kUnit;
  }
  [[nodiscard]] bool is_integrated(FunctionId id) const {
    return t_[id].system_on_chip || !t_[id].bridge;
  }

  void add_root_ports() {
    std::map<std::uint16_t, std::vector<dmar::Scope>> by_segment;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      if (!has_device_tlb({i}) || is_integrated({i})) continue;
      FunctionId port = *t_[{i}].bridge;
      while (t_[port].bridge) port = *t_[port].bridge;
      add_once(by_segment[t_.number(port).segment], scope_of(port));
    }
    for (auto& [segment, scopes] : by_segment)
      table_.structures.emplace_back(dmar::Atsr{.segment = segment, .scopes = std::move(scopes)});
  }

  void add_affinities() {
    for (const UnitPlace& unit : t_.units())
      if (unit.proximity)
        table_.structures.emplace_back(
            dmar::Rhsa{.base = unit.register_base, .proximity = *unit.proximity});
  }

  void add_integrated() {
    std::map<std::uint16_t, std::vector<dmar::Scope>> by_segment;
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (has_device_tlb({i}) && is_integrated({i}))
        add_once(by_segment[t_.number({i}).segment], scope_of({i}));
    for (auto& [segment, scopes] : by_segment)
      table_.structures.emplace_back(dmar::Satc{.segment = segment, .scopes = std::move(scopes)});
  }

  void add_properties() {
    std::map<std::uint16_t, std::vector<dmar::Scope>> by_segment;
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      if (t_[{i}].integrated_properties == 0) continue;
      dmar::Scope scope = scope_of({i});
      scope.flags = t_[{i}].integrated_properties;
      add_once(by_segment[t_.number({i}).segment], std::move(scope));
    }
    for (auto& [segment, scopes] : by_segment)
      table_.structures.emplace_back(dmar::Sidp{.segment = segment, .scopes = std::move(scopes)});
  }

  const Topology& t_;
  dmar::Table table_;
  std::map<std::uint32_t, std::uint8_t> numbers_;  // of named devices
};

}  // namespace

Result<dmar::Table, std::string> dmar_of(const Topology& topology, const DmarOptions& options) {
  if (auto possible = check_wishes(topology); !possible) return Failure{possible.error()};
  return Builder(topology, options).run();
}

Result<std::vector<std::byte>, std::string> build_dmar_for(const Topology& topology,
                                                           const DmarOptions& options) {
  const auto table = dmar_of(topology, options);
  if (!table) return Failure{table.error()};
  auto bytes = write_dmar(*table);
  if (!bytes) return Failure{bytes.error().cause};
  // What the guest will read, and not what was meant, is what has to fit the wishes.
  const auto says = dmar_parser().parse(*bytes);
  if (!says) return Failure{says.error().cause};
  if (auto kept = check_coverage(topology, *says); !kept) return Failure{kept.error()};
  return std::move(*bytes);
}

}  // namespace weir::vtd
