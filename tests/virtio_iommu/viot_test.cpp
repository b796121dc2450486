// SPDX-License-Identifier: Apache-2.0
//
// The VIOT: the table that QEMU gave the traced guest is read as that guest read it, a table built
// here is read back, routes follow it, and anything else is refused with its offset.
#include "vendors/virtio_iommu/viot.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "tests/virtio_iommu/fixture.h"

namespace weir::virtio_iommu::test {
namespace {

constexpr std::uint64_t kMmio = 0x10001000;

[[nodiscard]] std::vector<std::byte> qemus_table() {
  std::ifstream in(WEIR_TEST_DATA "/traces/viommu_lazy_612/VIOT.bin", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto view = std::as_bytes(std::span(bytes));
  return {view.begin(), view.end()};
}

[[nodiscard]] Viot two_units() {
  const std::uint64_t pci = name_of_pci(Requester::from_bdf(0, 1, 0));
  return {.units = {pci, kMmio},
          .ranges = {
              {pci, Requester::from_bdf(0, 0, 0), Requester::from_bdf(0, 31, 7), 0},
              {kMmio, Requester::from_bdf(2, 0, 0, 1), Requester::from_bdf(3, 31, 7, 1), 0x10000}}};
}

void fix_checksum(std::vector<std::byte>& table) {
  table[9] = std::byte{0};
  unsigned sum = 0;
  for (const std::byte byte : table) sum += static_cast<unsigned>(byte);
  table[9] = static_cast<std::byte>(0x100 - (sum & 0xff));
}

// One virtio-iommu-pci at 00:01.0 and one range, 0000h to 00ffh (`info pci` of the capture).
TEST(Viot, QemusTableIsReadAsItsGuestReadIt) {
  const auto viot = parse_viot(qemus_table());
  ASSERT_TRUE(viot) << viot.error().cause;
  ASSERT_EQ(viot->units.size(), 1U);
  const std::uint64_t unit = name_of_pci(Requester::from_bdf(0, 1, 0));
  EXPECT_EQ(viot->units[0], unit);
  EXPECT_EQ(endpoint_of(*viot, unit, Requester::from_sid(0x18)), 0x18U);
  EXPECT_EQ(endpoint_of(*viot, unit, Requester::from_sid(0xff)), 0xffU);
  EXPECT_FALSE(endpoint_of(*viot, unit, Requester::from_sid(0x100)));
  EXPECT_FALSE(endpoint_of(*viot, unit, Requester::from_sid(0x18, 1)));
}

TEST(Viot, WhatIsBuiltIsReadBack) {
  const Viot built = two_units();
  const auto bytes = build_viot(built);
  const auto read = parse_viot(bytes);
  ASSERT_TRUE(read) << read.error().cause;
  EXPECT_EQ(read->units, built.units);
  ASSERT_EQ(read->ranges.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->ranges[i].unit, built.ranges[i].unit);
    EXPECT_EQ(read->ranges[i].first, built.ranges[i].first);
    EXPECT_EQ(read->ranges[i].last, built.ranges[i].last);
    EXPECT_EQ(read->ranges[i].first_endpoint, built.ranges[i].first_endpoint);
  }
  EXPECT_EQ(endpoint_of(built, kMmio, Requester::from_bdf(3, 0, 1, 1)), 0x10101U);
}

TEST(Viot, RoutesFollowTheTable) {
  alignas(8) static std::byte ram[1 << 16];
  Iommu iommu({.memory = std::make_shared<GuestMemory>(GuestMemory::single(Hpa(0), ram))});
  const Viot viot = two_units();
  ASSERT_TRUE(iommu.use_tables(viot_parser(), build_viot(viot)));
  const Requester function = Requester::from_bdf(3, 0, 1, 1);
  (void)iommu.add_unit<Unit>(viot.units[0], Options{.boot_bypass = false});
  (void)iommu.add_unit<Unit>(
      kMmio,
      Options{.boot_bypass = true,
              .endpoints = {{.requester = function, .id = *endpoint_of(viot, kMmio, function)}}});
  const auto behind = iommu.attach({.function = function}).value();
  const auto found = behind->translate(Iova(0x1000), 1, Access::kRead);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, Outcome::kPassedThrough) << "its unit's route, with bypass on";
  const auto strict = iommu.attach({.function = Requester::from_bdf(0, 2, 0)}).value();
  EXPECT_FALSE(strict->translate(Iova(0x1000), 1, Access::kRead));
  const auto outside = iommu.attach({.function = Requester::from_bdf(1, 0, 0)}).value();
  const auto bypass = outside->translate(Iova(0x1000), 1, Access::kRead);
  ASSERT_TRUE(bypass);
  EXPECT_EQ(bypass->outcome, Outcome::kBypassed) << "in no range: no IOMMU";
}

struct Edit {
  std::size_t at;
  unsigned value;
  std::size_t blamed;
};

// Offsets in a table of one PCI unit (48), one MMIO unit (64) and two ranges (80, 104).
TEST(Viot, BadTablesNameTheirOffset) {
  const auto good = build_viot(two_units());
  for (const Edit& edit :
       {Edit{0, 'X', 0}, Edit{4, 1, 4}, Edit{36, 9, 128}, Edit{38, 4, 38}, Edit{50, 2, 48},
        Edit{50, 200, 48}, Edit{82, 8, 80}, Edit{96, 49, 96}, Edit{88, 1, 90}, Edit{93, 1, 94}}) {
    auto table = good;
    table[edit.at] = static_cast<std::byte>(edit.value);
    fix_checksum(table);
    const auto parsed = parse_viot(table);
    ASSERT_FALSE(parsed) << edit.at;
    EXPECT_EQ(parsed.error().offset, edit.blamed) << edit.at << ": " << parsed.error().cause;
  }
  auto damaged = good;
  damaged[60] = std::byte{1};
  EXPECT_EQ(parse_viot(damaged).error().offset, 9U) << "the checksum";
  EXPECT_FALSE(parse_viot(std::span(good).first(47)));
}

TEST(Viot, AnyBytesAreSafe) {
  const auto good = build_viot(two_units());
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    auto table = good;
    for (auto n = random() % 4 + 1; n > 0; --n)
      table[random() % table.size()] = static_cast<std::byte>(random());
    if (random() % 4 == 0) table.resize(random() % (table.size() + 1));
    if (table.size() > 9) fix_checksum(table);
    (void)parse_viot(table);
  }
}

}  // namespace
}  // namespace weir::virtio_iommu::test
