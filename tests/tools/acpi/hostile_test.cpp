// SPDX-License-Identifier: Apache-2.0
//
// `weir acpi` on input that means harm: machines in JSON with wrong types, huge numbers, names that
// are there twice and nesting without end, and dumps that lie. One line, status 2, nothing on the
// way to a table, and what was at the output's place stays there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/tools/acpi/machines.h"
#include "tests/tools/acpi/real_tables.h"
#include "tools/acpi/table_file.h"
#include "tools/acpi_command.h"
#include "vendors/amdvi/ivrs.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools::acpi::test {
namespace {

using Json = nlohmann::ordered_json;
using Task = AcpiOptions::Task;

constexpr const char* kMachine = R"({
  "table": "DMAR", "interrupt_remapping": true, "host_address_bits": 39,
  "roots": [{"name": "PCI0", "segment": 0, "bus": 0, "last_bus": 127}],
  "units": [{"name": "dmar0", "base": "0xfed90000", "proximity": 1},
            {"name": "dmar1", "base": "0xfed91000", "function": "disk"}],
  "windows": [{"name": "pool", "base": 4096, "bytes": 65536, "bar_of": "net", "bar": 0}],
  "functions": [
    {"name": "disk", "at": "04.0"},
    {"name": "net", "at": "05.0", "wish": {"window": "pool"},
     "bars": [{"index": 0, "base": "0xe0000000", "bytes": 65536}]},
    {"name": "port", "kind": "root_port", "at": "1c.1", "secondary": 1, "subordinate": 1},
    {"name": "card", "kind": "endpoint", "on": "port", "at": "00.0", "wish": {"unit": "dmar0"}},
    {"name": "vf", "kind": "endpoint", "on": "port", "at": "10.0", "physical": "card",
     "wish": {"unit": "dmar0"}}],
  "interrupt_sources": [{"kind": "io_apic", "id": 2, "as": "ff:00.0", "unit": "dmar0"}],
  "named_devices": [{"path": "\\_SB.I2C0", "hid": "WEIR0001", "uid": "0", "as": "00:15.0",
                     "mmio": "0x9000000", "wish": {"unit": "dmar0"}}],
  "reserved": [{"segment": 0, "first": "0x7a000000", "last": "0x7a00ffff", "functions": ["card"]}]
})";

class HostileInput : public ::testing::Test {
 protected:
  // Built, or refused as it has to be; whether it was built.
  bool build(const std::string& json) {
    const std::string to = scratch_.put("out", std::string("kept"));
    std::ostringstream out, err;
    const int status = run_acpi(
        {.task = Task::kBuild, .file = scratch_.put("in.json", json), .output = to}, out, err);
    cause_ = err.str();
    EXPECT_EQ(out.str(), "");
    if (status == 0) {
      EXPECT_EQ(cause_, "");
      const Bytes made = bytes_of_file(to);
      EXPECT_GE(made.size(), 48U);
    } else {
      EXPECT_EQ(status, 2);
      expect_one_line();
      EXPECT_EQ(bytes_of_file(to).size(), 4U) << "what was there is gone";
    }
    // Neither a half file beside it.
    EXPECT_EQ(files(), 2);
    return status == 0;
  }
  void expect_one_line() const {
    EXPECT_EQ(std::ranges::count(cause_, '\n'), 1) << cause_;
    EXPECT_EQ(std::ranges::count_if(cause_, [](unsigned char c) { return c < ' '; }), 1) << cause_;
    EXPECT_LT(cause_.size(), 700U);
  }
  [[nodiscard]] std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(scratch_.file("")), {});
  }
  void refused(const std::string& json, const std::string& cause) {
    EXPECT_FALSE(build(json)) << cause;
    EXPECT_NE(cause_.find(cause), std::string::npos) << cause_;
  }

  const Scratch scratch_;
  std::string cause_;
};

TEST_F(HostileInput, TheMachineItselfIsGood) { EXPECT_TRUE(build(kMachine)) << cause_; }

// Every value of it, in the place of every other kind of value.
void each_value(Json& json, const std::function<void(Json&)>& body) {
  if (json.is_structured())
    for (auto& value : json) each_value(value, body);
  body(json);
}

TEST_F(HostileInput, EveryValueOfEveryOtherKind) {
  const Json kValues[] = {nullptr,
                          true,
                          -1,
                          0.5,
                          255,
                          65536,
                          4294967296,
                          18446744073709551615U,
                          "",
                          "0x",
                          "0x10000000000000000",
                          "ff:1f.7",
                          "net",
                          "a\nb\u007f\u0001",
                          Json::array(),
                          Json::object(),
                          Json::array({Json::array()}),
                          Json::object({{"unit", Json::object()}}),
                          std::string(5000, 'x')};
  Json machine = Json::parse(kMachine);
  unsigned refused = 0, tried = 0;
  each_value(machine, [&](Json& value) {
    const Json before = value;
    for (const Json& other : kValues) {
      value = other;
      ++tried;
      refused += build(machine.dump()) ? 0U : 1U;
    }
    value = before;
  });
  EXPECT_GT(tried, 1000U);
  EXPECT_GT(refused, tried / 2);
}

TEST_F(HostileInput, NamesThatAreThereTwice) {
  refused(R"({"roots": [], "roots": []})", "two fields of one name in one object: roots");
  const auto with = [](const char* list, const Json& more) {
    Json machine = Json::parse(kMachine);
    machine[list].push_back(more);
    return machine.dump();
  };
  Json twice = Json::parse(kMachine);
  twice["functions"][1]["name"] = "disk";
  refused(twice.dump(), "functions[1].name: is another's too: disk");
  twice = Json::parse(kMachine);
  twice["functions"][0]["name"] = "PCI0";
  refused(twice.dump(), "functions[0].name: is a root bus's: PCI0");
  twice = Json::parse(kMachine);
  twice["units"][1]["name"] = "dmar0";
  refused(twice.dump(), "units[1].name: is another's too: dmar0");
  twice = Json::parse(kMachine);
  twice["units"][1]["base"] = "0xfed90000";
  refused(twice.dump(), "units dmar0 and dmar1 have one register address");
  refused(with("interrupt_sources", {{"id", 2}, {"as", "ff:01.0"}}), "I/O APIC 2 is there twice");
  refused(with("named_devices", {{"path", "\\_SB.I2C0"}, {"as", "00:16.0"}}),
          "\\_SB.I2C0 is there twice");
  refused(with("named_devices", {{"path", "\\_SB.I2C1"}, {"as", "00:16.0"}, {"mmio", "0x9000000"}}),
          "\\_SB.I2C0 and \\_SB.I2C1 have one register address");
}

TEST_F(HostileInput, NestingWithoutEnd) {
  refused(std::string(1'000'000, '['), "offset 64: is nested too deeply");
  std::string deep = R"({"roots": )";
  for (int i = 0; i < 1'000'000; ++i) deep += R"({"a":)";
  refused(deep, "is nested too deeply");
  // Brackets in text are none, nor behind a quotation mark that is text.
  EXPECT_FALSE(build(R"({"roots": [], "table": ")" + std::string(200, '[') + R"(\"[["})"));
  EXPECT_NE(cause_.find("table: is none of"), std::string::npos) << cause_;
}

TEST_F(HostileInput, NumbersThatAreTooLarge) {
  refused(R"({"roots": [{"bus": 1e999}]})", "holds a number that is too large");
  refused(R"({"roots": [{"bus": 99999999999999999999999}]})", "roots[0].bus: is no such number");
}

TEST_F(HostileInput, CutOffAnywhere) {
  const std::string machine = Json::parse(kMachine).dump();
  for (std::size_t length = 0; length < machine.size(); length += 7)
    EXPECT_FALSE(build(machine.substr(0, length)));
}

TEST_F(HostileInput, AnOutputThatCannotBeWritten) {
  std::ostringstream out, err;
  const std::string folder = scratch_.file("folder");
  std::filesystem::create_directory(folder);
  EXPECT_EQ(run_acpi({.task = Task::kBuild,
                      .file = scratch_.put("in.json", std::string(kMachine)),
                      .output = folder},
                     out, err),
            2);
  cause_ = err.str();
  expect_one_line();
  EXPECT_EQ(files(), 2) << "a half file was left";
}

// ---- Dumps

[[nodiscard]] std::string dump_of(const Bytes& bytes, const std::string& signature) {
  std::ostringstream text;
  text << signature << " @ 0x0000000000000000\n" << std::hex << std::uppercase << std::setfill('0');
  for (std::size_t i = 0; i < bytes.size(); i += 16) {
    text << "    " << std::setw(4) << i << ":";
    for (std::size_t k = i; k < std::min(i + 16, bytes.size()); ++k)
      text << " " << std::setw(2) << std::to_integer<unsigned>(bytes[k]);
    text << "  ................\n";
  }
  return text.str();
}

TEST_F(HostileInput, DumpsThatLie) {
  std::mt19937 random(3);
  const std::string dumps[] = {dump_of(*vtd::build_dmar_for(server()), "DMAR"),
                               dump_of(*amdvi::build_ivrs_for(amd_with_named_device()), "IVRS")};
  const std::string letters = "0123456789ABCDEF:. \n@xz\t\r";
  unsigned refused = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::string dump = dumps[i % 2];
    for (unsigned n = 1 + static_cast<unsigned>(random() % 4); n > 0; --n) {
      const std::size_t at = random() % dump.size();
      switch (random() % 3) {
        case 0:
          dump[at] = letters[random() % letters.size()];
          break;
        case 1:
          dump.erase(at, 1 + random() % 80);
          break;
        default:
          dump.insert(at, dump.substr(random() % dump.size(), random() % 80));
      }
      if (dump.empty()) dump = "D";
    }
    std::ostringstream out, err;
    const int status = run_acpi({.file = scratch_.put("dump", dump), .json = i % 4 < 2}, out, err);
    cause_ = err.str();
    if (status == 0) continue;
    ++refused;
    ASSERT_EQ(status, 2);
    ASSERT_EQ(out.str(), "");
    expect_one_line();
    if (HasFailure()) FAIL() << dump;
  }
  EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace weir::tools::acpi::test
