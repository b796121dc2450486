// SPDX-License-Identifier: Apache-2.0
//
// A list as a source of routes: every kind of line, and lines that are none.
#include "iommu/list_source.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace weir {
namespace {

[[nodiscard]] Result<Coverage, TableError> parse(const std::string& text) {
  return list_parser().parse(std::as_bytes(std::span(text)));
}

TEST(ListSource, EveryKindOfLine) {
  const auto read = parse(
      "# a machine\n"
      "unit 0xfed90000 segment 1  # the first\n"
      "  function 00:04.0\n"
      "\tpath 00:1c.1/00.0\r\n"
      "  below 80:01.0\n"
      "  range 02:00.0-02:1f.7\n"
      "  io_apic f0:1f.0\n"
      "\n"
      "unit 4275645440\n"
      "  mmio 0x9050000\n"
      "  hpet 00:0f.0\n"
      "  rest");
  ASSERT_TRUE(read) << read.error().cause;
  ASSERT_EQ(read->units.size(), 2U);
  EXPECT_EQ(read->units[0].register_base, 0xfed90000U);
  EXPECT_EQ(read->units[0].segment, 1);
  ASSERT_EQ(read->units[0].scopes.size(), 4U);
  EXPECT_EQ(read->units[0].scopes[1].path, (std::vector<PathStep>{{0x1c, 1}, {0, 0}}));
  EXPECT_EQ(read->units[0].scopes[2].kind, DeviceScope::Kind::kSubHierarchy);
  EXPECT_EQ(read->units[0].scopes[2].start_bus, 0x80);
  EXPECT_EQ(read->units[0].scopes[3].kind, DeviceScope::Kind::kIoApic);
  EXPECT_EQ(read->units[0].functions, (std::vector<FunctionRange>{{0x200, 0x2ff}}));
  EXPECT_FALSE(read->units[0].rest_of_segment);
  EXPECT_EQ(read->units[1].register_base, 4275645440U);
  EXPECT_EQ(read->units[1].mmio_devices, std::vector<std::uint64_t>{0x9050000});
  EXPECT_EQ(read->units[1].scopes[0].kind, DeviceScope::Kind::kHpet);
  EXPECT_TRUE(read->units[1].rest_of_segment);
  EXPECT_TRUE(parse("")->units.empty());
}

TEST(ListSource, BadLinesNameTheirOffset) {
  for (const char* const line :
       {"function 20:00", "function 00:20.0", "function 00:00.8", "function 100:00.0", "function",
        "path 00:1c.0/", "range 02:00.0", "range 02:00.1-02:00.0", "mmio x", "rest all",
        "function 00:04.0 more", "unit", "unit x", "unit 1 segment", "unit 1 segment 65536",
        "unit 1 sector 1", "colour 1"}) {
    const auto read = parse("unit 1\n" + std::string(line) + "\n");
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().offset, 7U) << line;
    EXPECT_NE(read.error().cause, "");
  }
  EXPECT_FALSE(parse("rest\n")) << "of no unit";
}

TEST(ListSource, AnyBytesAreSafe) {
  std::mt19937 random(3);
  const std::string good = "unit 0x10 segment 1\npath 00:1c.1/00.0\nrange 02:00.0-02:1f.7\nrest\n";
  for (int i = 0; i < 20000; ++i) {
    std::string text = good;
    for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
    const auto read = parse(text);
    if (!read) {
      EXPECT_LE(read.error().offset, text.size());
    }
  }
}

}  // namespace
}  // namespace weir
