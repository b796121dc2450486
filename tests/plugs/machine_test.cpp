// SPDX-License-Identifier: Apache-2.0
//
// Whole machines as a client finds them over their sockets, without a VMM: the functions that hold
// an IOMMU, what its guest programs through them, and where its interrupts go. Register numbers and
// bits are the manuals' (VT-d 4.1 chapter 10, 48882 chapter 3, virtio 1.4 chapter 4).

#include "plugs/vfio_user/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "plugs/vfio_user/copy_function.h"
#include "tests/plugs/client.h"

namespace weir::vfio_user::test {
namespace {

constexpr std::uint64_t kRam = 0x100000;

class MachineTest : public testing::Test {
 protected:
  MachineTest() { std::filesystem::create_directories(folder); }
  ~MachineTest() override {
    clients.clear();
    machine.reset();
    std::filesystem::remove_all(folder);
  }

  void make(MachineOptions options) {
    options.run_folder = folder;
    options.check = true;
    for (unsigned i = 0; i < 2; ++i)
      options.devices.push_back({.function = Requester::from_bdf(0, 4 + i, 0),
                                 .bypass = i == 1,
                                 .device = std::make_unique<CopyFunction>()});
    auto made = Machine::create(std::move(options));
    ASSERT_TRUE(made) << made.error();
    machine = std::move(*made);
    for (const auto& connection : machine->connections()) {
      clients.emplace(connection.name, Client::at(connection.socket.c_str()));
      run();
      ask(connection.name, 1, Bytes().u16(0).u16(0).text("{}"));
      const int fd = ram.get();
      ask(connection.name, 2, Bytes().u32(32).u32(3).u64(0).u64(0).u64(kRam), std::span(&fd, 1));
    }
    for (const char* copier : {"device4.0", "device5.0"}) write_config(copier, 4, 6, 2);
  }

  void run() {
    for (int i = 0; i < 10; ++i) machine->run_once(Clock::Duration::zero());
  }
  // The reply; what else came goes to `posted`.
  Reply ask(const std::string& who, std::uint16_t command, const Bytes& payload,
            std::span<const int> fds = {}) {
    EXPECT_TRUE(clients.at(who).send(command, payload, fds));
    run();
    std::optional<Reply> reply;
    for (auto one = clients.at(who).receive(); one; one = clients.at(who).receive()) {
      if ((one->flags & 0xf) == 0)
        posted.push_back(*one);
      else
        reply = one;
    }
    EXPECT_TRUE(reply);
    EXPECT_EQ(reply ? reply->error : 0u, 0u) << who << " " << command;
    return reply.value_or(Reply{});
  }
  std::uint64_t read(const std::string& who, std::uint32_t region, std::uint64_t offset,
                     std::uint32_t size) {
    const Reply reply = ask(who, 9, Bytes().u64(offset).u32(region).u32(size));
    std::uint64_t value = 0;
    EXPECT_EQ(reply.payload.size(), 16 + size);
    if (reply.payload.size() >= 16 + size)
      std::memcpy(&value, reply.payload.data() + 16, std::min<std::size_t>(size, sizeof value));
    return value;
  }
  void write(const std::string& who, std::uint32_t region, std::uint64_t offset,
             std::uint64_t value, std::uint32_t size) {
    Bytes payload = Bytes().u64(offset).u32(region).u32(size);
    for (std::uint32_t i = 0; i < size; ++i) payload.u8(static_cast<std::uint8_t>(value >> 8 * i));
    ask(who, 10, payload);
  }
  std::uint64_t read_config(const std::string& who, std::uint64_t offset, std::uint32_t size) {
    return read(who, 7, offset, size);
  }
  void write_config(const std::string& who, std::uint64_t offset, std::uint64_t value,
                    std::uint32_t size) {
    write(who, 7, offset, value, size);
  }
  void put(std::uint64_t at, std::uint64_t word) {
    ASSERT_EQ(::pwrite(ram.get(), &word, sizeof word, static_cast<off_t>(at)), 8);
  }
  std::uint64_t word_at(std::uint64_t at) {
    std::uint64_t word = 0;
    EXPECT_EQ(::pread(ram.get(), &word, sizeof word, static_cast<off_t>(at)), 8);
    return word;
  }
  // The copier's status.
  std::uint64_t copy(const std::string& who, std::uint64_t from, std::uint64_t to) {
    write(who, 0, 0x00, from, 8);
    write(who, 0, 0x08, to, 8);
    write(who, 0, 0x10, 8, 4);
    write(who, 0, 0x14, 1, 4);
    return read(who, 0, 0x18, 4);
  }

  const std::string folder = testing::TempDir() + "weir_machine_test." + std::to_string(::getpid());
  FileDescriptor ram = make_memory(kRam);
  std::unique_ptr<Machine> machine;
  std::map<std::string, Client> clients;
  std::vector<Reply> posted;
};

class VtdMachine : public MachineTest {
 protected:
  VtdMachine() { make({.front_end = FrontEnd::kVtd}); }

  // 00:04.0 in domain 1, page 10000h -> 80000h.
  void translate() {
    put(0x1000, 0x2001);
    put(0x2200, 0x3001), put(0x2208, 0x102);
    put(0x3000, 0x4003), put(0x4000, 0x5003), put(0x5000, 0x6003);
    put(0x6080, 0x80003);
    write("iommu", 0, 0x20, 0x1000, 8);
    write("iommu", 0, 0x18, 1u << 30, 4);
    write("iommu", 0, 0x18, 1u << 31, 4);
    EXPECT_EQ(read("iommu", 0, 0x1c, 4), 0xc0000000u);
  }
};

TEST_F(VtdMachine, TheFunctionHidesOnceItsRegistersHaveBeenLookedAt) {
  EXPECT_EQ(read_config("iommu", 0, 4), 0x77651234u);
  EXPECT_EQ(machine->placed_at(), std::nullopt);
  write_config("iommu", 0x10, 0xfebfa000, 4);
  write_config("iommu", 4, 2, 2);
  EXPECT_EQ(machine->placed_at(), 0xfebfa000u);
  EXPECT_EQ(read("iommu", 0, 0x00, 4), 0x40u);  // the version: and from now on
  EXPECT_EQ(read_config("iommu", 0, 4), 0xffffffffu);
  EXPECT_EQ(read_config("iommu", 4, 2), 0xffffu);
  write_config("iommu", 4, 0, 2);  // has no effect on the unit
  EXPECT_EQ(read("iommu", 0, 0x00, 4), 0x40u);
  ask("iommu", 13, Bytes());
  EXPECT_EQ(read_config("iommu", 0, 4), 0x77651234u);  // firmware comes again
}

TEST_F(VtdMachine, NarrowAccessesToRegistersAreSafe) {
  EXPECT_EQ(read("iommu", 0, 0x00, 1), 0x40u);
  EXPECT_EQ(read("iommu", 0, 0x01, 1), 0u);
  for (const std::uint32_t size : {1u, 2u, 3u, 5u, 7u, 64u, 4096u})
    (void)read("iommu", 0, 0x3, size);
  write("iommu", 0, 0x19, 0xff, 1);
  EXPECT_EQ(read("iommu", 0, 0x1c, 4), 0u);
}

TEST_F(VtdMachine, OneDeviceIsTranslatedAndTheOtherIsBesideTheUnit) {
  EXPECT_FALSE(machine->was_translating());
  translate();
  EXPECT_TRUE(machine->was_translating());
  put(0x80000, 0x1122334455667788);
  EXPECT_EQ(copy("device4.0", 0x10000, 0x10100), 0u);
  EXPECT_EQ(word_at(0x80100), 0x1122334455667788u);
  EXPECT_EQ(copy("device4.0", 0x10000, 0x20000), 2u);  // nobody mapped it
  EXPECT_EQ(copy("device5.0", 0x80000, 0x20000), 0u);  // the guest's own addresses
  EXPECT_EQ(word_at(0x20000), 0x1122334455667788u);
  const Stats stats = machine->iommu().stats();
  EXPECT_EQ(stats.of(Outcome::kBypassed), 2u);
  EXPECT_EQ(stats.of(Outcome::kFaulted), 1u);
  const auto checked = machine->checked();
  ASSERT_TRUE(checked);
  EXPECT_GT(checked->findings.judged, 0u);
  EXPECT_EQ(checked->findings.stale, 0u);
  EXPECT_TRUE(checked->books_exact);
}

TEST_F(VtdMachine, TheFaultInterruptTravelsOnTheDevicesSocket) {
  translate();
  write("iommu", 0, 0x3c, 0x22, 4);        // FEDATA
  write("iommu", 0, 0x40, 0xfee01004, 4);  // FEADDR
  write("iommu", 0, 0x38, 0, 4);           // FECTL: unmasked
  EXPECT_EQ(copy("device4.0", 0xdead000, 0), 1u);
  ASSERT_EQ(posted.size(), 1u);
  EXPECT_EQ(posted[0].command, 12);
  EXPECT_EQ(posted[0].flags, 0x10u);
  EXPECT_EQ(posted[0].at<std::uint64_t>(0), 0xfee01004u);
  EXPECT_EQ(posted[0].at<std::uint32_t>(16), 0x22u);
  EXPECT_EQ(machine->lost_unit_messages(), 0u);
}

TEST_F(VtdMachine, ADevicesOwnMessageIsAPostedWrite) {
  put(0x1000, 0x41);
  EXPECT_EQ(copy("device5.0", 0x1000, 0xfee00000), 2u);  // eight bytes are no message
  write("device5.0", 0, 0x10, 4, 4);
  write("device5.0", 0, 0x14, 1, 4);
  EXPECT_EQ(read("device5.0", 0, 0x18, 4), 0u);
  ASSERT_EQ(posted.size(), 1u);
  EXPECT_EQ(posted[0].at<std::uint64_t>(0), 0xfee00000u);
  EXPECT_EQ(posted[0].at<std::uint32_t>(16), 0x41u);
}

TEST_F(VtdMachine, TheResetOfItsHolderStopsDevicesFirst) {
  translate();
  EXPECT_EQ(copy("device4.0", 0x10000, 0x10100), 0u);
  ask("iommu", 13, Bytes());
  EXPECT_EQ(read("iommu", 0, 0x1c, 4), 0u);
  // Its driver's bus mastering went with it: nothing gets out untranslated.
  EXPECT_EQ(copy("device4.0", 0x10000, 0x10100), 1u);
  write_config("device4.0", 4, 6, 2);
  EXPECT_EQ(copy("device4.0", 0x10000, 0x10100), 0u);  // now untranslated, as after power-on
}

TEST_F(MachineTest, AmdsFunctionShowsItsCapabilityAndTellsTheUnitItsMessage) {
  make({.front_end = FrontEnd::kAmdvi, .register_base = 0xfebf4000});
  EXPECT_EQ(read_config("amdvi", 0x08, 4) >> 16, 0x0806u);
  const std::uint64_t at = read_config("amdvi", 0x34, 1);
  EXPECT_EQ(read_config("amdvi", at, 1), 0x0fu);
  EXPECT_EQ(read_config("amdvi", at + 2, 1) & 7, 3u);       // an IOMMU
  EXPECT_EQ(read_config("amdvi", at + 4, 4), 0xfebf4001u);  // enabled
  write_config("amdvi", at + 4, 0, 4);                      // and locked
  EXPECT_EQ(read_config("amdvi", at + 4, 4), 0xfebf4001u);
  const std::uint64_t msi = read_config("amdvi", at + 1, 1);
  EXPECT_EQ(read_config("amdvi", msi, 1), 0x05u);
  write_config("amdvi", msi + 4, 0xfee02000, 4);
  write_config("amdvi", msi + 12, 0x31, 2);
  write_config("amdvi", msi + 2, 0x81, 2);

  // Device table (one page), an event log of 256 entries, and what 00:04.0 asks is refused: its
  // entry is valid and translates nothing to read.
  put(0x1000 + 0x20 * 32, 0x3);        // V, TV; mode 0, no IR or IW
  put(0x1000 + 0x20 * 32 + 8, 1);      // domain 1
  write("iommu", 0, 0x00, 0x1000, 8);  // device table, 4 KiB
  write("iommu", 0, 0x10, 0x4000 | 8ull << 56, 8);
  write("iommu", 0, 0x18, 1 | 1 << 2 | 1 << 3, 8);  // IommuEn, EventLogEn, EventIntEn
  EXPECT_TRUE(machine->was_translating());
  EXPECT_EQ(copy("device4.0", 0xdead000, 0), 1u);
  EXPECT_EQ(word_at(0x4008), 0xdead000u);  // the event's address
  ASSERT_EQ(posted.size(), 1u);
  EXPECT_EQ(posted[0].at<std::uint64_t>(0), 0xfee02000u);
  EXPECT_EQ(posted[0].at<std::uint32_t>(16), 0x31u);
}

TEST_F(MachineTest, VirtioIommuIsAModernVirtioFunction) {
  make({.front_end = FrontEnd::kVirtioIommu});
  EXPECT_EQ(read_config("iommu", 0, 4), 0x10571af4u);
  EXPECT_EQ(read("iommu", 0, 0x12, 2), 2u);    // queues
  EXPECT_EQ(read("iommu", 0, 0x2024, 1), 1u);  // bypass, for firmware
  // The same through the window in the configuration space (4.1.4.9).
  std::uint64_t window = 0;
  for (std::uint64_t at = read_config("iommu", 0x34, 1); at != 0;
       at = read_config("iommu", at + 1, 1))
    if (read_config("iommu", at, 1) == 9 && read_config("iommu", at + 3, 1) == 5) window = at;
  ASSERT_NE(window, 0u);
  write_config("iommu", window + 4, 0, 1);
  write_config("iommu", window + 8, 0x12, 4);
  write_config("iommu", window + 12, 2, 4);
  EXPECT_EQ(read_config("iommu", window + 16, 2), 2u);
  write_config("iommu", window + 12, 1, 4);
  write_config("iommu", window + 8, 0x14, 4);
  write_config("iommu", window + 16, 1, 1);  // ACKNOWLEDGE
  EXPECT_EQ(read("iommu", 0, 0x14, 1), 1u);
  // Bypass at boot: identity through the unit.
  put(0x1000, 0x55);
  EXPECT_EQ(copy("device4.0", 0x1000, 0x2000), 0u);
  EXPECT_EQ(word_at(0x2000), 0x55u);
  EXPECT_EQ(machine->iommu().stats().of(Outcome::kPassedThrough), 2u);
  ask("iommu", 13, Bytes());
  EXPECT_EQ(read("iommu", 0, 0x14, 1), 0u);
}

}  // namespace
}  // namespace weir::vfio_user::test
