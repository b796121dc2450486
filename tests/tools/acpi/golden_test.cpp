// SPDX-License-Identifier: Apache-2.0
//
// D1 of the DMAR and its like for IVRS and VIOT: six machines, and the bytes of their tables
// written out from the manuals. Where iasl knows a structure, it has to understand the bytes
// without a complaint and to make the same again.
#include <gtest/gtest.h>

#include "tests/tools/acpi/machines.h"
#include "tests/tools/acpi/real_tables.h"
#include "tools/acpi/numbers.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools::acpi::test {
namespace {

// ACPI 6.5, 5.2.6, and then what the table adds; length and checksum put in.
[[nodiscard]] Bytes golden(const std::string& signature, unsigned revision,
                           const std::string& body) {
  std::string digits;
  for (const char c : body)
    if (c != ' ' && c != '\n') digits.push_back(c);
  Bytes table;
  for (const char c : signature + "...." + static_cast<char>(revision) + "." + "WEIR  WEIR" +
                          signature + std::string("\1\0\0\0WEIR\1\0\0\0", 12))
    table.push_back(static_cast<std::byte>(c));
  const auto rest = bytes_of(digits);
  EXPECT_TRUE(rest);
  table.insert(table.end(), rest->begin(), rest->end());
  for (unsigned i = 0; i < 4; ++i) table[4 + i] = static_cast<std::byte>(table.size() >> 8 * i);
  table[9] = std::byte{0};
  unsigned sum = 0;
  for (const std::byte b : table) sum += std::to_integer<unsigned>(b);
  table[9] = static_cast<std::byte>(-sum);
  return table;
}

template <typename Built>
void expect_bytes(const Built& built, const Bytes& expected) {
  ASSERT_TRUE(built) << built.error();
  EXPECT_EQ(hex_text(*built), hex_text(expected));
}

// VT-d 8.1, 8.3, 8.3.1. D2: the network card bypasses and is in no scope. D3: 39 bits of host
// addresses, whatever IOVAs have.
[[nodiscard]] auto build_pc() {
  return vtd::build_dmar_for(pc(), {.host_address_bits = 39, .interrupt_remapping = true});
}
TEST(Golden, DmarOfAPc) {
  expect_bytes(build_pc(), golden("DMAR", 1, R"(
    26 01 00000000000000000000
    0000 2a00 00 01 0000 0000d9fe00000000
      03 08 00 00 02 ff 0000
      01 08 00 00 00 00 0400
      01 0a 00 00 00 00 1c01 0000)"));
}

// 8.4 to 8.7. D5: the unit that takes the rest comes last, though it was declared first. D4: each
// kind of structure.
[[nodiscard]] auto build_server() {
  return vtd::build_dmar_for(
      server(), {.host_address_bits = 46, .x2apic_opt_out = true, .platform_opt_in = true});
}
TEST(Golden, DmarOfAServer) {
  expect_bytes(build_server(), golden("DMAR", 1, R"(
    2d 06 00000000000000000000
    0000 1800 00 01 0000 00000000c0000000
      02 08 00 00 00 80 0100
    0000 2000 01 01 0000 0010d9fe00000000
      04 08 00 00 00 00 0f00
      05 08 00 00 01 00 1500
    0100 2000 0000 0000 0000007a00000000 ffff017a00000000
      01 08 00 00 00 00 1400
    0200 1000 00 00 0000
      02 08 00 00 00 80 0100
    0300 1400 00000000 0010d9fe00000000 00000000
    0300 1400 00000000 00000000c0000000 01000000
    0400 1200 000000 01 5c5f53422e4932433000)"));
}

// 8.8 and 8.9, which Debian 12's iasl does not know.
TEST(Golden, DmarOfASystemOnAChip) {
  expect_bytes(vtd::build_dmar_for(system_on_chip()), golden("DMAR", 1, R"(
    2f 00 00000000000000000000
    0000 1800 00 01 0000 0000d9fe00000000
      01 08 00 00 00 00 0200
    0500 1000 00 00 0000
      01 08 00 00 00 00 0200
    0600 1000 0000 0000
      01 08 10 00 00 00 0200)"));
}

// 48882 5.2.1 to 5.2.3. A unit that can do the least: IASup (bit 6 of EFR, bit 5 of type 10h) and
// six levels of host tables (HATS 2), no HyperTransport hole (EFR2 bit 11). The network card and
// the unit itself bypass; requests of 02:06.0 bear 02:00.0.
[[nodiscard]] auto build_amd() { return amdvi::build_ivrs_for(amd()); }
TEST(Golden, IvrsOfAnAmdMachine) {
  expect_bytes(build_amd(), golden("IVRS", 2, R"(
    41342000 0000000000000000
    10 20 3400 0200 4000 0000d8fe00000000 0000 0000 20000080
      03 0800 00  04 0900 00  02 2000 00
      42 3002 00 00 0002 00
      48 0000 00 20 a000 01
    11 20 4400 0200 4000 0000d8fe00000000 0000 0000 00000000 4008000000000000 0008000000000000
      03 0800 00  04 0900 00  02 2000 00
      42 3002 00 00 0002 00
      48 0000 00 20 a000 01
    21 07 2000 2000 0000 0000 000000000000 00f0327100000000 0060020000000000)"));
}

// 5.2.2.5: what ACPI names is in a definition of type 40h, which Debian 12's iasl does not know.
TEST(Golden, IvrsWithANamedDevice) {
  expect_bytes(amdvi::build_ivrs_for(amd_with_named_device()), golden("IVRS", 2, R"(
    41342000 0000000000000000
    10 20 2400 0200 4000 0000d8fe00000000 0000 0000 20000080
      02 0800 00
      48 0000 00 20 a000 01
    11 20 3400 0200 4000 0000d8fe00000000 0000 0000 00000000 4008000000000000 0008000000000000
      02 0800 00
      48 0000 00 20 a000 01
    40 20 5300 0200 4000 0000d8fe00000000 0000 0000 00000000 4008000000000000 0008000000000000
      02 0800 00
      48 0000 00 20 a000 01
      f0 a500 00 414d444930303230 0000000000000000 02 09 5c5f53422e46555230)"));
}

// ACPI 6.5, 5.2.34.
TEST(Golden, ViotOfAVirtualMachine) {
  expect_bytes(virtio_iommu::build_viot_for(virtual_machine()), golden("VIOT", 0, R"(
    0500 3000 0000000000000000
    03 00 1000 0000 0800 0000000000000000
    04 00 1000 00000000 0000050900000000
    01 00 1800 18000000 0000 0000 1800 1900 3000 000000000000
    01 00 1800 10000100 0100 0100 1000 1000 4000 000000000000
    02 00 1800 00000080 0000000a00000000 4000 000000000000)"));
}

TEST(Golden, IaslUnderstandsAndMakesTheSame) {
  if (!have_iasl()) GTEST_SKIP() << "iasl is not installed (package acpica-tools)";
  const Scratch scratch;
  for (const auto& built : {build_pc(), build_server(), build_amd()}) {
    ASSERT_TRUE(built) << built.error();
    const Decoded decoded = iasl_decode(scratch, *built);
    EXPECT_EQ(decoded.complaints, "");
    EXPECT_GT(decoded.fields.size(), 20U);
    Bytes again = iasl_compile(scratch, decoded);
    ASSERT_EQ(again.size(), built->size());
    // The compiler's own id and version (28 to 35), and with them the checksum. What this iasl
    // still calls reserved it shows but compiles to 0: the size of a DRHD's registers, EFR2.
    for (std::size_t i = 28; i < 36; ++i) again[i] = (*built)[i];
    for (const IaslField& field : decoded.fields)
      for (std::size_t i = 0; field.name == "Reserved" && i < field.length; ++i)
        again[field.offset + i] = (*built)[field.offset + i];
    again[9] = (*built)[9];
    EXPECT_EQ(hex_text(again), hex_text(*built));
  }
}

}  // namespace
}  // namespace weir::tools::acpi::test
