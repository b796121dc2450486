// SPDX-License-Identifier: Apache-2.0
#include "iommu/wishes.h"

#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

namespace weir {
namespace {

using Problem = std::optional<std::string>;

[[nodiscard]] std::string hex(std::uint64_t value) {
  std::array<char, 24> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%llxh", static_cast<unsigned long long>(value));
  return std::string(text.data(), static_cast<std::size_t>(length));
}

[[nodiscard]] std::string words_for(const Topology& topology, Wish wish) {
  switch (wish.kind) {
    case Wish::Kind::kBypass:
      return "wishes to bypass";
    case Wish::Kind::kUnit:
      return "wishes to be behind " + name_of_unit(topology, wish.index);
    case Wish::Kind::kWindow:
      return "wishes a window";
  }
  return {};
}

// The unit that a wish names, or none: bypass and window are both "covered by nobody".
[[nodiscard]] std::optional<std::uint32_t> unit_of(Wish wish) {
  if (wish.kind == Wish::Kind::kUnit) return wish.index;
  return std::nullopt;
}

[[nodiscard]] std::string name_of(const InterruptSource& source) {
  return (source.kind == InterruptSource::Kind::kIoApic ? "I/O APIC " : "HPET ") +
         std::to_string(source.id);
}
[[nodiscard]] Wish wish_of(const InterruptSource& source) {
  return source.unit ? Wish::unit(*source.unit) : Wish::bypass();
}

// Who is meant by which number.
class Claims {
 public:
  // `means`: what does, in words.
  Claims(const Topology& topology, const char* means) : topology_(topology), means_(means) {}

  void add(Requester as, const std::string& who, Wish wish) {
    const auto [other, first] = by_number_.emplace(as, std::pair(who, wish));
    if (first || problem_ || unit_of(other->second.second) == unit_of(wish)) return;
    problem_ = who + " " + words_for(topology_, wish) + " and " + other->second.first + " " +
               words_for(topology_, other->second.second) + ", but " + means_ + " " +
               to_string(as) + ": give them one wish, or one of them another number";
  }
  [[nodiscard]] const Problem& problem() const { return problem_; }

 private:
  const Topology& topology_;
  const char* means_;
  std::map<Requester, std::pair<std::string, Wish>> by_number_;
  Problem problem_;
};

// Of what is no function, each kind by itself.
[[nodiscard]] Problem two_devices_at_one_number(const Topology& topology) {
  Claims devices(topology, "requests of both bear");
  for (const NamedDevice& device : topology.named_devices())
    devices.add(device.as, device.path, device.wish);
  if (devices.problem()) return devices.problem();
  for (const auto kind : {InterruptSource::Kind::kIoApic, InterruptSource::Kind::kHpet}) {
    Claims sources(topology, "messages of both bear");
    for (const InterruptSource& source : topology.interrupt_sources())
      if (source.kind == kind) sources.add(source.as, name_of(source), wish_of(source));
    if (sources.problem()) return sources.problem();
  }
  return std::nullopt;
}

[[nodiscard]] Problem two_wishes_at_one_number(const Topology& topology) {
  std::map<Requester, FunctionId> first;
  for (std::uint32_t i = 0; i < topology.functions(); ++i) {
    for (const Requester as : topology.requesters({i})) {
      const auto [other, alone] = first.emplace(as, FunctionId{i});
      if (alone || topology[other->second].wish == topology[{i}].wish) continue;
      return topology.name({i}) + " " + words_for(topology, topology[{i}].wish) + " and " +
             topology.name(other->second) + " " +
             words_for(topology, topology[other->second].wish) + ", but requests of both bear " +
             to_string(as) + ": give them one wish";
    }
  }
  return std::nullopt;
}

[[nodiscard]] Problem behind_itself(const Topology& topology) {
  for (std::uint32_t u = 0; u < topology.units().size(); ++u) {
    const auto& function = topology.units()[u].function;
    if (function && unit_of(topology[*function].wish))
      return topology.name(*function) + " is " + name_of_unit(topology, u) + " itself and " +
             words_for(topology, topology[*function].wish) +
             ": a unit's own accesses are never translated, let it bypass";
  }
  return std::nullopt;
}

[[nodiscard]] Problem rest_that_is_none(const Topology& topology) {
  for (std::uint32_t u = 0; u < topology.units().size(); ++u) {
    const UnitPlace& unit = topology.units()[u];
    if (!unit.takes_rest) continue;
    for (std::uint32_t other = 0; other < u; ++other)
      if (topology.units()[other].takes_rest && topology.units()[other].segment == unit.segment)
        return name_of_unit(topology, other) + " and " + name_of_unit(topology, u) +
               " both take the rest of segment " + std::to_string(unit.segment) +
               ": give one of them explicit scopes (takes_rest = false)";
    for (std::uint32_t i = 0; i < topology.functions(); ++i) {
      if (topology.number({i}).segment != unit.segment) continue;
      if (unit_of(topology[{i}].wish)) continue;
      return topology.name({i}) + " " + words_for(topology, topology[{i}].wish) + ", but " +
             name_of_unit(topology, u) + " takes the rest of segment " +
             std::to_string(unit.segment) + ": give that unit explicit scopes (takes_rest = false)";
    }
  }
  return std::nullopt;
}

class Comparison {
 public:
  Comparison(const Topology& topology, const Coverage& coverage)
      : topology_(topology), coverage_(coverage) {}

  [[nodiscard]] Problem one(const Location& location, std::optional<std::uint32_t> unit,
                            const std::string& who, const std::string& wish) const {
    const auto found = covering(coverage_, location);
    if (!found) return who + ": " + found.error();
    const UnitCoverage* const entry = *found;
    if (!unit) {
      if (entry == nullptr) return std::nullopt;
      return who + " " + wish + ", but the table puts it behind " + named(entry->register_base) +
             (entry->rest_of_segment && !names(*entry, location)
                  ? ", which takes the rest of the segment: give that unit explicit scopes"
                  : ": take it out of that unit's scopes");
    }
    if (entry == nullptr)
      return who + " " + wish + ", but no scope of the table names it: add it to that unit's";
    if (entry->register_base == topology_.units()[*unit].register_base) return std::nullopt;
    return who + " " + wish + ", but the table puts it behind " + named(entry->register_base) +
           ": move it to the other unit's scopes";
  }

 private:
  [[nodiscard]] std::string named(std::uint64_t register_base) const {
    for (std::uint32_t u = 0; u < topology_.units().size(); ++u)
      if (topology_.units()[u].register_base == register_base) return name_of_unit(topology_, u);
    return "a unit at " + hex(register_base);
  }

  const Topology& topology_;
  const Coverage& coverage_;
};

[[nodiscard]] Result<Done, std::string> answer(Problem problem) {
  if (problem) return Failure{std::move(*problem)};
  return Done{};
}

}  // namespace

std::string name_of_unit(const Topology& topology, std::uint32_t unit) {
  const UnitPlace& place = topology.units()[unit];
  return "unit " + (place.name.empty() ? std::to_string(unit) : place.name) + " (" +
         hex(place.register_base) + ")";
}

Result<Done, std::string> check_wishes(const Topology& topology) {
  if (auto problem = two_wishes_at_one_number(topology)) return answer(std::move(problem));
  if (auto problem = two_devices_at_one_number(topology)) return answer(std::move(problem));
  if (auto problem = behind_itself(topology)) return answer(std::move(problem));
  return answer(rest_that_is_none(topology));
}

Result<Done, std::string> check_numbers(const Topology& topology, NumbersOf whose) {
  Claims claims(topology, "the table means both by");
  for (std::uint32_t i = 0; i < topology.functions(); ++i) {
    const std::string who = topology.name({i});
    claims.add(topology.number({i}), who, topology[{i}].wish);
    for (const Requester as : topology.requesters({i})) claims.add(as, who, topology[{i}].wish);
  }
  if (whose == NumbersOf::kEverything) {
    for (const NamedDevice& device : topology.named_devices())
      claims.add(device.as, device.path, device.wish);
    for (const InterruptSource& source : topology.interrupt_sources())
      claims.add(source.as, name_of(source), wish_of(source));
  }
  return answer(claims.problem());
}

std::vector<std::string> coverage_problems(const Topology& topology, const Coverage& coverage) {
  const Comparison compare(topology, coverage);
  std::vector<std::string> problems;
  const auto note = [&problems](Problem problem) {
    if (problem) problems.push_back(std::move(*problem));
  };
  for (std::uint32_t i = 0; i < topology.functions(); ++i) {
    const Wish wish = topology[{i}].wish;
    note(compare.one(topology.location({i}), unit_of(wish), topology.name({i}),
                     words_for(topology, wish)));
  }
  for (const NamedDevice& device : topology.named_devices())
    note(compare.one(Topology::location(device), unit_of(device.wish), device.path,
                     words_for(topology, device.wish)));
  for (const InterruptSource& source : topology.interrupt_sources()) {
    note(compare.one(Topology::location(source), source.unit, name_of(source),
                     words_for(topology, wish_of(source))));
  }
  return problems;
}

Result<Done, std::string> check_coverage(const Topology& topology, const Coverage& coverage) {
  std::vector<std::string> problems = coverage_problems(topology, coverage);
  if (!problems.empty()) return Failure{std::move(problems.front())};
  return Done{};
}

}  // namespace weir
