// SPDX-License-Identifier: Apache-2.0
//
// Tables tell the truth: what a guest finds covered in the bytes is what was wished, for every
// random machine whose wishes can be had, also after its buses were numbered anew; and where they
// cannot, there are no bytes.
#include <gtest/gtest.h>

#include <map>

#include "tests/tools/acpi/random_machine.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools::acpi::test {
namespace {

using Bytes = Result<std::vector<std::byte>, std::string>;

[[nodiscard]] Bytes build(const Topology& topology, Format format) {
  switch (format) {
    case Format::kDmar:
      return vtd::build_dmar_for(topology);
    case Format::kIvrs:
      return amdvi::build_ivrs_for(topology);
    case Format::kViot:
      return virtio_iommu::build_viot_for(topology);
  }
  return Failure{std::string()};
}

[[nodiscard]] Verdict find_out(const LinuxMatcher& guest, const Seen& function, Format format) {
  switch (format) {
    case Format::kDmar:
      return guest.dmar(function);
    case Format::kIvrs:
      return guest.ivrs(function);
    case Format::kViot:
      return guest.viot(function);
  }
  return {};
}

// How the table names it: by the address of its registers, or by its own number.
[[nodiscard]] std::uint64_t name_of(const Topology& t, std::uint32_t unit, Format format) {
  const UnitPlace& place = t.units()[unit];
  if (format != Format::kViot || !place.function) return place.register_base;
  const Requester at = t.number(*place.function);
  return std::uint64_t{at.segment} << 16 | at.bdf;
}

void expect_truth(const Topology& t, const std::vector<std::byte>& bytes, Format format) {
  const std::vector<Seen> functions = seen_functions(t);
  const LinuxMatcher guest(bytes, functions);
  std::size_t next = 0;
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    if (!t[{i}].present) continue;
    const Verdict found = find_out(guest, functions[next++], format);
    const Wish wish = t[{i}].wish;
    ASSERT_EQ(found.complaint, "") << t.name({i});
    ASSERT_EQ(found.covered, wish.kind == Wish::Kind::kUnit) << t.name({i});
    if (found.covered) {
      ASSERT_EQ(found.unit, name_of(t, wish.index, format)) << t.name({i});
    }
  }
}

// Moves every bus that is not a root's, as a guest may.
void renumber(Topology& t) {
  for (std::uint32_t i = 0; i < t.functions(); ++i) {
    if (!is_bridge(t[{i}].kind)) continue;
    const auto moved = [](std::uint8_t bus) { return static_cast<std::uint8_t>(bus + 0x40); };
    ASSERT_TRUE(t.renumber({i}, moved(t[{i}].secondary), moved(t[{i}].subordinate)));
  }
}

constexpr unsigned kMachines = 100'000;

TEST(Truth, WhatAGuestFindsIsWhatWasWished) {
  std::mt19937 random(20161);
  std::map<std::string, unsigned> refused;
  unsigned built = 0;
  for (unsigned i = 0; i < kMachines; ++i) {
    const auto format = static_cast<Format>(i % 3);
    Topology machine = random_machine(random, format);
    ASSERT_TRUE(machine.check()) << machine.check().error();
    const std::string reason = why_not(machine, format);
    const Bytes bytes = build(machine, format);
    ASSERT_EQ(bytes.ok(), reason.empty())
        << "machine " << i << ": " << (bytes ? reason : bytes.error());
    if (!bytes) {
      ++refused[reason];
      continue;
    }
    ++built;
    expect_truth(machine, *bytes, format);
    if (format == Format::kDmar) {
      renumber(machine);
      expect_truth(machine, *bytes, format);
    }
    if (HasFailure()) FAIL() << "machine " << i;
  }
  RecordProperty("built", static_cast<int>(built));
  for (const auto& [reason, times] : refused) EXPECT_GT(times, 100U) << reason;
  EXPECT_GT(built, kMachines / 3);
  EXPECT_EQ(refused.size(), 6U) << "each reason there is";
}

}  // namespace
}  // namespace weir::tools::acpi::test
