// SPDX-License-Identifier: Apache-2.0
//
// What Linux's driver does, in its order and access sizes (drivers/iommu/amd: init.c, iommu.c):
// probe and disable, bases in halves, flushes of everything, event log, deny-all entries,
// interrupts, attach, DTEs rewritten while they are in use, guest tables with PASIDs. Each of its
// polls is answered at once.

#include <array>
#include <cstring>

#include "tests/amdvi/machine.h"

namespace weir::amdvi::test {
namespace {

constexpr std::uint64_t kTableBytes = 0x200000;

class LinuxDriver {
 public:
  explicit LinuxDriver(Machine& machine) : m_(machine) {}

  // iommu_disable: one bit at a time, each a 64-bit read and write.
  void disable() {
    for (const std::uint64_t bit : {kCmdBufEn, kEvtIntEn, kEvtLogEn, kGaLogEn, kGaIntEn, kPprLogEn,
                                    kPprIntEn, kXtEn, kIntCapXtEn, kGaEn, kGtEn, kPprEn, kIommuEn})
      m_.write(kCtrl, m_.read(kCtrl) & ~bit);
  }
  void feature(std::uint64_t bits) { m_.write(kCtrl, m_.read(kCtrl) | bits); }
  // memcpy_toio: low half, then high half.
  void write_base(std::uint64_t at, std::uint64_t value) {
    m_.write(at, value & 0xffffffff, 4);
    m_.write(at + 4, value >> 32, 4);
  }
  // A command, and the wait behind it; false: the poll of 100 ms would run out.
  bool command(std::uint64_t low, std::uint64_t high = 0) {
    m_.post(low, high);
    return m_.wait();
  }
  bool flush_all() {
    if ((m_.read(kEfr) & 0x40) != 0) return command(std::uint64_t{8} << 60);
    for (std::uint64_t device = 0; device <= 0xffff; ++device)
      m_.post(std::uint64_t{2} << 60 | device);
    for (std::uint64_t device = 0; device <= 0xffff; ++device)
      m_.post(std::uint64_t{5} << 60 | device);
    for (std::uint64_t domain = 0; domain <= 0xffff; ++domain)
      m_.post(std::uint64_t{3} << 60 | domain << 32, 0x7ffffffffffff003);
    return m_.wait();
  }

  void early_enable() {
    disable();
    feature(0x482);  // HtTunEn, InvTimeOut 1 s, Coherent
    write_base(kDevTab, kDeviceTable | (kTableBytes / 0x1000 - 1));
    write_base(kCmdBase, kRing | kLength256);
    m_.write(kCmdHead, 0, 4);
    m_.write(kCmdTail, 0, 4);
    feature(kCmdBufEn);
    const std::uint64_t efr = m_.read(kEfr);
    if ((efr & 0x10) != 0) feature(kGtEn);
    if ((efr & 0x80) != 0) feature(kGaEn);
    if ((efr & 0x4) != 0) feature(kXtEn);
    feature(kIommuEn);
    ASSERT_TRUE(flush_all());
    write_base(kEvtBase, kLog | kLength256);
    m_.write(kEvtHead, 0, 4);
    m_.write(kEvtTail, 0, 4);
    feature(kEvtLogEn);
    for (std::uint64_t device = 0; device <= 0xffff; ++device)
      m_.store(kDeviceTable + device * 32, 3);
    ASSERT_TRUE(flush_all());
  }
  // Two stores of 128 bits: what has V and GV last; then the commands.
  bool set_entry(std::uint16_t device, std::uint64_t q0, std::uint64_t q1, std::uint64_t q2 = 0) {
    m_.set_entry(device, q0, q1, q2);
    return command(std::uint64_t{2} << 60 | device);
  }
  bool flush_range(std::uint16_t domain, std::uint64_t first, std::uint64_t last) {
    // The size code of build_inv_address.
    std::uint64_t code = 0x7ffffffffffff000 | 1;
    const unsigned msb = static_cast<unsigned>(64 - __builtin_clzll(first ^ last));
    if (msb <= 12)
      code = first;
    else if (msb <= 52)
      code = ((first | ((std::uint64_t{1} << (msb - 1)) - 1)) & ~0xfffULL &
              ~(std::uint64_t{1} << (msb - 1))) |
             1;
    return command(std::uint64_t{3} << 60 | std::uint64_t{domain} << 32, code);
  }

 private:
  Machine& m_;
};

TEST(LinuxSequenceTest, BootsWithHostTables) {
  Machine machine(options_for(Profile::kV1));
  LinuxDriver linux(machine);
  linux.early_enable();
  EXPECT_EQ(machine.read(kCtrl), 0x1487U);
  machine.unit->set_msi(Msi{.address = 0xfee00000, .data = 0x31});
  linux.feature(kEvtIntEn);
  // Deny-all entries deny, and the event's interrupt comes.
  EXPECT_EQ(machine.dma(0x5000), std::nullopt);
  EXPECT_EQ(machine.sinks.unit_msis.size(), 1U);
  EXPECT_EQ(machine.events().size(), 1U);
  // Attach; three levels at first.
  ASSERT_TRUE(linux.set_entry(kDevice, kRoot | 3 << 9 | 3 | kRw, 7));
  machine.store(kRoot, pde(kTables, 2));
  machine.store(kTables, pde(kTables + 0x1000, 1));
  for (unsigned i = 0; i < 16; ++i)
    machine.store(kTables + 0x1000 + i * 8, leaf(0x4000000 + i * 0x1000));
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(machine.dma(i * 0x1000), 0x4000000U + i * 0x1000);
  // Unmap: entry cleared, range flushed, poll.
  for (unsigned i = 4; i < 8; ++i) machine.store(kTables + 0x1000 + i * 8, 0);
  ASSERT_TRUE(linux.flush_range(7, 0x4000, 0x7fff));
  EXPECT_EQ(machine.dma(0x3000), 0x4003000U);
  EXPECT_EQ(machine.dma(0x4000), std::nullopt);
  EXPECT_EQ(machine.dma(0x7fff), std::nullopt);
  // The table grows a level: a new root above, the entry rewritten live.
  machine.store(kRoot + 0x2000, pde(kRoot, 3));
  ASSERT_TRUE(linux.set_entry(kDevice, (kRoot + 0x2000) | 4 << 9 | 3 | kRw, 7));
  EXPECT_EQ(machine.dma(0x3000), 0x4003000U);
  // Disabled at shutdown.
  linux.disable();
  EXPECT_EQ(machine.read(kStat) & (kStEvtRun | kStCmdRun), 0U);
}

TEST(LinuxSequenceTest, BootsWithSingleCommands) {
  Options options = options_for(Profile::kV1);
  options.invalidate_all = false;
  Machine machine(options);
  machine.write(kDevTab, 0);
  LinuxDriver linux(machine);
  linux.early_enable();
  EXPECT_EQ(machine.dma(0x5000), std::nullopt);
  EXPECT_EQ(machine.read(kStat) & kStCmdRun, kStCmdRun);
}

TEST(LinuxSequenceTest, X2apicInterrupts) {
  Machine machine(options_for(Profile::kV1Xt));
  LinuxDriver linux(machine);
  linux.early_enable();
  // As seen of a guest; no MSI capability is set up.
  machine.write(kXtEvt, 0x2000000104);
  machine.write(kXtPpr, 0x2000000204);
  linux.feature(kIntCapXtEn | kEvtIntEn);
  EXPECT_EQ(machine.dma(0x5000), std::nullopt);
  ASSERT_EQ(machine.sinks.unit_msis.size(), 1U);
  EXPECT_EQ(machine.sinks.unit_msis[0].address, 0xfee01004U);
  EXPECT_EQ(machine.sinks.unit_msis[0].data & 0xff, 0x20U);
  // 128-bit entries, 512 of them, a destination above 255.
  ASSERT_TRUE(linux.set_entry(kDevice, 3, 0, 0x600000 | 9 << 1 | 1 | std::uint64_t{2} << 60));
  machine.store(0x600000 + 16 + 8, 0x00'00000000000022ULL);
  machine.store(0x600000 + 16, 0x12301);
  ASSERT_TRUE(linux.command(std::uint64_t{5} << 60 | kDevice));
  std::array<std::byte, 4> data{std::byte{1}};
  EXPECT_TRUE(machine.port().write(Iova(0xfee00000), data));
  ASSERT_EQ(machine.sinks.device_msis.size(), 1U);
  EXPECT_EQ(machine.sinks.device_msis[0].second.address, 0x000001'00fee23000ULL);
}

TEST(LinuxSequenceTest, GuestTablesWithPasids) {
  Machine machine(options_for(Profile::kV2));
  LinuxDriver linux(machine);
  linux.early_enable();
  linux.feature(kPprEn | kEphEn);
  // Two levels of guest CR3 table, GIoV; PASID 0 is the DMA API.
  constexpr std::uint64_t kGcr3 = 0x700000, kGuest = 0x710000;
  machine.store(kGcr3, (kGcr3 + 0x1000) | 1);
  const auto map = [&](std::uint64_t root, std::uint64_t page) {
    for (unsigned i = 0; i < 3; ++i)
      machine.store(root + i * 0x1000, (root + (i + 1) * 0x1000) | 0x27);
    machine.store(root + 0x3000, page | 0x67);
  };
  map(kGuest, 0x4000000);
  machine.store(kGcr3 + 0x1000, kGuest | 1);
  const std::uint64_t q0 =
      3 | kRw | std::uint64_t{3} << 54 | std::uint64_t{1} << 56 | (kGcr3 >> 12 & 7) << 58;
  ASSERT_TRUE(linux.set_entry(kDevice, q0, 9 | (kGcr3 >> 15 & 0xffff) << 16));
  EXPECT_EQ(machine.dma(0x10), 0x4000010U);
  EXPECT_TRUE(machine.events().empty());
  // SVA bind: a PASID's CR3, then a flush of the PASID.
  map(kGuest + 0x10000, 0x5000000);
  EXPECT_EQ(machine.dma(0x10, Access::kRead, kDevice, {.pasid = Pasid{3}}), std::nullopt);
  machine.store(kGcr3 + 0x1000 + 3 * 8, (kGuest + 0x10000) | 1);
  ASSERT_TRUE(
      linux.command(std::uint64_t{3} << 60 | std::uint64_t{9} << 32 | 3, 0x7ffffffffffff000 | 7));
  EXPECT_EQ(machine.dma(0x10, Access::kRead, kDevice, {.pasid = Pasid{3}}), 0x5000010U);
}

// Linux waits 100 ms for a completion. A pinned page of the domain parks the ring, not the caller;
// and the wait completes with the release.
TEST(LinuxSequenceTest, APinnedDomainParksTheRing) {
  Machine machine(options_for(Profile::kV1));
  LinuxDriver linux(machine);
  linux.early_enable();
  ASSERT_TRUE(linux.set_entry(kDevice, kRoot | 1 << 9 | 3 | kRw, 7));
  machine.store(kRoot, leaf(0x4000000));
  machine.store(kRoot + 8, leaf(0x4001000));
  auto pin = machine.port().map(Iova(0), 0x1000, Access::kWrite);
  ASSERT_TRUE(pin);
  machine.store(kRoot, 0);
  EXPECT_FALSE(linux.flush_range(7, 0, 0xfff));
  EXPECT_EQ(machine.dma(0x1000), 0x4001000U);  // the machine goes on
  EXPECT_EQ(machine.read(kStat) & kStCmdRun, kStCmdRun);
  const std::uint64_t before = machine.load(kSemaphore);
  pin->release();
  machine.iommu->poll();
  EXPECT_EQ(machine.load(kSemaphore), before + 1);
  EXPECT_EQ(machine.read(kCmdHead), machine.read(kCmdTail));
}

}  // namespace
}  // namespace weir::amdvi::test
