// SPDX-License-Identifier: Apache-2.0
//
// `weir acpi` as a person meets it: what is shown can be built again, one edited field changes its
// bytes and the checksum alone, an audit finds what is wrong, and bad input gets one line and
// leaves nothing half-written.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/tools/acpi/machines.h"
#include "tests/tools/acpi/real_tables.h"
#include "tools/acpi/table_file.h"
#include "tools/acpi_command.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/virtio_iommu/viot.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools::acpi::test {
namespace {

using Task = AcpiOptions::Task;

struct Ran {
  int status = -1;
  std::string out, err;
};

[[nodiscard]] Ran run(const AcpiOptions& options) {
  std::ostringstream out, err;
  const int status = run_acpi(options, out, err);
  return {status, out.str(), err.str()};
}

[[nodiscard]] std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

class AcpiCommand : public ::testing::Test {
 protected:
  [[nodiscard]] std::string put(const std::string& name, const Bytes& bytes) {
    return scratch_.put(name, std::span<const std::byte>(bytes));
  }
  [[nodiscard]] Ran build(const std::string& json, const std::string& to) {
    return run({.task = Task::kBuild, .file = scratch_.put("in.json", json), .output = to});
  }
  const Scratch scratch_;
  const Bytes server_ = *vtd::build_dmar_for(server());
};

TEST_F(AcpiCommand, WhatIsShownIsBuiltAgain) {
  for (const Bytes& bytes : {server_, *vtd::build_dmar_for(system_on_chip()),
                             *amdvi::build_ivrs_for(amd_with_named_device()),
                             *virtio_iommu::build_viot_for(virtual_machine())}) {
    const Ran shown = run({.file = put("table", bytes), .json = true});
    ASSERT_EQ(shown.status, 0) << shown.err;
    const std::string to = scratch_.file("again");
    ASSERT_EQ(build(shown.out, to).status, 0);
    EXPECT_EQ(bytes_of_file(to), bytes);
  }
}

TEST_F(AcpiCommand, OneEditedFieldChangesItsBytesAndTheChecksum) {
  auto json = nlohmann::ordered_json::parse(run({.file = put("t", server_), .json = true}).out);
  json["structures"][2]["base"] = "0x79fff000";  // of the reserved region, 8 bytes at 48+24+32+8
  const std::string to = scratch_.file("edited");
  ASSERT_EQ(build(json.dump(), to).status, 0);
  const Bytes edited = bytes_of_file(to);
  ASSERT_EQ(edited.size(), server_.size());
  for (std::size_t i = 0; i < edited.size(); ++i) {
    const bool may_change = i == 9 || (i >= 112 && i < 120);
    if (!may_change) {
      EXPECT_EQ(edited[i], server_[i]) << i;
    }
  }
  EXPECT_NE(edited[113], server_[113]);
  const Ran compared = run({.task = Task::kDiff, .file = put("t", server_), .other = to});
  EXPECT_EQ(compared.status, 1);
  EXPECT_EQ(compared.out,
            "- structures[2].base \"0x7a000000\"\n+ structures[2].base \"0x79fff000\"\n");
  EXPECT_EQ(run({.task = Task::kDiff, .file = to, .other = to}).status, 0);
}

TEST_F(AcpiCommand, ShowSaysWhoIsCovered) {
  const Ran shown = run({.file = put("t", *vtd::build_dmar_for(pc()))});
  EXPECT_EQ(shown.status, 0);
  EXPECT_NE(shown.out.find("unit 0xfed90000, segment 0: I/O APIC ff:00.0, 00:04.0, 00:1c.1/00.0"),
            std::string::npos)
      << shown.out;
}

// The form of acpidump: offsets in hexadecimal, sixteen bytes a line, then their characters.
[[nodiscard]] std::string dump_of(const Bytes& bytes) {
  std::ostringstream text;
  text << "FACP @ 0x0000000000000000\n    0000: 46 41 43 50  FACP\n\n"
       << "DMAR @ 0x000000007AEFB000\n"
       << std::hex << std::uppercase << std::setfill('0');
  for (std::size_t i = 0; i < bytes.size(); i += 16) {
    text << "    " << std::setw(4) << i << ":";
    std::string characters;
    for (std::size_t k = i; k < i + 16; ++k) {
      if (k >= bytes.size()) {
        text << "   ";
        continue;
      }
      text << " " << std::setw(2) << std::to_integer<unsigned>(bytes[k]);
      const char c = static_cast<char>(bytes[k]);
      characters.push_back(c >= ' ' && c <= '~' ? c : '.');
    }
    text << "  " << characters << "\n";
  }
  text << "\nAPIC @ 0x0000000000000000\n    0000: 41 50 49 43  APIC\n\n";
  return text.str();
}

TEST_F(AcpiCommand, TextOfAcpidumpIsReadToo) {
  const auto table = table_of_dump(dump_of(server_));
  ASSERT_TRUE(table) << table.error();
  EXPECT_EQ(*table, server_);
  EXPECT_EQ(run({.file = scratch_.put("dump.txt", dump_of(server_))}).out,
            run({.file = put("binary", server_)}).out);
  EXPECT_FALSE(table_of_dump("DMAR @ 0x0\n    0000: 44 4D\n    0010: 41\n"));
  EXPECT_FALSE(table_of_dump("DMAR @ 0x0\n    0000: 44\n\nIVRS @ 0x0\n    0000: 49\n"));
  EXPECT_FALSE(table_of_dump("FACP @ 0x0\n    0000: 44 4D\n"));
}

TEST_F(AcpiCommand, BadInputGetsOneLineAndNothingIsWritten) {
  const std::string to = scratch_.file("out");
  const auto refused = [&](const Ran& ran, const std::string& cause) {
    EXPECT_EQ(ran.status, 2) << cause;
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(lines(ran.err), 1U) << ran.err;
    EXPECT_NE(ran.err.find(cause), std::string::npos) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(to));
  };
  Bytes cut = server_;
  cut.resize(100);
  refused(run({.file = put("cut", cut)}), "cut: offset 4: table is cut off");
  refused(run({.task = Task::kAudit, .file = put("cut", cut)}), "offset 4: table is cut off");
  refused(run({.file = scratch_.file("nothing")}), "No such file");
  refused(run({.file = scratch_.put("text", std::string("hello"))}), "offset 0: neither a DMAR");
  refused(build("{", to), "is no JSON");
  refused(build("{}", to), "signature: is none of");
  refused(build(R"({"signature": "DMAR"})", to), "revision: is missing");

  auto json = nlohmann::ordered_json::parse(run({.file = put("t", server_), .json = true}).out);
  auto bad = json;
  bad["structures"][0]["scopes"][0]["path"][0] = "x";
  refused(build(bad.dump(), to), "structures[0].scopes[0].path: has a step that is not");
  bad = json;
  bad["structures"][0]["colour"] = 1;
  refused(build(bad.dump(), to), "structures[0].colour: is no field");
  bad = json;
  bad["flags"]["X2APIC_OPT_OUT"] = 2;
  refused(build(bad.dump(), to), "flags.X2APIC_OPT_OUT: is no number up to 1");
  bad = json;
  bad["structures"][0]["kind"] = "DHRD";
  refused(build(bad.dump(), to), "structures[0].kind: is no kind of structure");
  bad = json;
  for (int i = 0; i < 200; ++i) bad["structures"][0]["scopes"][0]["path"].push_back("01.0");
  refused(build(bad.dump(), to), "a structure is longer than its length field can say");
  refused(build(json.dump(), scratch_.file("no/such/folder")), "No such file");
  // What was there stays as it was.
  const std::string kept = scratch_.put("kept", std::string("kept"));
  EXPECT_EQ(build(bad.dump(), kept).status, 2);
  EXPECT_EQ(bytes_of_file(kept).size(), 4U);
}

constexpr const char* kMachine = R"({
  "table": "DMAR", "interrupt_remapping": true, "host_address_bits": 39,
  "roots": [{"name": "PCI0"}],
  "units": [{"name": "dmar0", "base": "0xfed90000"}],
  "functions": [
    {"name": "disk", "at": "04.0", "wish": {"unit": "dmar0"}},
    {"name": "net", "at": "05.0"},
    {"name": "port", "kind": "root_port", "at": "1c.1", "secondary": 1, "subordinate": 1},
    {"name": "card", "kind": "endpoint", "on": "port", "at": "00.0", "wish": {"unit": "dmar0"}}],
  "interrupt_sources": [{"kind": "io_apic", "id": 2, "as": "ff:00.0", "unit": "dmar0"}]
})";

TEST_F(AcpiCommand, AMachineBecomesATable) {
  const std::string to = scratch_.file("made");
  const Ran ran = build(kMachine, to);
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(bytes_of_file(to),
            *vtd::build_dmar_for(pc(), {.host_address_bits = 39, .interrupt_remapping = true}));
  auto rest = nlohmann::ordered_json::parse(kMachine);
  rest["units"][0]["takes_rest"] = true;
  const Ran refused = build(rest.dump(), scratch_.file("none"));
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.err.find("net (00:05.0) wishes to bypass, but unit dmar0 (fed90000h) takes the "
                             "rest of segment 0: give that unit explicit scopes"),
            std::string::npos)
      << refused.err;
}

TEST_F(AcpiCommand, AuditsAgainstAMachine) {
  const std::string machine = scratch_.put("machine.json", std::string(kMachine));
  const std::string good = scratch_.file("good");
  ASSERT_EQ(build(kMachine, good).status, 0);
  const Ran clean = run({.task = Task::kAudit, .file = good, .topology = machine});
  EXPECT_EQ(clean.status, 0) << clean.out;
  // The disk is taken out, and the network card put in.
  auto wrong = nlohmann::ordered_json::parse(kMachine);
  wrong["functions"][0]["wish"] = "bypass";
  wrong["functions"][1]["wish"] = {{"unit", "dmar0"}};
  const std::string lying = scratch_.file("lying");
  ASSERT_EQ(build(wrong.dump(), lying).status, 0);
  const Ran found = run({.task = Task::kAudit, .file = lying, .topology = machine});
  EXPECT_EQ(found.status, 1);
  EXPECT_NE(found.out.find("error: offset 0: disk (00:04.0) wishes to be behind unit dmar0"),
            std::string::npos)
      << found.out;
  EXPECT_NE(found.out.find("net (00:05.0) wishes to bypass"), std::string::npos);
  EXPECT_NE(found.out.find("2 errors"), std::string::npos);
}

}  // namespace
}  // namespace weir::tools::acpi::test
