// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/truth.h"

#include "tests/truth/names.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::truth {
namespace {

using Untruth = std::optional<std::string>;

class Judge {
 public:
  Judge(const Topology& t, Format format, Bytes table)
      : t_(t), format_(format), view_(t), guest_(linux_guest(format, table, view_)) {}

  [[nodiscard]] Untruth first() const {
    if (!guest_->complaint().empty()) return guest_->complaint();
    for (const SeenFunction& f : view_.functions())
      if (auto wrong = compare(guest_->of(f), t_[{f.id}].wish, [&] { return t_.name({f.id}); }))
        return wrong;
    for (std::size_t i = 0; i < view_.named().size(); ++i)
      if (auto wrong = compare(guest_->of(view_.named()[i]), t_.named_devices()[i].wish,
                               [&] { return view_.named()[i].path; }))
        return wrong;
    for (std::size_t i = 0; i < view_.sources().size(); ++i) {
      const auto& unit = t_.interrupt_sources()[i].unit;
      if (auto wrong =
              compare(guest_->of(view_.sources()[i]), unit ? Wish::unit(*unit) : Wish::bypass(),
                      [&] { return "interrupt source " + std::to_string(view_.sources()[i].id); }))
        return wrong;
    }
    return std::nullopt;
  }

  [[nodiscard]] Untruth of_facts() const {
    const std::set<std::string> said = guest_->facts(), due = facts_due();
    for (const std::string& one : said)
      if (!due.contains(one)) return "it says: " + one;
    for (const std::string& one : due)
      if (!said.contains(one)) return "it does not say: " + one;
    return std::nullopt;
  }

 private:
  template <typename Name>
  [[nodiscard]] Untruth compare(const Verdict& found, Wish wish, const Name& name) const {
    if (!found.complaint.empty()) return name() + ": " + found.complaint;
    const bool wanted = wish.kind == Wish::Kind::kUnit;
    if (found.covered != wanted) return name() + (wanted ? " is not covered" : " is covered");
    if (wanted && found.unit != name_of(t_, wish.index, format_))
      return name() + " is behind another unit";
    return std::nullopt;
  }

  [[nodiscard]] std::uint64_t number(FunctionId id) const {
    const Requester at = t_.number(t_[id].physical.value_or(id));
    return std::uint64_t{at.segment} << 16 | at.bdf;
  }

  [[nodiscard]] std::set<std::string> facts_due() const {
    switch (format_) {
      case Format::kDmar:
        return due_of_dmar();
      case Format::kIvrs:
        return due_of_ivrs();
      case Format::kViot:
        break;
    }
    std::set<std::string> due;
    for (std::uint32_t u = 0; u < t_.units().size(); ++u)
      due.insert(fact("unit", name_of(t_, u, format_)));
    return due;
  }

  // VT-d 8.4 to 8.9.
  [[nodiscard]] std::set<std::string> due_of_dmar() const {
    std::set<std::string> due;
    for (const UnitPlace& unit : t_.units())
      due.insert(fact("unit", unit.register_base, unit.segment, unit.takes_rest ? 1 : 0));
    for (const UnitPlace& unit : t_.units())
      if (unit.proximity) due.insert(fact("rhsa", unit.register_base, *unit.proximity));
    for (const ReservedRegion& region : t_.reserved())
      for (const FunctionId id : region.functions)
        if (is_there(id)) due.insert(fact("reserved", number(id), region.first, region.last));
    for (std::uint32_t i = 0; i < t_.functions(); ++i) {
      const Function& f = t_[{i}];
      if (f.integrated_properties != 0 && is_there({i}))
        due.insert(fact("properties", number({i}), f.integrated_properties));
      if (!f.ats || f.wish.kind != Wish::Kind::kUnit) continue;
      if (f.system_on_chip || !f.bridge) {
        if (is_there({i})) due.insert(fact("ats of the chip", number({i})));
        continue;
      }
      FunctionId port = *f.bridge;
      while (t_[port].bridge) port = *t_[port].bridge;
      if (is_there(port)) due.insert(fact("ats below", number(port)));
    }
    return due;
  }

  // What is said of a number is said of whatever is there with it, if it is a bridge or none as
  // said.
  [[nodiscard]] bool is_there(FunctionId id) const {
    const SeenFunction* const found =
        view_.find(t_.number(id).segment, static_cast<std::uint16_t>(number(id)));
    return found != nullptr && found->bridge() == is_bridge(t_[t_[id].physical.value_or(id)].kind);
  }

  // 48882 5.2.2 and 5.2.3: a unit by its function, memory by the numbers of whom it is for.
  [[nodiscard]] std::set<std::string> due_of_ivrs() const {
    std::set<std::string> due;
    for (const UnitPlace& unit : t_.units())
      due.insert(fact("unit", unit.register_base, unit.segment, t_.number(*unit.function).bdf));
    for (const ReservedRegion& region : t_.reserved()) {
      std::set<std::uint16_t> numbers;
      for (const FunctionId id : region.functions) {
        numbers.insert(t_.number(id).bdf);
        for (const Requester as : t_.requesters(id)) numbers.insert(as.bdf);
      }
      if (region.functions.empty())
        due.insert(fact("of a segment", region.segment, region.first, region.last));
      for (const SeenFunction& f : view_.functions()) {
        if (f.segment != region.segment) continue;
        auto own = view_.requests(f);
        own.insert(f.bdf);
        for (const std::uint16_t as : own)
          if (region.functions.empty() || numbers.contains(as))
            due.insert(fact(region.exclusion ? "excluded" : "reserved",
                            std::uint64_t{f.segment} << 16 | as, region.first, region.last));
      }
    }
    return due;
  }

  const Topology& t_;
  const Format format_;
  const GuestView view_;
  const std::unique_ptr<LinuxGuest> guest_;
};

[[nodiscard]] bool plug_all(Topology& t, bool last_first) {
  bool any = false;
  // Until nothing comes any more: bridges go before what is below them.
  for (bool more = true; more; any |= more) {
    more = false;
    for (std::uint32_t i = 0; i < t.functions(); ++i) {
      const FunctionId id{last_first ? t.functions() - 1 - i : i};
      if (!t[id].present && t.plug(id)) more = true;
    }
  }
  return any;
}

// Another goes into every slot for which two were declared.
[[nodiscard]] bool swap_declared(Topology& t) {
  bool swapped = false;
  for (std::uint32_t i = 0; i < t.functions(); ++i)
    for (std::uint32_t k = 0; k < t.functions(); ++k)
      if (t[{i}].present && !t[{k}].present && t.number({i}) == t.number({k})) {
        (void)t.unplug({i});
        swapped = t.plug({k}).ok() || swapped;
        break;
      }
  return plug_all(t, true) || swapped;
}

// Moves every bus that is not a root's, as a guest may.
void renumber(Topology& t) {
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    if (!is_bridge(t[{i}].kind)) continue;
    const auto moved = [](std::uint8_t bus) { return static_cast<std::uint8_t>(bus + 0x40); };
    (void)t.renumber({i}, moved(t[{i}].secondary), moved(t[{i}].subordinate));
  }
}

[[nodiscard]] Untruth judge(const Topology& t, Format format, Bytes table, bool with_facts) {
  const Judge judge(t, format, table);
  if (auto wrong = judge.first()) return wrong;
  return with_facts ? judge.of_facts() : std::nullopt;
}

}  // namespace

std::uint64_t name_of(const Topology& t, std::uint32_t unit, Format format) {
  const UnitPlace& place = t.units()[unit];
  if (format != Format::kViot || !place.function) return place.register_base;
  const Requester at = t.number(*place.function);
  return std::uint64_t{at.segment} << 16 | at.bdf;
}

Untruth untruth(const Topology& machine, Format format, Bytes table, bool with_facts) {
  if (auto wrong = judge(machine, format, table, with_facts)) return wrong;
  Topology other = machine;
  bool changed = plug_all(other, false);
  if (format == Format::kDmar) {
    renumber(other);
    changed = true;
  }
  if (changed)
    if (auto wrong = judge(other, format, table, with_facts)) return "plugged: " + *wrong;
  other = machine;
  if (swap_declared(other))
    if (auto wrong = judge(other, format, table, with_facts)) return "swapped: " + *wrong;
  if (!with_facts) return std::nullopt;
  const GuestView view(machine);
  const std::string wrong =
      difference(linux_guest(format, table, view)->names(), names_due(machine, format));
  return wrong.empty() ? std::nullopt : Untruth(wrong);
}

Result<std::vector<std::byte>, std::string> build(const Topology& machine, Format format) {
  switch (format) {
    case Format::kDmar:
      return vtd::build_dmar_for(machine);
    case Format::kIvrs:
      return amdvi::build_ivrs_for(machine);
    case Format::kViot:
      return virtio_iommu::build_viot_for(machine);
  }
  return Failure{std::string()};
}

}  // namespace weir::truth
