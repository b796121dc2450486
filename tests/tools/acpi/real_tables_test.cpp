// SPDX-License-Identifier: Apache-2.0
//
// Tables of real machines: each is parsed, survives JSON byte for byte, and says of every field
// what iasl says of it.
#include "tests/tools/acpi/real_tables.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/tools/acpi/field_map.h"
#include "tools/acpi/json.h"

namespace weir::tools::acpi::test {
namespace {

constexpr const char* kNoTables =
    "no tables of real machines here: name their folder in WEIR_ACPI_TABLES";

TEST(RealTables, SurviveJsonByteForByte) {
  const auto files = real_tables();
  if (files.empty()) GTEST_SKIP() << kNoTables;
  for (const std::string& file : files) {
    const Bytes bytes = bytes_of_file(file);
    const auto table = parse_table(bytes);
    ASSERT_TRUE(table) << file << ": " << table.error().cause;
    // Through text, as between two commands.
    const auto read = from_json(nlohmann::ordered_json::parse(to_json(*table).dump()));
    ASSERT_TRUE(read) << file << ": " << read.error();
    const auto written = write_table(*read);
    ASSERT_TRUE(written) << file << ": " << written.error().cause;
    EXPECT_EQ(*written, bytes) << file;
    EXPECT_TRUE(coverage_of(*table)) << file << ": " << coverage_of(*table).error().cause;
  }
  RecordProperty("tables", static_cast<int>(files.size()));
}

// What weir works out and does not keep: types and lengths of structures, and the table's own.
[[nodiscard]] bool is_worked_out(const IaslField& field) {
  for (const char* const name : {"Signature", "Table Length", "Checksum", "Subtable Type", "Length",
                                 "Device Scope Type", "Entry Length", "Entry Type"})
    if (field.name == name) return true;
  return false;
}

TEST(RealTables, SayWhatIaslSays) {
  const auto files = real_tables();
  if (files.empty()) GTEST_SKIP() << kNoTables;
  if (!have_iasl()) GTEST_SKIP() << "iasl is not installed (package acpica-tools)";
  const Scratch scratch;
  std::size_t compared = 0;
  for (const std::string& file : files) {
    const Bytes bytes = bytes_of_file(file);
    const auto table = parse_table(bytes);
    ASSERT_TRUE(table) << file;
    const FieldMap ours(*table);
    const Decoded theirs = iasl_decode(scratch, bytes);
    ASSERT_GT(theirs.fields.size(), 10U) << file;
    for (const IaslField& field : theirs.fields) {
      if (is_worked_out(field)) continue;
      ASSERT_FALSE(field.value.empty()) << file << ": " << field.name;
      Bytes held = ours.at(field.offset, field.length);
      const auto is_shown = [](std::byte b) { return b == std::byte{0} || b >= std::byte{' '}; };
      for (std::byte& b : held)
        if (field.text && !is_shown(b)) b = std::byte{' '};
      EXPECT_EQ(held, field.value) << file << " at " << field.offset << ": " << field.name;
      ++compared;
    }
  }
  RecordProperty("fields", static_cast<int>(compared));
  std::printf("%zu fields of %zu tables\n", compared, files.size());
}

}  // namespace
}  // namespace weir::tools::acpi::test
