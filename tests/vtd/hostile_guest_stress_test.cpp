// SPDX-License-Identifier: Apache-2.0
//
// Device threads translate, fault, send messages and ask for pages while a vCPU drives every
// register and the queues and rewrites context, PASID and interrupt entries under them: once as a
// driver does, once at random. The books come out exact (L9), no answer comes from an entry that
// memory never held (L3), and every fault is accounted for: it has a record, or one of its source
// was pending (collapse), or FSTS.PFO stood (7.2).
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "tests/vtd/fault_ledger.h"
#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x0010, kOther = 0x0018;
constexpr std::uint64_t kIova = 0x10000, kMissing = 0x20000;
// Functions that do nothing but fault, one of each device thread.
constexpr std::array<std::uint16_t, 2> kFaulty = {0x0020, 0x0028};
constexpr unsigned kRounds = 400, kSteps = 40000;

struct Device final : AtsDevice {
  explicit Device(DmaPort& to) : port(to) {}
  void on_invalidate(const AtsInvalidation& what) override {
    (void)port.acknowledge_invalidation(what.id);
  }
  DmaPort& port;
};

class HostileGuestStress : public ::testing::Test {
 protected:
  HostileGuestStress() : machine_(options()), ledger_(machine_, kFaulty) {
    root_ = machine_.page();
    contexts_ = machine_.page();
    directory_ = machine_.page();
    pasids_ = machine_.page();
    upper_ = machine_.page();
    lower_ = machine_.page();
    buffer_ = machine_.page();
    entries_ = machine_.page();
    queue_ = machine_.page();
    status_ = machine_.page();
    prepare();
  }
  void prepare() {
    machine_.put(root_, contexts_ | 1);
    machine_.put(directory_, pasids_ | 1);
    machine_.put(machine_.entry_for(upper_, 4, kIova, 7), buffer_ | 7);
    for (std::uint64_t gpa = 0x100000; gpa < 0x180000; gpa += 0x1000)
      machine_.put(machine_.entry_for(lower_, 4, gpa, 3), gpa | 3);
    machine_.put(machine_.entry_for(lower_, 4, kIova, 3), buffer_ | 3);
    for (const std::uint16_t sid : {kSid, kOther, kFaulty[0], kFaulty[1]}) {
      machine_.put(contexts_ + sid * 32U, directory_ | 9);
      (void)machine_.device(sid);
    }
    set_pasid(0);
    machine_.put(entries_, 0x0000030000550001);
    machine_.writeq(0x90, queue_ | 0x800);
    machine_.writeq(0xb8, entries_);
    machine_.writeq(0x20, root_ | 0x400);
    command(WholeMachine::kQie, true);
    command(WholeMachine::kSrtp, true);
    command(WholeMachine::kSirtp, true);
    command(WholeMachine::kTe, true);
    command(WholeMachine::kIre, true);
  }
  static Options options() {
    Options o = profile::full();
    o.strict_interrupt_entries = true;
    return o;
  }
  // Second stage, first stage and nested in turn, all to the same page; of domain 5.
  void set_pasid(unsigned round) {
    static constexpr std::array<std::uint64_t, 3> kTypes = {2, 1, 3};
    machine_.put(pasids_ + 16, upper_ | 16);
    machine_.put(pasids_ + 8, 5 | 1 << 23);
    machine_.put(pasids_, lower_ | 2 << 2 | kTypes[round % 3] << 6 | 1);
  }
  template <typename Condition>
  void wait_for(Condition condition) {
    while (!condition()) {
      machine_.iommu().poll();
      std::this_thread::yield();
    }
  }
  void command(std::uint32_t bit, bool on) {
    const bool once = bit == WholeMachine::kSrtp || bit == WholeMachine::kSirtp;
    const std::uint32_t value = on ? in_force_ | bit : in_force_ & ~bit;
    if (!once) in_force_ = value;
    machine_.writel(0x18, value);
    wait_for([&] { return ((machine_.readl(0x1c) & bit) != 0) == on; });
  }
  void submit(std::uint64_t low, std::uint64_t high = 0) {
    const auto place = [&](std::uint64_t first, std::uint64_t second) {
      machine_.put(queue_ + tail_, first);
      machine_.put(queue_ + tail_ + 8, second);
      tail_ = (tail_ + 32) % 0x1000;
    };
    place(low, high);
    place(0x25 | std::uint64_t{++serial_} << 32, status_);
    machine_.writel(0x88, tail_);
    wait_for([&] { return (machine_.get(status_) & 0xffffffff) == serial_; });
  }
  // One vCPU's round: live rewrites, then whatever makes them hold.
  void round(unsigned i) {
    set_pasid(i);
    submit(0x17 | 5U << 16);  // PASID cache, PASID 0 of domain 5
    submit(0xe2 | 5U << 16);
    const std::uint64_t vector = 0x50 + i % 16;
    machine_.put(entries_, 0x0000030000000001 | vector << 16);
    submit(0x14);
    machine_.put(contexts_ + kOther * 32U, i % 2 == 0 ? 0 : directory_ | 9);
    submit(0x31 | std::uint64_t{kOther} << 32);
    submit(0x36 | 5U << 16, kIova);
    for (std::uint64_t at = 0; at < 0x100; at += 4) (void)machine_.readl(at);
    ledger_.collect();
    if (i % 16 == 0) {
      collect();
      command(WholeMachine::kSrtp, true);
      command(WholeMachine::kSirtp, true);
      command(WholeMachine::kIre, false);
      command(WholeMachine::kIre, true);
    }
    if (i % 64 == 0) {
      command(WholeMachine::kTe, false);
      command(WholeMachine::kTe, true);
    }
  }

  // Takes the records, and lets both threads fault again before it goes on.
  void collect() {
    ledger_.collect();
    const std::uint64_t before = ledger_.requests();
    wait_for([&] { return ledger_.requests() >= before + 2; });
  }
  // A hostile guest's step: any register, any descriptor, any entry.
  void any_step();
  void write_any_register();
  void post_anything();
  void rewrite_anything();
  // Numbers near what means something, or anything at all.
  [[nodiscard]] std::uint64_t word() {
    switch (random_() % 4) {
      case 0:
        return random_();
      case 1:
        return root_ + random_() % 64 * 0x1000;
      case 2:
        return std::uint64_t{1} << random_() % 64;
      default:
        return random_() % 256;
    }
  }

  WholeMachine machine_;
  FaultLedger ledger_;
  std::mt19937_64 random_{20261120};
  std::uint64_t root_ = 0, contexts_ = 0, directory_ = 0, pasids_ = 0, upper_ = 0, lower_ = 0,
                buffer_ = 0, entries_ = 0, queue_ = 0, status_ = 0;
  std::uint32_t in_force_ = 0, tail_ = 0, serial_ = 0;
};

void HostileGuestStress::write_any_register() {
  const bool near = random_() % 8 != 0;
  const std::uint64_t at = random_() % (near ? 0x110 : 0x2100);
  const unsigned size = 1U << random_() % 4;
  std::uint64_t value = word();
  // Records are cleared by the ledger alone, and it hears of everything that may end an overflow.
  const std::uint64_t record = at & ~std::uint64_t{7};
  if (record >= FaultLedger::kRecords && record < FaultLedger::kRecordsEnd)
    value &= ~(std::uint64_t{1} << 63 | std::uint64_t{1} << 31);
  const auto put = [&] { machine_.unit().write_register(at, size, value); };
  if (record == 0x30)
    ledger_.serviced(put);
  else
    put();
  (void)machine_.unit().read_register(at, size);
}

void HostileGuestStress::post_anything() {
  const std::uint64_t at = queue_ + (machine_.readq(0x88) & 0xfe0);
  std::uint64_t low = word();
  if (random_() % 4 != 0) low = (low & 0xffffffff00f0ULL) | random_() % 10;
  machine_.put(at, low);
  machine_.put(at + 8, word());
  machine_.put(at + 16, 0);
  machine_.put(at + 24, 0);
  machine_.writel(0x88, static_cast<std::uint32_t>((at - queue_ + 32) % 0x1000));
  machine_.writel(0x34, 0x70);  // whatever it was: the queue goes on
}

void HostileGuestStress::rewrite_anything() {
  const std::uint64_t sid = random_() % 8 * 8;
  switch (random_() % 6) {
    case 0:
      return machine_.put(contexts_ + sid * 32 + random_() % 4 * 8, word());
    case 1:
      return machine_.put(pasids_ + random_() % 4 * 8, word());
    case 2:
      return machine_.put(entries_ + random_() % 4 * 8, word());
    case 3:
      return machine_.put(directory_, random_() % 2 == 0 ? word() : pasids_ | 1);
    case 4:
      return machine_.put((random_() % 2 == 0 ? upper_ : lower_) + random_() % 4 * 8, word());
    default:
      for (const std::uint16_t sid_of : {kSid, kOther, kFaulty[0], kFaulty[1]})
        machine_.put(contexts_ + sid_of * 32U, directory_ | 9 | 4 | 16);
      machine_.put(directory_, pasids_ | 1);
      machine_.put(root_, contexts_ | 1);
      return set_pasid(static_cast<unsigned>(random_()));
  }
}

void HostileGuestStress::any_step() {
  switch (random_() % 8) {
    case 0:
    case 1:
    case 2:
      return write_any_register();
    case 3:
    case 4:
      return rewrite_anything();
    case 5:
      return post_anything();
    case 6:
      machine_.iommu().poll();
      return random_() % 128 == 0 ? collect() : ledger_.collect();
    default:
      // As its driver would have it, or most of what follows would meet a unit that is off.
      machine_.writeq(0x90, queue_ | 0x800);
      machine_.writeq(0xb8, entries_);
      machine_.writeq(0x20, root_ | 0x400);
      machine_.writeq(0xd0, status_);
      machine_.writel(0xdc, 3);
      machine_.writel(0x38, 0);
      return machine_.writel(0x18, 0xc7000000);
  }
}

TEST_F(HostileGuestStress, EverythingAtOnce) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> asked{0};
  const auto device = [&](std::uint16_t sid, unsigned faulty) {
    DmaPort& port = machine_.device(sid);
    std::uint64_t mine = 0;
    while (!stop.load()) {
      std::array<std::byte, 4> data{};
      mine += 4;
      ledger_.fault(faulty);
      const auto mapped = port.translate(Iova(kIova), 4, Access::kRead);
      // Off, the unit passes addresses through; on, there is one page behind this one.
      if (mapped) {
        EXPECT_TRUE(mapped->gpa == Gpa(buffer_) || mapped->gpa == Gpa(kIova))
            << std::hex << mapped->gpa.value();
      }
      (void)port.read(Iova(kMissing), data);
      (void)port.write(Iova(0xfee00010), data);
    }
    asked.fetch_add(mine);
  };
  const Stats before = machine_.iommu().stats();
  std::thread one(device, kSid, 0), two(device, kOther, 1);
  for (unsigned i = 0; i < kRounds; ++i) round(i);
  stop.store(true);
  one.join();
  two.join();
  const FaultLedger::Sum faults_sum = ledger_.balance();
  EXPECT_EQ(faults_sum.lost, 0U);
  EXPECT_EQ(faults_sum.overflowed, 0U) << "there are more records than functions";
  EXPECT_GT(faults_sum.recorded, kRounds / 16);
  // L9: every request was one piece, and every piece has one outcome.
  const Stats after = machine_.iommu().stats();
  EXPECT_EQ(after.pieces() - before.pieces(), asked.load());
  EXPECT_EQ(machine_.readl(0x34) & 0x70, 0U);
  // Faults are recorded as ever.
  (void)machine_.take_faults_loosely();
  ASSERT_NE(machine_.read_code(kSid, kMissing), 0U);
  const auto faults = machine_.take_faults_loosely();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].source, kSid);
  EXPECT_EQ(faults[0].address, kMissing);
}

TEST_F(HostileGuestStress, EveryRegisterEveryQueueEveryEntry) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> asked{0}, pages{0};
  const auto device = [&](std::uint16_t sid, unsigned faulty) {
    DmaPort& port = machine_.device(sid);
    port.set_ats_device(std::make_shared<Device>(port));
    std::uint64_t mine = 0, groups = 0;
    while (!stop.load()) {
      std::array<std::byte, 4> data{};
      mine += 5;
      ledger_.fault(faulty);
      (void)port.translate(Iova(kIova), 4, Access::kRead);
      (void)port.read(Iova(kMissing), data);
      (void)port.write(Iova(0xfee00010), data);
      (void)port.request_translation(Iova(kIova));
      PageRequest page;
      page.page = Iova(kMissing);
      page.group = static_cast<std::uint16_t>(groups++ & 0x1ff);
      page.last = page.read = true;
      port.request_page(page);
    }
    asked.fetch_add(mine);
    pages.fetch_add(groups);
  };
  const Stats before = machine_.iommu().stats();
  std::thread one(device, kSid, 0), two(device, kOther, 1);
  for (unsigned i = 0; i < kSteps; ++i) any_step();
  stop.store(true);
  one.join();
  two.join();
  const Stats after = machine_.iommu().stats();
  EXPECT_EQ(after.pieces() - before.pieces(), asked.load());
  EXPECT_EQ(after.page_requests, pages.load());
  const FaultLedger::Sum faults_sum = ledger_.balance();
  EXPECT_EQ(faults_sum.lost, 0U);
  EXPECT_GT(faults_sum.recorded, 0U);
  // A reset, and it serves a good driver.
  ASSERT_TRUE(machine_.iommu().reset().complete());
  for (std::uint64_t at = 0x100000; at < 0x200000; at += 8) machine_.put(at, 0);
  in_force_ = tail_ = 0;
  prepare();
  EXPECT_EQ(machine_.read_code(kSid, kIova), 0U);
  ASSERT_NE(machine_.read_code(kSid, kMissing), 0U);
  EXPECT_EQ(machine_.take_faults().size(), 1U);
}

}  // namespace
}  // namespace weir::vtd::test
