// SPDX-License-Identifier: Apache-2.0
//
// The second reading can find fault: whatever is taken out of a table that tells the truth, it no
// longer does; so does a table with one field changed for the worse, of each kind that iasl cannot
// read. Nothing in weir's tables is there for nothing.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/truth/random_machine.h"
#include "tests/truth/scribe.h"
#include "tests/truth/truth.h"

namespace weir::truth {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned kTables = 150;
#else
constexpr unsigned kTables = 3000;
#endif

template <typename Body>
void for_built(unsigned seed, const Body& body) {
  std::mt19937 random(seed);
  for (unsigned i = 0; i < kTables; ++i) {
    const auto format = static_cast<Format>(i % 3);
    const Topology machine = random_machine(random, format);
    if (const auto bytes = build(machine, format)) body(machine, format, *bytes, random);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// Nothing is lost with an entry that selects one number when another entry of the same unit names
// that number too: as what requests of a function with an alias bear, as an interrupt source's or
// as that of a device of ACPI. The guest gives it the same device table entry either way.
[[nodiscard]] bool is_named_twice(Format format, Bytes table, const Place& part) {
  if (format != Format::kIvrs) return false;
  const auto names = [](const IvrsReading::Entry& e, std::uint16_t number) {
    constexpr std::uint8_t kAlias = 0x42, kSpecial = 0x48, kAcpi = 0xf0;
    return ((e.type == kAlias || e.type == kSpecial) && e.source == number) ||
           (e.type == kAcpi && e.device == number);
  };
  constexpr std::uint8_t kSelect = 2;
  for (const auto& unit : read_ivrs_again(table).units)
    for (const auto& e : unit.entries)
      if (unit.place.at == part.inside && e.place.at == part.at && e.type == kSelect)
        return std::ranges::any_of(unit.entries,
                                   [&](const auto& other) { return names(other, e.device); });
  return false;
}

TEST(SeededTables, WithoutAnyPartTheyLie) {
  std::map<Format, unsigned> parts;
  unsigned twice = 0;
  for_built(7, [&](const Topology& machine, Format format, const std::vector<std::byte>& bytes,
                   std::mt19937&) {
    for (const Place& part : parts_of(format, bytes)) {
      const auto lie = untruth(machine, format, without(format, bytes, part));
      if (is_named_twice(format, bytes, part)) {
        ++twice;
        ASSERT_FALSE(lie) << "the part at " << part.at << ": " << *lie;
        continue;
      }
      ++parts[format];
      ASSERT_TRUE(lie) << static_cast<int>(format) << ": the part at " << part.at
                       << " says nothing";
    }
  });
  EXPECT_EQ(parts.size(), 3U);
  for (const auto& [format, count] : parts) EXPECT_GT(count, kTables / 2);
  EXPECT_GE(twice, kTables / 100);
  EXPECT_LT(twice, parts[Format::kIvrs] / 20);
}

// What is changed, and where in the structure.
struct Fault {
  const char* name;
  Format format;
  // The offset of the byte to change in the table, 0: not in this one.
  std::size_t (*where)(Bytes table);
};

[[nodiscard]] std::size_t in_structure(Bytes table, std::uint16_t type, std::size_t offset) {
  for (const auto& s : read_dmar_again(table).structures)
    if (s.type == type) return s.place.at + offset;
  return 0;
}
[[nodiscard]] std::size_t in_scope(Bytes table, std::uint16_t type, std::size_t offset) {
  for (const auto& s : read_dmar_again(table).structures)
    if (s.type == type && !s.scopes.empty()) return s.scopes.front().place.at + offset;
  return 0;
}
[[nodiscard]] std::size_t in_unit_scope(Bytes table, std::uint8_t type, std::size_t offset) {
  for (const auto& s : read_dmar_again(table).structures)
    for (const auto& scope : s.scopes)
      if (s.type == 0 && scope.type == type) return scope.place.at + offset;
  return 0;
}
[[nodiscard]] std::size_t in_entry(Bytes table, std::uint8_t unit, std::uint8_t type,
                                   std::size_t offset) {
  for (const auto& u : read_ivrs_again(table).units)
    for (const auto& e : u.entries)
      if (u.type == unit && e.type == type) return e.place.at + offset;
  return 0;
}
[[nodiscard]] std::size_t in_node(Bytes table, std::uint8_t type, std::size_t offset) {
  for (const auto& node : read_viot_again(table).nodes)
    if (node.type == type) return node.place.at + offset;
  return 0;
}

const Fault kFaults[] = {
    {"segment of a SATC", Format::kDmar, [](Bytes t) { return in_structure(t, 5, 6); }},
    {"path of a SATC", Format::kDmar, [](Bytes t) { return in_scope(t, 5, 6); }},
    {"segment of a SIDP", Format::kDmar, [](Bytes t) { return in_structure(t, 6, 6); }},
    {"properties of a SIDP", Format::kDmar, [](Bytes t) { return in_scope(t, 6, 2); }},
    {"start bus of an ATSR", Format::kDmar, [](Bytes t) { return in_scope(t, 2, 5); }},
    {"node of an RHSA", Format::kDmar, [](Bytes t) { return in_structure(t, 3, 16); }},
    {"limit of an RMRR", Format::kDmar, [](Bytes t) { return in_structure(t, 1, 17); }},
    {"number of an ANDD", Format::kDmar, [](Bytes t) { return in_structure(t, 4, 7); }},
    {"name of an ANDD", Format::kDmar, [](Bytes t) { return in_structure(t, 4, 9); }},
    {"number of a device of ACPI", Format::kDmar, [](Bytes t) { return in_unit_scope(t, 5, 7); }},
    {"id of an I/O APIC", Format::kDmar, [](Bytes t) { return in_unit_scope(t, 3, 4); }},
    {"number of an HPET", Format::kDmar, [](Bytes t) { return in_unit_scope(t, 4, 4); }},
    {"number of a device in a 40h", Format::kIvrs,
     [](Bytes t) { return in_entry(t, 0x40, 0xf0, 1); }},
    {"HID in a 40h", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x40, 0xf0, 5); }},
    {"UID format in a 40h", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x40, 0xf0, 20); }},
    {"select in a 40h", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x40, 2, 1); }},
    {"alias in a 40h", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x40, 0x42, 5); }},
    {"alias in a 10h", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x10, 0x42, 5); }},
    {"handle of an I/O APIC", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x11, 0x48, 4); }},
    {"variety of a special entry", Format::kIvrs,
     [](Bytes t) { return in_entry(t, 0x11, 0x48, 7); }},
    {"end of a range", Format::kIvrs, [](Bytes t) { return in_entry(t, 0x11, 4, 2); }},
    {"first function of a VIOT", Format::kViot, [](Bytes t) { return in_node(t, 1, 13); }},
    {"last segment of a VIOT", Format::kViot, [](Bytes t) { return in_node(t, 1, 9); }},
    {"unit of a range", Format::kViot, [](Bytes t) { return in_node(t, 1, 16); }},
    {"address of an endpoint", Format::kViot, [](Bytes t) { return in_node(t, 2, 9); }},
    {"function of a PCI unit", Format::kViot, [](Bytes t) { return in_node(t, 3, 6); }},
    {"address of an MMIO unit", Format::kViot, [](Bytes t) { return in_node(t, 4, 9); }},
};

TEST(SeededTables, WithOneFieldWrongTheyLie) {
  std::map<std::string, unsigned> tried;
  for_built(8, [&](const Topology& machine, Format format, const std::vector<std::byte>& bytes,
                   std::mt19937&) {
    for (const Fault& fault : kFaults) {
      if (fault.format != format) continue;
      const std::size_t at = fault.where(bytes);
      if (at == 0) continue;
      ++tried[fault.name];
      std::vector<std::byte> wrong = bytes;
      wrong[at] ^= std::byte{0x40};
      seal(wrong);
      ASSERT_TRUE(untruth(machine, format, wrong)) << fault.name << " at " << at;
    }
  });
  for (const Fault& fault : kFaults) {
    EXPECT_GE(tried[fault.name], kTables / 300) << fault.name;
  }
}

}  // namespace
}  // namespace weir::truth
