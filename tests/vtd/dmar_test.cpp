// SPDX-License-Identifier: Apache-2.0
//
// D1 golden bytes, D4 round trip, D5 several units; a table that a real machine model made; and
// tables that lie about their lengths.
#include "vendors/vtd/dmar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

namespace weir::vtd::test {
namespace {

using Table = std::vector<std::byte>;

[[nodiscard]] Table bytes_of(std::initializer_list<int> values) {
  Table table;
  for (const int v : values) table.push_back(static_cast<std::byte>(v));
  return table;
}

[[nodiscard]] Table read_file(const std::string& name) {
  std::ifstream file(std::string(WEIR_TEST_DATA) + "/acpi/" + name, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  Table table(text.size());
  std::transform(text.begin(), text.end(), table.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return table;
}

void fix_checksum(Table& table) {
  table[9] = std::byte{0};
  unsigned sum = 0;
  for (const std::byte b : table) sum += std::to_integer<unsigned>(b);
  table[9] = static_cast<std::byte>(-sum);
}

void expect_error(Table table, std::size_t offset, const std::string& cause, bool fix = true) {
  if (fix) fix_checksum(table);
  const auto coverage = dmar_parser().parse(table);
  ASSERT_FALSE(coverage) << cause;
  EXPECT_EQ(coverage.error().offset, offset) << coverage.error().cause;
  EXPECT_EQ(coverage.error().cause, cause);
}

[[nodiscard]] DeviceScope endpoint(std::uint8_t bus, std::uint8_t device, std::uint8_t function) {
  return {.kind = DeviceScope::Kind::kEndpoint, .start_bus = bus, .path = {{device, function}}};
}

void expect_same(const Coverage& a, const Coverage& b) {
  ASSERT_EQ(a.units.size(), b.units.size());
  for (std::size_t i = 0; i < a.units.size(); ++i) {
    EXPECT_EQ(a.units[i].register_base, b.units[i].register_base);
    EXPECT_EQ(a.units[i].segment, b.units[i].segment);
    EXPECT_EQ(a.units[i].rest_of_segment, b.units[i].rest_of_segment);
    ASSERT_EQ(a.units[i].scopes.size(), b.units[i].scopes.size());
    for (std::size_t k = 0; k < a.units[i].scopes.size(); ++k) {
      EXPECT_EQ(a.units[i].scopes[k].kind, b.units[i].scopes[k].kind);
      EXPECT_EQ(a.units[i].scopes[k].start_bus, b.units[i].scopes[k].start_bus);
      EXPECT_EQ(a.units[i].scopes[k].path, b.units[i].scopes[k].path);
    }
  }
}

[[nodiscard]] Coverage example() {
  Coverage coverage;
  coverage.units.push_back({.register_base = 0xfed91000,
                            .segment = 1,
                            .scopes = {endpoint(0, 2, 0),
                                       {.kind = DeviceScope::Kind::kSubHierarchy,
                                        .start_bus = 0x80,
                                        .path = {{0x1c, 4}, {0, 1}}}}});
  coverage.units.push_back({.register_base = 0x2fed90000, .rest_of_segment = true, .scopes = {}});
  return coverage;
}

// D1, against bytes written out by hand from chapter 8.
TEST(DmarTest, D1GoldenBytes) {
  Table expected = bytes_of({
      'D', 'M', 'A',  'R', 0x62, 0,    0,    0,   1,    0,    'W',  'E',  'I', 'R', ' ', ' ',  //
      'W', 'E', 'I',  'R', 'D',  'M',  'A',  'R', 1,    0,    0,    0,    'W', 'E', 'I', 'R',  //
      1,   0,   0,    0,   38,   1,    0,    0,   0,    0,    0,    0,    0,   0,   0,   0,    //
      0,   0,   0x22, 0,   0,    1,    1,    0,   0x00, 0x10, 0xd9, 0xfe, 0,   0,   0,   0,    //
      1,   8,   0,    0,   0,    0,    2,    0,                                                //
      2,   10,  0,    0,   0,    0x80, 0x1c, 4,   0,    1,                                     //
      0,   0,   0x10, 0,   1,    1,    0,    0,   0x00, 0x00, 0xd9, 0xfe, 2,   0,   0,   0,    //
  });
  expected[4] = static_cast<std::byte>(expected.size());
  fix_checksum(expected);
  EXPECT_EQ(build_dmar(example(), {.host_address_bits = 39, .interrupt_remapping = true}),
            expected);
}

TEST(DmarTest, D4RoundTrip) {
  const auto parsed = dmar_parser().parse(build_dmar(example()));
  ASSERT_TRUE(parsed);
  expect_same(*parsed, example());
  const auto empty = dmar_parser().parse(build_dmar({}));
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->units.empty());
}

// A table with an interrupt controller among the scopes, and the functions of a machine whose
// second root bus was left out of it.
TEST(DmarTest, TableOfARealRun) {
  const Table table = read_file("vtd_bypass_pxb_612.dmar");
  ASSERT_EQ(table.size(), 160U);
  const auto coverage = dmar_parser().parse(table);
  ASSERT_TRUE(coverage) << coverage.error().cause;
  Coverage expected;
  expected.units.push_back(
      {.register_base = 0xfed90000,
       .scopes = {{.kind = DeviceScope::Kind::kIoApic, .start_bus = 0xff, .path = {{0, 0}}}}});
  for (const int device : {0, 2, 3, 4, 5, 6, 7, 9, 0x1f})
    expected.units[0].scopes.push_back(endpoint(0, static_cast<std::uint8_t>(device), 0));
  expected.units[0].scopes.push_back(endpoint(0, 0x1f, 2));
  expected.units[0].scopes.push_back(endpoint(0, 0x1f, 3));
  expect_same(*coverage, expected);
}

TEST(DmarTest, BytesBehindTheTableAreNotRead) {
  Table table = build_dmar(example());
  table.resize(table.size() + 64, std::byte{0xff});
  ASSERT_TRUE(dmar_parser().parse(table));
}

TEST(DmarTest, OtherStructuresAreSteppedOver) {
  Table table = build_dmar({});
  // RMRR (1) with a scope, a type to come (77), then a unit.
  const Table more = bytes_of({1,    0,   32, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
                               0xff, 0xf, 0,  0, 0,    0, 0, 0, 1, 8, 0, 0, 0, 0, 0x1d, 0,  //
                               77,   0,   5,  0, 0xaa,                                      //
                               0,    0,   24, 0, 1,    0, 0, 0, 0, 0, 0, 1, 0, 0, 0,    0,  //
                               5,    8,   0,  0, 1,    0, 3, 0});
  table.insert(table.end(), more.begin(), more.end());
  table[4] = static_cast<std::byte>(table.size());
  fix_checksum(table);
  const auto coverage = dmar_parser().parse(table);
  ASSERT_TRUE(coverage) << coverage.error().cause;
  ASSERT_EQ(coverage->units.size(), 1U);
  EXPECT_EQ(coverage->units[0].register_base, 0x01000000U);
  EXPECT_TRUE(coverage->units[0].rest_of_segment);
  // A named device asks under a number of its own.
  ASSERT_EQ(coverage->units[0].scopes.size(), 1U);
  EXPECT_EQ(coverage->units[0].scopes[0].kind, DeviceScope::Kind::kNamed);
}

TEST(DmarTest, LiesAreRefusedWithOffsetAndCause) {
  const Table good = build_dmar(example());
  Table t = good;
  t.resize(47);
  expect_error(t, 0, "shorter than a DMAR header", false);
  expect_error({}, 0, "shorter than a DMAR header", false);
  t = good;
  t[0] = std::byte{'X'};
  expect_error(t, 0, "signature is not DMAR");
  t = good;
  t.pop_back();
  expect_error(t, 4, "table is cut off");
  t = good;
  t[4] = std::byte{40};
  expect_error(t, 4, "length is shorter than a DMAR header");
  t = good;
  t[20] ^= std::byte{1};
  expect_error(t, 9, "checksum is wrong", false);
  t = good;
  t[48 + 2] = std::byte{3};
  expect_error(t, 48, "structure is shorter than its own header");
  t[48 + 2] = std::byte{15};
  expect_error(t, 48, "remapping unit is shorter than its fields");
  t[48 + 3] = std::byte{1};
  expect_error(t, 48, "structure runs past the end of the table");
  t = good;
  t[64 + 1] = std::byte{7};
  expect_error(t, 64, "device scope is too short for a path");
  t[64 + 1] = std::byte{9};
  expect_error(t, 64, "device scope ends inside a path step");
  t[64 + 1] = std::byte{19};
  expect_error(t, 64, "device scope runs past the structure it is in");
  t[64 + 1] = std::byte{14};
  expect_error(t, 78, "device scope header is cut off");
  t = good;
  t[48 + 2] = std::byte{0x22 - 5};
  expect_error(t, 72, "device scope header is cut off");
  t = good;
  t[64 + 6] = std::byte{32};
  expect_error(t, 70, "path names a device above 31 or a function above 7");
  t[64 + 6] = std::byte{0};
  t[64 + 7] = std::byte{8};
  expect_error(t, 70, "path names a device above 31 or a function above 7");
  t = good;
  t.resize(t.size() + 3);
  t[4] = static_cast<std::byte>(t.size());
  expect_error(t, good.size(), "structure header is cut off");
}

// Every prefix, and noise: an answer or a refusal, never a read outside.
TEST(DmarTest, NoiseIsSafe) {
  std::mt19937 random(7);
  const Table good = read_file("vtd_bypass_pxb_612.dmar");
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Table prefix(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(dmar_parser().parse(prefix));
  }
  for (int i = 0; i < 20000; ++i) {
    Table table = good;
    for (int k = 0; k < 3; ++k)
      table[4 + random() % (table.size() - 4)] = static_cast<std::byte>(random());
    fix_checksum(table);
    const auto coverage = dmar_parser().parse(table);
    if (!coverage) {
      EXPECT_LT(coverage.error().offset, table.size());
      EXPECT_FALSE(coverage.error().cause.empty());
    }
  }
}

}  // namespace
}  // namespace weir::vtd::test
