// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/acpi/random_machine.h"

#include <map>

#include "vendors/virtio_iommu/viot.h"

namespace weir::tools::acpi::test {
namespace {

class Maker {
 public:
  Maker(std::mt19937& random, Format format) : random_(random), format_(format) {}

  [[nodiscard]] Topology run() {
    const unsigned roots = 1 + pick(3);
    for (unsigned i = 0; i < roots; ++i)
      topology_.add(RootBus{.segment = static_cast<std::uint16_t>(i == 2 ? 1 : 0),
                            .bus = static_cast<std::uint8_t>(i == 1 ? 0x80 : 0)});
    units_ = 1 + pick(3);
    next_bus_[0] = 1;
    next_bus_[1] = 0x81;
    next_bus_[2] = 1;
    place_units();
    // Wild machines wish at random; tame ones wish a tree at a time.
    wild_ = pick(2) == 0;
    for (unsigned i = 0, many = 1 + pick(5); i < many; ++i) add_tree(pick(roots));
    return std::move(topology_);
  }

 private:
  [[nodiscard]] unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  [[nodiscard]] bool one_in(unsigned n) { return pick(n) == 0; }

  // Units of an IVRS and some of a VIOT are functions, which bypass themselves.
  void place_units() {
    for (unsigned u = 0; u < units_; ++u) {
      // Segment 1 has a unit only where it has a bus.
      const unsigned root = u == 2 && topology_.roots().size() == 3 ? 2 : 0;
      UnitPlace unit{.register_base = 0xfed90000 + u * 0x1000U,
                     .segment = topology_.roots()[root].segment};
      if (format_ == Format::kIvrs || (format_ == Format::kViot && one_in(2))) {
        unit.function =
            topology_.add(Function{.root = root, .devfn = static_cast<std::uint8_t>(1 + u)});
        if (format_ == Format::kViot)
          unit.register_base = virtio_iommu::name_of_pci(topology_.number(*unit.function));
      } else {
        unit.takes_rest = one_in(6);
      }
      topology_.add(std::move(unit));
    }
  }

  [[nodiscard]] Wish any_wish(std::uint16_t segment) {
    if (one_in(2)) return Wish::bypass();
    const unsigned unit = pick(units_);
    // Now and then a unit of another segment is wished for.
    if (topology_.units()[unit].segment != segment && !one_in(8)) return Wish::bypass();
    return Wish::unit(unit);
  }

  void add_tree(unsigned root) {
    const Wish wish = any_wish(topology_.roots()[root].segment);
    const std::uint8_t slot = next_slot_[root];
    if (slot > 30) return;
    next_slot_[root] = static_cast<std::uint8_t>(slot + 1);
    const unsigned functions = one_in(3) ? 1 + pick(3) : 1;
    for (unsigned f = 0; f < functions; ++f) add_function(root, std::nullopt, slot, f, wish, 0);
  }

  void add_function(unsigned root, std::optional<FunctionId> bridge, unsigned device,
                    unsigned function, Wish wish, unsigned depth) {
    Function made{.root = root,
                  .bridge = bridge,
                  .devfn = static_cast<std::uint8_t>(device << 3 | function),
                  .wish = wild_ && one_in(3) ? any_wish(topology_.roots()[root].segment) : wish};
    made.present = bridge ? topology_[*bridge].present : !one_in(8);
    const bool conventional =
        bridge && (topology_[*bridge].kind == FunctionKind::kPcieToPciBridge ||
                   topology_[*bridge].kind == FunctionKind::kPciBridge);
    if (depth < 3 && one_in(3)) {
      made.kind = conventional ? FunctionKind::kPciBridge
                  : bridge
                      ? (one_in(2) ? FunctionKind::kPcieToPciBridge : FunctionKind::kDownstreamPort)
                      : (one_in(4) ? FunctionKind::kPciBridge : FunctionKind::kRootPort);
      // A bridge that bypasses may have anything below; its own wish is then another's.
      if (!wild_ && made.kind != FunctionKind::kPciBridge && one_in(2)) made.wish = Wish::bypass();
      made.secondary = next_bus_[root]++;
      const FunctionId id = topology_.add(made);
      for (unsigned i = 0, many = pick(3); i < many; ++i)
        add_function(root, id, i * (1 + pick(2)), 0, wish, depth + 1);
      // Buses are given out depth first.
      (void)topology_.renumber(id, topology_[id].secondary,
                               static_cast<std::uint8_t>(next_bus_[root] - 1));
      return;
    }
    made.kind = conventional ? FunctionKind::kConventional
                : bridge     ? FunctionKind::kEndpoint
                             : FunctionKind::kIntegrated;
    if (!conventional && function == 0 && one_in(6))
      made.phantom_bits = static_cast<std::uint8_t>(1 + pick(2));
    const FunctionId id = topology_.add(made);
    if (!conventional && bridge && made.phantom_bits == 0 && one_in(4)) {
      Function virtual_one = made;
      virtual_one.devfn = static_cast<std::uint8_t>(0x80 | made.devfn);
      virtual_one.physical = id;
      if (wild_ && one_in(2)) virtual_one.wish = any_wish(topology_.roots()[root].segment);
      topology_.add(std::move(virtual_one));
    }
  }

  std::mt19937& random_;
  Format format_;
  Topology topology_;
  unsigned units_ = 1;
  bool wild_ = false;
  std::map<unsigned, std::uint8_t> next_bus_;
  std::map<unsigned, std::uint8_t> next_slot_{{0, 2}, {1, 2}, {2, 2}};
};

[[nodiscard]] std::optional<std::uint32_t> unit_of(const Topology& t, std::uint32_t i) {
  const Wish wish = t[{i}].wish;
  return wish.kind == Wish::Kind::kUnit ? std::optional(wish.index) : std::nullopt;
}

}  // namespace

Topology random_machine(std::mt19937& random, Format format) { return Maker(random, format).run(); }

std::vector<Seen> seen_functions(const Topology& t) {
  std::vector<Seen> seen;
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    const Function& f = t[{i}];
    if (!f.present) continue;
    Seen one{.segment = t.number({i}).segment,
             .bdf = t.number({i}).bdf,
             .bridge = is_bridge(f.kind),
             .secondary = f.secondary,
             .subordinate = f.subordinate};
    if (f.physical) one.physical = t.number(*f.physical).bdf;
    for (const Requester as : t.requesters({i})) one.requesters.insert(as.bdf);
    seen.push_back(std::move(one));
  }
  return seen;
}

std::string why_not(const Topology& t, Format format) {
  std::map<std::pair<unsigned, unsigned>, std::uint32_t> by_number;
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    const auto unit = unit_of(t, i);
    const std::uint16_t segment = t.number({i}).segment;
    for (const Requester as : t.requesters({i})) {
      const auto [other, first] = by_number.emplace(std::pair(as.segment, as.bdf), i);
      if (!first && t[{other->second}].wish != t[{i}].wish) return "one number, two wishes";
    }
    for (std::uint32_t u = 0; u < t.units().size(); ++u) {
      if (t.units()[u].takes_rest && t.units()[u].segment == segment && !unit)
        return "the rest bypasses";
      for (std::uint32_t v = 0; v < u; ++v)
        if (t.units()[u].takes_rest && t.units()[v].takes_rest &&
            t.units()[u].segment == t.units()[v].segment)
          return "two rests";
    }
    if (unit && format != Format::kViot && t.units()[*unit].segment != segment)
      return "another segment";
    if (format == Format::kDmar) {
      if (t[{i}].physical && t[*t[{i}].physical].wish != t[{i}].wish) return "virtual function";
      for (auto above = t[{i}].bridge; above; above = t[*above].bridge)
        if (unit_of(t, above->value) && t[*above].wish != t[{i}].wish) return "below a bridge";
    }
  }
  return {};
}

}  // namespace weir::tools::acpi::test
