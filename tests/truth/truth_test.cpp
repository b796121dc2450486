// SPDX-License-Identifier: Apache-2.0
//
// Tables tell the truth: what a guest finds in the bytes is what was wished, for every random
// machine whose wishes can be had, also after slots were filled and buses numbered anew; and where
// there are no bytes, none of the kind could say it.
#include "tests/truth/truth.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <map>
#include <span>

#include "tests/truth/random_machine.h"
#include "tests/truth/scribe.h"

namespace weir::truth {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned kPart = 50;
#else
constexpr unsigned kPart = 1;
#endif
// The shards run side by side; together 100 000.
constexpr unsigned kShards = 4;
constexpr unsigned kMachines = 100'000 / kShards / kPart;

constexpr const char* kNames[] = {"DMAR", "IVRS", "VIOT"};

// What is refused though one by one it could be written: rules that are not about who is covered.
[[nodiscard]] bool is_a_rule(const std::string& reason) {
  return reason == "two rests"                  // VT-d 8.3: one INCLUDE_PCI_ALL to a segment
         || reason == "one number, two wishes"  // of bypass and windows: not for bytes to tell
         || reason == "a region of another kind" || reason == "a region of part of a page" ||
         reason == "a region of another segment";  // VT-d 8.4, 48882 5.2.3
}

struct Census {
  unsigned built = 0;
  std::map<std::string, unsigned> classes, refused;
  std::map<std::string, unsigned> functions;  // by their wish, of machines that were built
  std::map<std::string, unsigned> by_rule;    // refused though some bytes would say it

  void print(std::ostream& out, Format format, unsigned of) const {
    out << kNames[static_cast<int>(format)] << ": " << of << " machines, " << built << " built\n";
    for (const auto* const counts : {&functions, &classes, &refused, &by_rule}) {
      const char* const title = counts == &functions ? "functions that wish"
                                : counts == &classes ? "built, with"
                                : counts == &refused ? "refused"
                                                     : "of them by rule alone";
      for (const auto& [what, times] : *counts)
        out << "  " << std::setw(7) << times << "  " << title << ": " << what << "\n";
    }
  }
};

void count(const Topology& t, Census& census) {
  ++census.built;
  for (const std::string& one : classes(t)) ++census.classes[one];
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    const Wish::Kind kind = t[{i}].wish.kind;
    ++census.functions[kind == Wish::Kind::kBypass ? "bypass"
                       : kind == Wish::Kind::kUnit ? "a unit"
                                                   : "a window"];
  }
}

// Kinds of machines that have to have been built often.
constexpr const char* kOfAll[] = {"a function that bypasses",
                                  "a function with a window",
                                  "a function behind a unit",
                                  "a slot declared ahead",
                                  "two declared for one slot",
                                  "ARI",
                                  "a virtual function",
                                  "phantom functions behind a unit",
                                  "phantom functions that bypass",
                                  "another number by a quirk",
                                  "another number by a bridge",
                                  "one device with several wishes",
                                  "one group with several wishes",
                                  "several segments",
                                  "units on several root buses",
                                  "a device of ACPI behind a unit",
                                  "a device of ACPI that bypasses",
                                  "an interrupt source under none"};
constexpr const char* kOfDmar[] = {"an I/O APIC under a unit",
                                   "an HPET under a unit",
                                   "a unit that takes the rest",
                                   "a reserved region",
                                   "RHSA",
                                   "ATSR",
                                   "SATC",
                                   "SIDP"};
constexpr const char* kOfIvrs[] = {"an I/O APIC under a unit", "an HPET under a unit",
                                   "a unit that is a function", "a reserved region"};
constexpr const char* kOfViot[] = {"a unit that takes the rest", "a unit that is a function"};
constexpr unsigned kOften = 100;
// And every reason to refuse.
constexpr unsigned kReasons[] = {12, 15, 7};

void expect_each(std::map<Format, Census>& census) {
  const auto expect_often = [](Census& of, std::span<const char* const> kinds) {
    for (const char* const kind : kinds) EXPECT_GE(of.classes[kind], kOften) << kind;
  };
  for (auto& [format, of] : census) {
    expect_often(of, kOfAll);
    expect_often(of, format == Format::kDmar   ? std::span<const char* const>(kOfDmar)
                     : format == Format::kIvrs ? std::span<const char* const>(kOfIvrs)
                                               : std::span<const char* const>(kOfViot));
    EXPECT_EQ(of.refused.size(), kReasons[static_cast<int>(format)])
        << kNames[static_cast<int>(format)];
  }
}

// For whoever has to find out why.
[[nodiscard]] std::string shown(const Topology& t) {
  std::string text;
  const auto wish = [](Wish w) {
    return std::string("-uw").substr(static_cast<std::size_t>(w.kind), 1) +
           (w.kind == Wish::Kind::kBypass ? "" : std::to_string(w.index));
  };
  for (const UnitPlace& unit : t.units())
    text += "unit " + std::to_string(unit.register_base) + " of segment " +
            std::to_string(unit.segment) + (unit.takes_rest ? " takes the rest\n" : "\n");
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    const Function& f = t[{i}];
    text += t.name({i}) + " as " + to_string(t.requester({i})) + " kind " +
            std::to_string(static_cast<int>(f.kind)) + " bus " + std::to_string(f.secondary) + "-" +
            std::to_string(f.subordinate) + (f.present ? " " : " absent ") +
            (f.physical ? "virtual " : "") + wish(f.wish) + "\n";
  }
  for (const NamedDevice& d : t.named_devices())
    text +=
        d.path + " " + d.hid + " " + d.uid + " as " + to_string(d.as) + " " + wish(d.wish) + "\n";
  for (const InterruptSource& s : t.interrupt_sources())
    text += "source " + std::to_string(s.id) + " as " + to_string(s.as) +
            (s.unit ? " u" + std::to_string(*s.unit) : " -") + "\n";
  return text;
}

class Truth : public ::testing::TestWithParam<unsigned> {};

TEST_P(Truth, WhatAGuestFindsIsWhatWasWished) {
  std::mt19937 random(20161 + GetParam());
  std::map<Format, Census> census;
  for (unsigned i = 0; i < kMachines; ++i) {
    const auto format = static_cast<Format>(i % 3);
    const Topology machine = random_machine(random, format);
    const auto good = machine.check();
    ASSERT_TRUE(good) << good.error();
    const std::string reason = why_not(machine, format);
    const auto bytes = build(machine, format);
    ASSERT_EQ(bytes.ok(), reason.empty())
        << shown(machine) << kNames[i % 3] << " " << i << ": " << (bytes ? reason : bytes.error());
    if (bytes) {
      const auto wrong = untruth(machine, format, *bytes);
      ASSERT_FALSE(wrong) << shown(machine) << kNames[i % 3] << " " << i << ": " << *wrong;
      count(machine, census[format]);
    } else {
      ++census[format].refused[reason];
    }
    // The other direction: the most exact bytes that there are say what is wished just where weir
    // has some.
    const auto exact = written_one_by_one(machine, format);
    const auto lies = exact ? untruth(machine, format, *exact, false) : "there is no place for it";
    if (bytes) {
      ASSERT_FALSE(lies) << shown(machine) << kNames[i % 3] << " " << i << ": " << *lies;
    } else if (!lies) {
      ASSERT_TRUE(is_a_rule(reason)) << shown(machine) << kNames[i % 3] << " " << i
                                     << ": refused, but it can be said: " << bytes.error();
      ++census[format].by_rule[reason];
    }
  }
  for (const auto& [format, counted] : census) {
    counted.print(std::cout, format, kMachines / 3);
    if (kPart != 1) continue;
    EXPECT_GT(counted.built, kMachines / 3 * 2 / 5);
    for (const auto& [reason, times] : counted.refused) EXPECT_GE(times, 10U) << reason;
  }
  if (kPart != 1) return;
  expect_each(census);
}

INSTANTIATE_TEST_SUITE_P(Shards, Truth, ::testing::Range(0U, kShards));

}  // namespace
}  // namespace weir::truth
