// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/random_machine.h"

namespace weir::truth {
namespace {

using Number = std::pair<std::uint16_t, std::uint16_t>;  // segment; bus, device and function
using Unit = std::optional<std::uint32_t>;

[[nodiscard]] Unit unit_of(Wish wish) {
  return wish.kind == Wish::Kind::kUnit ? Unit(wish.index) : std::nullopt;
}

class Machine {
 public:
  Machine(const Topology& t, Format format) : t_(t), format_(format) {}

  [[nodiscard]] std::string first_reason() const {
    for (const auto& reason : {two_wishes(), itself(), rests(), places(), segments(), of_dmar(),
                               of_ivrs(), of_viot(), numbers(), regions()})
      if (!reason.empty()) return reason;
    return {};
  }

 private:
  [[nodiscard]] std::string two_wishes() const {
    std::map<Requester, Wish> first;
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      for (const Requester as : t_.requesters({i}))
        if (first.emplace(as, t_[{i}].wish).first->second != t_[{i}].wish)
          return "one number, two wishes";
    std::map<Requester, Unit> named, sources[2];
    for (const NamedDevice& d : t_.named_devices())
      if (named.emplace(d.as, unit_of(d.wish)).first->second != unit_of(d.wish))
        return "one number, two wishes";
    for (const InterruptSource& s : t_.interrupt_sources())
      if (sources[static_cast<int>(s.kind)].emplace(s.as, s.unit).first->second != s.unit)
        return "one number, two wishes";
    return {};
  }

  [[nodiscard]] std::string itself() const {
    for (const UnitPlace& unit : t_.units())
      if (unit.function && unit_of(t_[*unit.function].wish)) return "a unit behind itself";
    return {};
  }

  [[nodiscard]] std::string rests() const {
    std::set<std::uint16_t> segments;
    for (const UnitPlace& unit : t_.units()) {
      if (!unit.takes_rest) continue;
      if (!segments.insert(unit.segment).second) return "two rests";
    }
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (segments.contains(t_.number({i}).segment) && !unit_of(t_[{i}].wish))
        return "the rest bypasses";
    return {};
  }

  [[nodiscard]] std::string places() const {
    if (format_ != Format::kIvrs) return {};
    for (const UnitPlace& unit : t_.units())
      if (!unit.function || t_.number(*unit.function).segment != unit.segment)
        return "a unit that is no function of its segment";
    return {};
  }

  [[nodiscard]] std::string segments() const {
    if (format_ == Format::kViot) return {};
    const auto away = [&](const Unit& unit, std::uint16_t segment) {
      return unit && t_.units()[*unit].segment != segment;
    };
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (away(unit_of(t_[{i}].wish), t_.number({i}).segment)) return "another segment: function";
    for (const NamedDevice& d : t_.named_devices())
      if (away(unit_of(d.wish), d.as.segment)) return "another segment: device of ACPI";
    for (const InterruptSource& s : t_.interrupt_sources())
      if (away(s.unit, s.as.segment)) return "another segment: interrupt source";
    return {};
  }

  [[nodiscard]] std::string of_dmar() const {
    if (format_ != Format::kDmar) return {};
    std::map<Number, bool> bridges;  // of what scopes name
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      const Function& f = t_[{i}];
      if (f.physical && unit_of(t_[*f.physical].wish) != unit_of(f.wish))
        return "a virtual function of its own mind";
      bool below = false;
      for (auto above = f.bridge; above; above = t_[*above].bridge) {
        const auto unit = unit_of(t_[*above].wish);
        if (!unit || t_.units()[*unit].takes_rest) continue;
        if (t_[*above].wish != f.wish) return "below a bridge";
        below = true;
      }
      const auto unit = unit_of(f.wish);
      if (!unit || below || f.physical || t_.units()[*unit].takes_rest) continue;
      const Requester at = t_.number({i});
      if (bridges.emplace(Number{at.segment, at.bdf}, is_bridge(f.kind)).first->second !=
          is_bridge(f.kind))
        return "a bridge or none";
    }
    return {};
  }

  [[nodiscard]] std::string of_ivrs() const {
    if (format_ != Format::kIvrs) return {};
    std::map<Requester, Requester> asks;
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      if (unit_of(t_[{i}].wish) &&
          asks.emplace(t_.number({i}), t_.requester({i})).first->second != t_.requester({i}))
        return "one slot, two aliases";
    for (const NamedDevice& d : t_.named_devices()) {
      if (!unit_of(d.wish)) continue;
      if (d.hid.empty() || d.hid.size() > 8) return "no hardware id";
      for (const NamedDevice& other : t_.named_devices())
        if (&other != &d && other.hid == d.hid && (d.uid.empty() || d.uid == other.uid))
          return "ids that are another's too";
    }
    return {};
  }

  [[nodiscard]] std::string of_viot() const {
    if (format_ != Format::kViot) return {};
    for (const NamedDevice& d : t_.named_devices())
      if (unit_of(d.wish) && !d.mmio) return "no register address";
    for (const InterruptSource& s : t_.interrupt_sources())
      if (s.unit) return "interrupts behind a virtio-iommu";
    return {};
  }

  // Formats that name by numbers: what a function is called and what its requests bear.
  [[nodiscard]] std::string numbers() const {
    if (format_ == Format::kDmar) return {};
    std::map<Number, Unit> claims;
    bool clash = false;
    const auto claim = [&](Requester as, Unit unit) {
      clash |= claims.emplace(Number{as.segment, as.bdf}, unit).first->second != unit;
    };
    for (std::uint32_t i = 0; i < t_.functions(); ++i)
      for (const Requester as : t_.requesters({i})) claim(as, unit_of(t_[{i}].wish));
    // Its own number matters where it is listed by it.
    for (std::uint32_t i = 0; i < t_.functions(); ++i) claim(t_.number({i}), unit_of(t_[{i}].wish));
    if (clash) return "a number that is another's too";
    if (format_ == Format::kViot) return {};
    for (const NamedDevice& d : t_.named_devices()) claim(d.as, unit_of(d.wish));
    for (const InterruptSource& s : t_.interrupt_sources()) claim(s.as, s.unit);
    return clash ? "a number of what is no function" : "";
  }

  [[nodiscard]] std::string regions() const {
    if (format_ == Format::kViot) return {};
    for (const ReservedRegion& r : t_.reserved()) {
      if (format_ == Format::kDmar && (r.functions.empty() || r.exclusion))
        return "a region of another kind";
      if ((r.first | (r.last + 1)) % 4096 != 0) return "a region of part of a page";
      for (const FunctionId id : r.functions)
        if (t_.number(id).segment != r.segment) return "a region of another segment";
    }
    return {};
  }

  const Topology& t_;
  const Format format_;
};

}  // namespace

std::string why_not(const Topology& machine, Format format) {
  return Machine(machine, format).first_reason();
}

}  // namespace weir::truth
