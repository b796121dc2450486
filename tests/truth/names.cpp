// SPDX-License-Identifier: Apache-2.0
#include "tests/truth/names.h"

#include <algorithm>

#include "tests/truth/truth.h"

namespace weir::truth {
namespace {

[[nodiscard]] std::uint32_t number(std::uint16_t segment, std::uint16_t bdf) {
  return std::uint32_t{segment} << 16 | bdf;
}

// What guests ask for on behalf of a function: its own number and those that its requests bear; of
// a VIOT also each that they bear on their way.
[[nodiscard]] std::set<std::uint16_t> asked(const GuestView& view, const SeenFunction& function,
                                            Format format) {
  std::set<std::uint16_t> all = view.requests(function);
  all.insert(function.bdf);
  if (format == Format::kViot)
    for (const std::uint16_t as : view.aliases(function)) all.insert(as);
  return all;
}

[[nodiscard]] NumberRanges due_of(const Topology& t, std::uint32_t u, Format format,
                                  const GuestView& declared) {
  const UnitPlace& unit = t.units()[u];
  NumberRanges due;
  if (unit.takes_rest) due.add(number(unit.segment, 0), number(unit.segment, 0xffff));
  const auto each = [&](bool mine, const auto& body) {
    for (const SeenFunction& f : declared.functions())
      if ((t[{f.id}].wish == Wish::unit(u)) == mine)
        for (const std::uint16_t as : asked(declared, f, format)) body(number(f.segment, as));
  };
  // Ranges of a VIOT may not meet; those of an IVRS do, and the later ones stand.
  if (unit.takes_rest && format == Format::kViot)
    each(false, [&](std::uint32_t as) { due.remove(as); });
  each(true, [&](std::uint32_t as) { due.add(as, as); });
  return due;
}

}  // namespace

Names names_due(const Topology& t, Format format) {
  const GuestView declared(t, GuestView::Of::kDeclared);
  Names due;
  for (std::uint32_t u = 0; u < t.units().size() && format != Format::kDmar; ++u) {
    const NumberRanges functions = due_of(t, u, format, declared);
    const std::uint64_t name = name_of(t, u, format);
    if (format == Format::kViot) {
      due[{0, name}] = functions;
      continue;
    }
    NumberRanges sources = functions;
    for (const InterruptSource& s : t.interrupt_sources())
      if (s.unit == u) sources.add(number(s.as.segment, s.as.bdf), number(s.as.segment, s.as.bdf));
    NumberRanges devices = sources;
    for (const NamedDevice& d : t.named_devices())
      if (d.wish == Wish::unit(u))
        devices.add(number(d.as.segment, d.as.bdf), number(d.as.segment, d.as.bdf));
    due[{0x10, name}] = sources;
    due[{0x11, name}] = sources;
    // 48882 5.2.2: the first kind of unit that has entries for devices of ACPI, and needless
    // without them.
    if (std::ranges::any_of(t.named_devices(),
                            [](const NamedDevice& d) { return d.wish.kind == Wish::Kind::kUnit; }))
      due[{0x40, name}] = devices;
  }
  return due;
}

std::string difference(const Names& said, const Names& due) {
  const auto unit = [](const Names::key_type& of) {
    return "kind " + std::to_string(of.first) + " of unit " + std::to_string(of.second);
  };
  for (const auto& [of, numbers] : said) {
    const auto found = due.find(of);
    if (found == due.end()) return unit(of) + " is there";
    if (found->second != numbers) return unit(of) + " names others than it should";
  }
  for (const auto& [of, numbers] : due)
    if (!said.contains(of)) return unit(of) + " is not there";
  return {};
}

}  // namespace weir::truth
