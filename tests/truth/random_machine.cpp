// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/random_machine.h"

#include "vendors/virtio_iommu/viot.h"

namespace weir::truth {
namespace {

constexpr std::uint8_t kVirtual = 0x80;  // set in the function numbers of virtual functions

class Maker {
 public:
  Maker(std::mt19937& random, Format format) : random_(random), format_(format) {}

  [[nodiscard]] Topology run() {
    const unsigned roots = 1 + pick(3);
    // Endpoint ids of a VIOT begin with the segment, and high ones meet those of other devices.
    other_segment_ = static_cast<std::uint16_t>(one_in(4) ? 0x8000 : 1);
    for (unsigned i = 0; i < roots; ++i)
      t_.add(RootBus{.segment = i == 2 ? other_segment_ : std::uint16_t{0},
                     .bus = static_cast<std::uint8_t>(i == 1 ? 0x80 : 0)});
    next_bus_ = {{0, 1}, {1, 0x81}, {2, 1}};
    wild_ = pick(5) < 2;
    for (int i = 0; i < 2; ++i) t_.add(WindowPlace{.bytes = 0x10000});
    units_ = 1 + pick(3);
    for (unsigned u = 0; u < units_; ++u) place_unit(u, pick(roots));
    for (unsigned i = 0, many = 1 + pick(4); i < many; ++i) add_tree(pick(roots));
    for (unsigned i = 0, many = pick(3); i < many; ++i) add_named(i, pick(roots));
    for (unsigned i = 0, many = pick(3); i < many; ++i) add_source(i, pick(roots));
    if (one_in(4)) add_region(segment_of(pick(roots)));
    return std::move(t_);
  }

 private:
  [[nodiscard]] unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  [[nodiscard]] bool one_in(unsigned n) { return pick(n) == 0; }
  // What nobody should do.
  [[nodiscard]] bool oddly(unsigned n) { return wild_ && one_in(n); }
  [[nodiscard]] std::uint16_t segment_of(unsigned root) const { return t_.roots()[root].segment; }

  // Units of an IVRS and some of a VIOT are functions, which bypass themselves.
  void place_unit(unsigned u, unsigned root) {
    UnitPlace unit{.register_base = 0xfed90000 + u * 0x1000U, .segment = segment_of(root)};
    if (one_in(4)) unit.proximity = pick(4);
    const bool is_function = format_ == Format::kIvrs   ? !oddly(40)
                             : format_ == Format::kViot ? one_in(2)
                                                        : false;
    if (is_function) {
      unit.function = t_.add(Function{.root = root,
                                      .devfn = static_cast<std::uint8_t>(1 + u),
                                      .wish = oddly(20) ? Wish::unit(u) : Wish::bypass()});
      if (format_ == Format::kViot)
        unit.register_base = virtio_iommu::name_of_pci(t_.number(*unit.function));
      if (oddly(10)) unit.segment = segment_of(pick(static_cast<unsigned>(t_.roots().size())));
    }
    unit.takes_rest = one_in(is_function && unit.segment == segment_of(root) ? 12 : 5);
    if (unit.takes_rest && !one_in(8)) rest_[unit.segment] = u;
    t_.add(std::move(unit));
  }

  [[nodiscard]] Wish any_wish(std::uint16_t segment) {
    if (const auto rest = rest_.find(segment); rest != rest_.end() && !oddly(8))
      return Wish::unit(one_in(4) ? unit_in(segment).value_or(rest->second) : rest->second);
    switch (pick(8)) {
      case 0:
        return Wish::window(pick(2));
      case 1:
      case 2:
      case 3:
        return Wish::bypass();
      default:
        if (oddly(10)) return Wish::unit(pick(units_));
        if (const auto unit = unit_in(segment)) return Wish::unit(*unit);
        return Wish::bypass();
    }
  }
  [[nodiscard]] std::optional<unsigned> unit_in(std::uint16_t segment) {
    const unsigned unit = pick(units_);
    // A unit of a VIOT serves any.
    if (t_.units()[unit].segment == segment || (format_ == Format::kViot && one_in(2))) return unit;
    return std::nullopt;
  }

  void add_tree(unsigned root) {
    const Wish wish = any_wish(segment_of(root));
    const unsigned slot = next_slot_[root]++;
    if (oddly(8)) return add_changelings(root, slot);
    const unsigned functions = one_in(3) ? 1 + pick(3) : 1;
    for (unsigned f = 0; f < functions; ++f)
      add_function(root, std::nullopt, static_cast<std::uint8_t>(slot << 3 | f), false, wish, 0);
  }

  // Two functions by a quirk each: one asks as the other is called, which asks as nobody is.
  void add_changelings(unsigned root, unsigned slot) {
    const unsigned first = t_.roots()[root].bus << 8U | slot << 3;
    for (unsigned f = 0; f < 2; ++f)
      t_.add(Function{.root = root,
                      .devfn = static_cast<std::uint8_t>(slot << 3 | f),
                      .wish = any_wish(segment_of(root)),
                      .alias = static_cast<std::uint16_t>(first | (f == 0 ? 1 : 7))});
  }

  void add_function(unsigned root, std::optional<FunctionId> bridge, std::uint8_t devfn, bool ari,
                    Wish wish, unsigned depth) {
    Function made{.root = root, .bridge = bridge, .devfn = devfn, .ari = ari};
    made.wish = wild_ && one_in(3) ? any_wish(segment_of(root)) : wish;
    made.present = bridge ? t_[*bridge].present : !one_in(8);
    made.isolates = !one_in(4);
    const bool conventional = bridge && (t_[*bridge].kind == FunctionKind::kPcieToPciBridge ||
                                         t_[*bridge].kind == FunctionKind::kPciBridge);
    const bool is_bridge = !ari && depth < 3 && one_in(3);
    if (!bridge && one_in(10)) declare_another(made, is_bridge != oddly(3));
    if (is_bridge)
      add_bridge(made, conventional, wish, depth);
    else
      add_endpoint(made, conventional);
  }

  // Another that may come into the same slot.
  void declare_another(Function made, bool is_bridge) {
    made.present = false;
    made.kind = FunctionKind::kIntegrated;
    if (is_bridge) {
      made.kind = FunctionKind::kRootPort;
      made.secondary = made.subordinate = next_bus_[made.root]++;
    }
    t_.add(std::move(made));
  }

  void add_bridge(Function made, bool conventional, Wish wish, unsigned depth) {
    const unsigned root = made.root;
    made.kind = conventional ? FunctionKind::kPciBridge
                : made.bridge
                    ? (one_in(2) ? FunctionKind::kPcieToPciBridge : FunctionKind::kDownstreamPort)
                    : (one_in(4) ? FunctionKind::kPciBridge : FunctionKind::kRootPort);
    const bool port =
        made.kind == FunctionKind::kRootPort || made.kind == FunctionKind::kDownstreamPort;
    // A bridge that bypasses may have anything below.
    const bool open = !wild_ && port && one_in(2) && !rest_.contains(segment_of(root));
    if (open) made.wish = Wish::bypass();
    made.secondary = next_bus_[root]++;
    const FunctionId id = t_.add(made);
    const bool ari = port && one_in(3);
    for (unsigned i = 0, many = pick(3); i < many; ++i)
      add_function(root, id,
                   static_cast<std::uint8_t>(ari ? i * (9 + pick(40)) : i * (1 + pick(2)) << 3),
                   ari, open && one_in(2) ? any_wish(segment_of(root)) : wish, depth + 1);
    // Buses are given out depth first.
    (void)t_.renumber(id, t_[id].secondary, static_cast<std::uint8_t>(next_bus_[root] - 1));
  }

  [[nodiscard]] bool has_way_for_ats(const Function& f) const {
    if (!f.bridge) return true;
    auto above = f.bridge;
    for (;; above = t_[*above].bridge) {
      if (t_[*above].kind == FunctionKind::kRootPort) return !t_[*above].bridge;
      if (t_[*above].kind != FunctionKind::kDownstreamPort || !t_[*above].bridge) return false;
    }
  }

  void add_endpoint(Function made, bool conventional) {
    made.kind = conventional  ? FunctionKind::kConventional
                : made.bridge ? FunctionKind::kEndpoint
                              : FunctionKind::kIntegrated;
    const bool virtual_too = !conventional && made.bridge && one_in(4);
    if (!conventional && !virtual_too && !made.ari && (made.devfn & 7) == 0 && one_in(6))
      made.phantom_bits = static_cast<std::uint8_t>(1 + pick(2));
    if (!conventional && has_way_for_ats(made)) {
      made.ats = one_in(4);
      made.system_on_chip = one_in(6);
      if (!made.bridge && one_in(8))
        made.integrated_properties = static_cast<std::uint8_t>(1 + pick(31));
    }
    if (!virtual_too && made.phantom_bits == 0 && one_in(12)) {
      const Requester at{
          0, static_cast<std::uint16_t>(
                 (made.bridge ? t_[*made.bridge].secondary : t_.roots()[made.root].bus) << 8 |
                 made.devfn)};
      made.alias = oddly(2) ? static_cast<std::uint16_t>(at.bdf ^ (1 + pick(2)))
                            : static_cast<std::uint16_t>((at.bdf & 0xff00) | 0xf8 | (at.bdf & 7));
    }
    const FunctionId id = t_.add(made);
    if (!virtual_too) return;
    made.devfn |= kVirtual;
    made.physical = id;
    made.integrated_properties = 0;
    if (oddly(2)) made.wish = any_wish(segment_of(made.root));
    t_.add(std::move(made));
  }

  [[nodiscard]] std::uint16_t unused_or_taken(unsigned root, unsigned device, unsigned i) {
    if (oddly(5)) {
      const FunctionId taken{pick(t_.functions())};
      if (t_.number(taken).segment == segment_of(root)) return t_.number(taken).bdf;
    }
    return static_cast<std::uint16_t>(t_.roots()[root].bus << 8 | device << 3 | i);
  }

  void add_named(unsigned i, unsigned root) {
    NamedDevice device{.path = "\\_SB.DEV" + std::to_string(i), .hid = "WEIR0001"};
    device.as = {segment_of(root), unused_or_taken(root, 0x1d, i)};
    device.wish = oddly(8) ? Wish::unit(pick(units_)) : any_wish(segment_of(root));
    if (!oddly(6)) device.mmio = 0x9060000 + i * 0x1000;
    device.uid = std::to_string(oddly(3) ? 0 : i);
    if (oddly(5)) device.uid.clear();
    if (oddly(8)) device.hid = one_in(2) ? "" : "WEIR00011";
    if (one_in(8)) device.hid = "WEIR0002", device.uid.clear();
    t_.add(std::move(device));
  }

  void add_source(unsigned i, unsigned root) {
    InterruptSource source{
        .kind = one_in(3) ? InterruptSource::Kind::kHpet : InterruptSource::Kind::kIoApic,
        .id = static_cast<std::uint8_t>(i + 2)};
    source.as = {segment_of(root), unused_or_taken(root, 0x1e, i)};
    if (format_ != Format::kViot ? !one_in(3) : oddly(6)) {
      source.unit = pick(units_);
      if (t_.units()[*source.unit].segment != source.as.segment && !oddly(4)) source.unit.reset();
    }
    t_.add(source);
  }

  void add_region(std::uint16_t segment) {
    ReservedRegion region{.segment = segment, .first = 0x7a000000, .last = 0x7a00ffff};
    region.exclusion = format_ == Format::kIvrs ? one_in(3) : oddly(10);
    for (unsigned i = 0; i < 3 && !(format_ != Format::kDmar && one_in(6)); ++i) {
      const FunctionId id{pick(t_.functions())};
      if (t_.number(id).segment == segment || oddly(3)) region.functions.push_back(id);
    }
    if (oddly(8)) region.last -= 5;
    if (region.functions.empty() && format_ == Format::kDmar && !oddly(3)) return;
    t_.add(std::move(region));
  }

  std::mt19937& random_;
  Format format_;
  Topology t_;
  unsigned units_ = 1;
  bool wild_ = false;
  std::uint16_t other_segment_ = 1;
  std::map<std::uint16_t, unsigned> rest_;  // by segment
  std::map<unsigned, std::uint8_t> next_bus_;
  std::map<unsigned, unsigned> next_slot_{{0, 2}, {1, 2}, {2, 2}};
};

}  // namespace

Topology random_machine(std::mt19937& random, Format format) { return Maker(random, format).run(); }

std::set<std::string> classes(const Topology& t) {
  using Kind = Wish::Kind;
  std::set<std::string> all;
  const auto note = [&all](bool has, const char* what) {
    if (has) all.insert(what);
  };
  std::set<std::uint16_t> segments;
  std::set<std::uint32_t> roots_of_units;
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    const Function& f = t[{i}];
    const bool unit = f.wish.kind == Kind::kUnit;
    segments.insert(t.number({i}).segment);
    note(f.wish.kind == Kind::kBypass, "a function that bypasses");
    note(f.wish.kind == Kind::kWindow, "a function with a window");
    note(unit, "a function behind a unit");
    note(!f.present, "a slot declared ahead");
    note(f.ari, "ARI");
    note(f.phantom_bits != 0 && unit, "phantom functions behind a unit");
    note(f.phantom_bits != 0 && !unit, "phantom functions that bypass");
    note(f.alias.has_value() && unit, "another number by a quirk");
    note(!f.alias && t.requester({i}) != t.number({i}) && unit, "another number by a bridge");
    note(f.physical.has_value(), "a virtual function");
    note(f.integrated_properties != 0, "SIDP");
    if (unit) roots_of_units.insert(f.root);
    note(f.ats && unit && (f.system_on_chip || !f.bridge), "SATC");
    note(f.ats && unit && !f.system_on_chip && f.bridge, "ATSR");
    for (std::uint32_t k = 0; k < i; ++k) {
      const bool slot = t.number({i}) == t.number({k});
      note(slot, "two declared for one slot");
      note(!slot && !f.ari && t[{k}].root == f.root && t[{k}].bridge == f.bridge &&
               t[{k}].devfn >> 3 == f.devfn >> 3 && t[{k}].wish.kind != f.wish.kind,
           "one device with several wishes");
    }
  }
  for (const auto& group : t.groups())
    for (const FunctionId id : group)
      note((t[id].wish.kind == Kind::kUnit) != (t[group.front()].wish.kind == Kind::kUnit),
           "one group with several wishes");
  note(segments.size() > 1, "several segments");
  note(roots_of_units.size() > 1, "units on several root buses");
  for (const UnitPlace& unit : t.units()) {
    note(unit.takes_rest, "a unit that takes the rest");
    note(unit.function.has_value(), "a unit that is a function");
    note(unit.proximity.has_value(), "RHSA");
  }
  for (const NamedDevice& device : t.named_devices()) {
    note(device.wish.kind == Kind::kUnit, "a device of ACPI behind a unit");
    note(device.wish.kind != Kind::kUnit, "a device of ACPI that bypasses");
  }
  for (const InterruptSource& source : t.interrupt_sources()) {
    const bool hpet = source.kind == InterruptSource::Kind::kHpet;
    note(source.unit && hpet, "an HPET under a unit");
    note(source.unit && !hpet, "an I/O APIC under a unit");
    note(!source.unit, "an interrupt source under none");
  }
  note(!t.reserved().empty(), "a reserved region");
  return all;
}

}  // namespace weir::truth
