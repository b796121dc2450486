// SPDX-License-Identifier: Apache-2.0
//
// What `weir serve` makes of a description, and what it says of one that it cannot serve.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/tools/verify_fixture.h"
#include "tools/command_line.h"
#include "tools/qemu_command.h"
#include "tools/serve_config.h"
#include "tools/serve_counters.h"
#include "vendors/vtd/dmar.h"

namespace weir::tools {
namespace {

using vfio_user::FrontEnd;
using vfio_user::Machine;

std::string error_of(const std::string& text) {
  const auto config = read_serve_config(text);
  return config ? "" : config.error();
}
std::string with_devices(const std::string& members) {
  return "{" + members + R"(, "devices": [{"type": "copy"}]})";
}

TEST(ServeConfig, ProfilesAndPlacesAreTaken) {
  const auto config = read_serve_config(
      R"({"front_end": "amdvi", "profile": "v2", "register_base": "0xfebf4000", "memory_mib": 256,
          "devices": [{"type": "virtio-blk", "bytes": 1048576, "queues": 2},
                      {"type": "copy", "address": "07.1", "bypass": true}]})");
  ASSERT_TRUE(config) << config.error();
  EXPECT_EQ(config->machine.front_end, FrontEnd::kAmdvi);
  EXPECT_TRUE(config->machine.amdvi.guest_tables);
  EXPECT_EQ(config->machine.register_base, 0xfebf4000u);
  EXPECT_EQ(config->memory_mib, 256u);
  ASSERT_EQ(config->machine.devices.size(), 2u);
  EXPECT_EQ(config->machine.devices[0].function, Requester::from_bdf(0, 4, 0));
  EXPECT_FALSE(config->machine.devices[0].bypass);
  EXPECT_EQ(config->machine.devices[1].function, Requester::from_bdf(0, 7, 1));
  EXPECT_TRUE(config->machine.devices[1].bypass);
  EXPECT_EQ(config->devices[1].address, "00:07.1");
}

TEST(ServeConfig, InterruptRemappingIsNotOfferedUnasked) {
  for (const char* profile : {"legacy", "first-stage", "second-stage"}) {
    const auto config = read_serve_config(
        with_devices(R"("front_end": "vtd", "profile": ")" + std::string(profile) + "\""));
    ASSERT_TRUE(config) << config.error();
    EXPECT_FALSE(config->machine.vtd.interrupt_remapping);
  }
  const auto asked =
      read_serve_config(with_devices(R"("front_end": "vtd", "interrupt_remapping": true)"));
  ASSERT_TRUE(asked) << asked.error();
  EXPECT_TRUE(asked->machine.interrupt_remapping && asked->machine.vtd.interrupt_remapping);
  EXPECT_FALSE(asked->machine.vtd.posted_interrupts);
}

TEST(ServeConfig, WhatIsWrongIsNamed) {
  const std::pair<std::string, std::string> wrong[] = {
      {"", "no JSON at byte 1"},
      {"[]", "the description is no object"},
      {with_devices(R"("front_end": "smmu")"),
       "front_end is not one of vtd, amdvi, virtio-iommu, none"},
      {with_devices(R"("front_end": "vtd", "profile": "v1")"),
       "profile is not one of legacy, first-stage, second-stage"},
      {with_devices(R"("front_end": "vtd", "register_base": 5)"),
       "register_base is no number from 4096 to 4294967295"},
      {with_devices(R"("front_end": "vtd", "register_base": "0x1800")"),
       "register_base is no multiple of 4 KiB"},
      {with_devices(R"("front_end": "vtd", "caching_mode": 1)"),
       "caching_mode is neither true nor false"},
      {with_devices(R"("front_end": "vtd", "iommu_address": "1:03.0")"),
       "iommu_address is no address on bus 0, such as 00:04.0"},
      {with_devices(R"("front_end": "none", "frontend": 1)"), "frontend is not known"},
      {R"({"front_end": "none"})", "devices is no list of 1 to 24 devices"},
      {R"({"front_end": "none", "devices": []})", "devices is no list of 1 to 24 devices"},
      {R"({"front_end": "none", "devices": [3]})", "devices[0] is no object"},
      {R"({"front_end": "none", "devices": [{}]})", "devices[0].type is missing"},
      {R"({"front_end": "none", "devices": [{"type": "disk"}]})",
       "devices[0].type is no kind of device: virtio-blk, copy"},
      {R"({"front_end": "none", "devices": [{"type": "copy", "bytes": 5}]})",
       "devices[0].bytes is not known"},
      {R"({"front_end": "none", "devices": [{"type": "virtio-blk"}]})",
       "devices[0].file or bytes, one of both, has to be given"},
      {R"({"front_end": "none", "devices": [{"type": "virtio-blk", "bytes": 512, "queues": 9}]})",
       "devices[0].queues is no number from 1 to 7"},
      {R"({"front_end": "none", "devices": [{"type": "virtio-blk", "bytes": 512, "rogue_sector": 1}]})",
       "devices[0].rogue_address is missing"},
      {R"({"front_end": "none", "devices": [{"type": "copy"}, {"type": "copy", "address": "4.0"}]})",
       "devices[1].address is no address on bus 0, such as 00:04.0"},
      {R"({"front_end": "none", "devices": [{"type": "copy"}, {"type": "copy", "address": "04.0"}]})",
       "devices[1].address is taken"},
      {R"({"front_end": "none", "devices": [{"type": "copy", "address": "00:03.0"}]})",
       "devices[0].address is the IOMMU's"},
      {with_devices(R"("front_end": "amdvi", "second_unit": {})"), "second_unit is of vtd only"},
      {with_devices(R"("front_end": "vtd", "second_unit": {"address": "03.1"})"),
       "second_unit.address is the first unit's"},
      {R"({"front_end": "vtd", "devices": [{"type": "copy", "second_unit": true}]})",
       "devices[0].second_unit is not there"},
      {with_devices(R"("front_end": "vtd", "table": "/nowhere")"),
       "table: /nowhere: No such file or directory"},
  };
  for (const auto& [text, cause] : wrong) EXPECT_EQ(error_of(text), cause) << text;
}

class ServedMachine : public testing::Test {
 protected:
  ServedMachine() { std::filesystem::create_directories(folder); }
  ~ServedMachine() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<Machine> make(const std::string& members) {
    auto read = read_serve_config(with_devices(members));
    EXPECT_TRUE(read) << read.error();
    config = std::move(*read);
    config.machine.run_folder = folder;
    config.machine.check = true;
    auto machine = Machine::create(std::move(config.machine));
    EXPECT_TRUE(machine) << machine.error();
    return machine ? std::move(*machine) : nullptr;
  }

  const std::string folder = testing::TempDir() + "weir_serve_test." + std::to_string(::getpid());
  ServeConfig config;
};

TEST_F(ServedMachine, TheCommandNamesEverySocketAndTheTable) {
  const auto machine = make(R"("front_end": "amdvi")");
  ASSERT_TRUE(machine);
  const std::string command = qemu_command("qemu", config, *machine, folder + "/table.aml");
  for (const char* part :
       {"-machine q35,memory-backend=ram", "share=on", R"("addr":"2.0")", R"("addr":"3.0")",
        R"("addr":"4.0")", "amdvi.sock", "iommu.sock", "device4.0.sock", "-acpitable file="})
    EXPECT_NE(command.find(part), std::string::npos) << part << " in " << command;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(machine->table().data()), 4), "IVRS");
}

TEST_F(ServedMachine, QemuReadsSlotsAsHexadecimalAndHasToKnowWhichAreShared) {
  auto read = read_serve_config(
      R"({"front_end": "vtd", "second_unit": {},
          "devices": [{"type": "copy"}, {"type": "copy", "address": "04.1"},
                      {"type": "copy", "address": "0a.0", "second_unit": true}]})");
  ASSERT_TRUE(read) << read.error();
  read->machine.run_folder = folder;
  const auto machine = Machine::create(std::move(read->machine));
  ASSERT_TRUE(machine) << machine.error();
  const std::string command = qemu_command("qemu", *read, **machine, "");
  for (const char* part : {R"("addr":"4.0","socket)", R"("addr":"4.1","socket)",
                           R"("addr":"a.0","socket)", R"("addr":"1d.0","socket)"})
    EXPECT_NE(command.find(part), std::string::npos) << part << " in " << command;
  const std::string shared = R"("multifunction":true)";
  const std::size_t first = command.find(shared), second = command.find(shared, first + 1);
  ASSERT_NE(second, std::string::npos);
  EXPECT_EQ(command.find(shared, second + 1), std::string::npos) << "only the two of slot 4";
  const auto coverage = vtd::dmar_parser().parse((*machine)->table());
  ASSERT_TRUE(coverage);
  ASSERT_EQ(coverage->units.size(), 2u);
  EXPECT_EQ(coverage->units[0].scopes.size(), 2u);
  EXPECT_EQ(coverage->units[1].scopes.size(), 1u);
  EXPECT_EQ(coverage->units[1].register_base, (*machine)->second_base());
}

// What the bytes say holds, whatever the description says of the device.
TEST_F(ServedMachine, ATableThatIsGivenIsTakenAsItIs) {
  auto built = make(R"("front_end": "vtd")");
  ASSERT_TRUE(built);
  std::vector<std::byte> table = built->table();
  built.reset();  // its sockets
  const std::string file = folder + "/given.aml";
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(table.data()),
             static_cast<std::streamsize>(table.size()));
  const std::string given = R"("front_end": "vtd", "table": ")" + file + "\"";
  const auto served = make(given);
  ASSERT_TRUE(served);
  EXPECT_EQ(served->table(), table);

  // The checksum is wrong then.
  table.back() ^= std::byte{1};
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(table.data()),
             static_cast<std::streamsize>(table.size()));
  auto read = read_serve_config(with_devices(given));
  ASSERT_TRUE(read) << read.error();
  read->machine.run_folder = folder;
  const auto refused = Machine::create(std::move(read->machine));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().rfind("the table that is given: ", 0), 0u) << refused.error();
}

TEST_F(ServedMachine, TheCheckJudgesOneUnit) {
  auto read = read_serve_config(with_devices(R"("front_end": "vtd", "second_unit": {})"));
  ASSERT_TRUE(read) << read.error();
  read->machine.run_folder = folder;
  read->machine.check = true;
  const auto refused = Machine::create(std::move(read->machine));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), "the check judges machines with one unit");
}

// Observed with SeaBIOS 1.16 on QEMU 11.1's q35: a unit of 8 KiB and a copier of 4 + 4.
TEST_F(ServedMachine, RegistersAreWhereTheFirmwareWillPutThem) {
  const auto machine = make(R"("front_end": "vtd")");
  ASSERT_TRUE(machine);
  EXPECT_EQ(machine->register_base(), 0xfebfa000u);
  EXPECT_FALSE(machine->placed_at());
}

TEST_F(ServedMachine, CountersBeginAtZero) {
  for (const char* front_end : {"vtd", "amdvi", "virtio-iommu", "none"}) {
    const auto machine = make(R"("front_end": ")" + std::string(front_end) + "\"");
    ASSERT_TRUE(machine);
    machine->run_once(Clock::Duration::zero());
    const auto counters = serve_counters(*machine, config);
    EXPECT_EQ(counters["pieces"], 0);
    EXPECT_EQ(counters["stale"], 0);
    EXPECT_EQ(counters["books_exact"], true);
    EXPECT_EQ(counters["enabled"], false);
    EXPECT_TRUE(counters["devices"].contains("00:04.0"));
  }
}

TEST_F(ServedMachine, ADescriptionThatCannotBeServedIsOneLineAndStatusTwo) {
  const std::string path = folder + "/machine.json";
  std::ofstream(path) << R"({"front_end": "vtd", "devices": 5})";
  std::ostringstream out, err;
  const char* const arguments[] = {"weir", "serve", path.c_str(), "--folder", folder.c_str()};
  EXPECT_EQ(run_command_line(5, arguments, out, err), 2);
  EXPECT_EQ(out.str(), "");
  EXPECT_EQ(err.str(), "weir: " + path + ": devices is no list of 1 to 24 devices\n");
  EXPECT_TRUE(is_one_line(err.str()));
}

}  // namespace
}  // namespace weir::tools
