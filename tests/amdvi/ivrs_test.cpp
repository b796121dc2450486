// SPDX-License-Identifier: Apache-2.0
//
// The IVRS both ways: what is built is what is parsed, entry by entry as a firmware writes them,
// and tables that are cut off or contradict themselves get one sentence with an offset.

#include "vendors/amdvi/ivrs.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace weir::amdvi {
namespace {

using Table = std::vector<std::byte>;

void fix(Table& table) {
  const auto length = static_cast<std::uint32_t>(table.size());
  std::memcpy(table.data() + 4, &length, 4);
  table[9] = std::byte{0};
  unsigned total = 0;
  for (const std::byte b : table) total += std::to_integer<unsigned>(b);
  table[9] = static_cast<std::byte>(-total);
}

// One block of type `type` at base FED80000h with these bytes of device entries.
[[nodiscard]] Table table_with(std::uint8_t type, std::initializer_list<unsigned> entries) {
  Table table(48);
  std::memcpy(table.data(), "IVRS", 4);
  const std::size_t header = type == 0x10 ? 24 : 40;
  table.resize(48 + header);
  table[48] = static_cast<std::byte>(type);
  table[48 + 8] = std::byte{0x00}, table[48 + 9] = std::byte{0x00};
  table[48 + 10] = std::byte{0xd8}, table[48 + 11] = std::byte{0xfe};
  for (const unsigned byte : entries) table.push_back(static_cast<std::byte>(byte));
  table[48 + 2] = static_cast<std::byte>(header + entries.size());
  fix(table);
  return table;
}

[[nodiscard]] std::string cause_of(const Table& table) {
  const auto parsed = ivrs_parser().parse(table);
  return parsed ? "" : parsed.error().cause;
}

TEST(IvrsTest, WhatIsBuiltIsParsed) {
  Coverage coverage;
  coverage.units.push_back(
      {.register_base = 0xfed80000, .functions = {{0x10, 0x10}, {0x100, 0x1ff}}});
  coverage.units.push_back({.register_base = 0xfed90000, .segment = 1, .rest_of_segment = true});
  const auto table = build_ivrs(coverage, {.unit = options_for(Profile::kFull), .io_apic = {}});
  ASSERT_TRUE(table);
  const auto parsed = ivrs_parser().parse(*table);
  ASSERT_TRUE(parsed) << parsed.error().cause;
  ASSERT_EQ(parsed->units.size(), 2U);  // once, though it is described as 10h and as 11h
  EXPECT_EQ(parsed->units[0].register_base, 0xfed80000U);
  EXPECT_EQ(parsed->units[0].functions, coverage.units[0].functions);
  EXPECT_FALSE(parsed->units[0].rest_of_segment);
  EXPECT_EQ(parsed->units[1].segment, 1U);
  EXPECT_TRUE(parsed->units[1].rest_of_segment);
}

TEST(IvrsTest, TheIoApicIsCoveredAsTheRequesterThatItIs) {
  const Coverage one{{{.register_base = 0xfed80000}}};
  const auto parsed = ivrs_parser().parse(*build_ivrs(one));
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->units[0].functions.size(), 1U);
  EXPECT_TRUE(parsed->units[0].functions[0].holds(0xa0));
}

TEST(IvrsTest, PathsOfBridgesAreRefused) {
  Coverage coverage{{{.register_base = 0xfed80000,
                      .scopes = {{.kind = DeviceScope::Kind::kSubHierarchy,
                                  .start_bus = 0,
                                  .path = {{.device = 1, .function = 0}}}}}}};
  EXPECT_FALSE(build_ivrs(coverage));
}

TEST(IvrsTest, EveryKindOfEntry) {
  // Padding, select 00:02.0, range 0100h to 01ffh, alias 0210h as 0200h, extended select, extended
  // range, alias range, I/O APIC at 00a0h, an ACPI device with a name of 3 bytes, an unknown short
  // one.
  const Table table = table_with(
      0x40, {0x00, 0,    0,    0, 0x02, 0x10, 0x00, 0,   0x03, 0x00, 0x01, 0,   0x04, 0xff, 0x01, 0,
             0x42, 0x10, 0x02, 0, 0,    0x00, 0x02, 0,   0x46, 0x00, 0x03, 0,   0,    0,    0,    0,
             0x47, 0x00, 0x04, 0, 0,    0,    0,    0,   0x04, 0x0f, 0x04, 0,   0x43, 0x00, 0x05, 0,
             0,    0x20, 0x05, 0, 0x04, 0x07, 0x05, 0,   0x48, 0,    0,    0,   0,    0xa0, 0x00, 1,
             0xf0, 0x00, 0x06, 0, 'A',  'C',  'P',  'I', '0',  '0',  '0',  '1', 0,    0,    0,    0,
             0,    0,    0,    0, 1,    3,    'a',  'b', 'c',  0x05, 0,    0,   0});
  const auto parsed = ivrs_parser().parse(table);
  ASSERT_TRUE(parsed) << parsed.error().cause;
  const std::vector<FunctionRange> expected = {
      {0x10, 0x10},   {0x100, 0x1ff}, {0x210, 0x210}, {0x200, 0x200}, {0x300, 0x300},
      {0x400, 0x40f}, {0x520, 0x520}, {0x500, 0x507}, {0xa0, 0xa0},   {0x600, 0x600}};
  ASSERT_EQ(parsed->units.size(), 1U);
  EXPECT_EQ(parsed->units[0].functions, expected);
  EXPECT_EQ(parsed->units[0].register_base, 0xfed80000U);
}

TEST(IvrsTest, BadTablesGetOneSentence) {
  EXPECT_EQ(cause_of({}), "shorter than an IVRS header");
  EXPECT_EQ(cause_of(table_with(0x11, {0x03, 0, 0, 0})), "a range of devices has no end");
  EXPECT_EQ(cause_of(table_with(0x11, {0x04, 0, 0, 0})),
            "a range of devices ends that did not begin");
  EXPECT_EQ(cause_of(table_with(0x11, {0x03, 9, 0, 0, 0x04, 8, 0, 0})),
            "a range of devices ends before it begins");
  EXPECT_EQ(cause_of(table_with(0x11, {0x03, 9, 0, 0, 0x03, 8, 0, 0})),
            "a range of devices begins inside another");
  EXPECT_EQ(cause_of(table_with(0x11, {0x42, 0, 0, 0})),
            "device entry of unknown or too great length");
  EXPECT_EQ(cause_of(table_with(0x11, {0xc0, 0, 0, 0})),
            "device entry of unknown or too great length");
  Table wrong = table_with(0x11, {});
  wrong[9] ^= std::byte{1};
  EXPECT_EQ(cause_of(wrong), "checksum is wrong");
  wrong = table_with(0x11, {});
  wrong[50] = std::byte{3};
  fix(wrong);
  EXPECT_EQ(cause_of(wrong), "block is shorter than its own header");
  wrong[50] = std::byte{200};
  fix(wrong);
  EXPECT_EQ(cause_of(wrong), "block runs past the end of the table");
  wrong[50] = std::byte{30};
  wrong.resize(48 + 30);
  fix(wrong);
  EXPECT_EQ(cause_of(wrong), "hardware definition is shorter than its fields");
}

TEST(IvrsTest, AnyBytesEndInAnAnswer) {
  std::mt19937 random(1);
  const Table good = *build_ivrs(Coverage{{{.register_base = 1, .functions = {{1, 5}, {9, 9}}}}});
  for (int i = 0; i < 20000; ++i) {
    Table table = good;
    for (std::uint64_t edits = random() % 6; edits != 0; --edits)
      table[48 + random() % (table.size() - 48)] = static_cast<std::byte>(random());
    table.resize(48 + random() % (table.size() - 47));
    fix(table);
    const auto parsed = ivrs_parser().parse(table);
    if (!parsed) {
      ASSERT_LE(parsed.error().offset, table.size());
    }
  }
}

}  // namespace
}  // namespace weir::amdvi
