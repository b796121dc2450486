// SPDX-License-Identifier: Apache-2.0
//
// Device threads translate, fault and send messages while a vCPU drives every register and the
// queue and rewrites context, PASID and interrupt entries under them. The books come out exact
// (L9), no answer comes from an entry that memory never held (L3), and faults are still recorded
// afterwards.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {
namespace {

constexpr std::uint16_t kSid = 0x0010, kOther = 0x0018;
constexpr std::uint64_t kIova = 0x10000, kMissing = 0x20000;
constexpr unsigned kRounds = 400;

class HostileGuestStress : public ::testing::Test {
 protected:
  HostileGuestStress() : machine_(options()) {
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
    machine_.put(root_, contexts_ | 1);
    machine_.put(directory_, pasids_ | 1);
    machine_.put(machine_.entry_for(upper_, 4, kIova, 7), buffer_ | 7);
    for (std::uint64_t gpa = 0x100000; gpa < 0x180000; gpa += 0x1000)
      machine_.put(machine_.entry_for(lower_, 4, gpa, 3), gpa | 3);
    machine_.put(machine_.entry_for(lower_, 4, kIova, 3), buffer_ | 3);
    for (const std::uint16_t sid : {kSid, kOther}) {
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
    (void)machine_.take_faults_loosely();
    if (i % 16 == 0) {
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

  WholeMachine machine_;
  std::uint64_t root_ = 0, contexts_ = 0, directory_ = 0, pasids_ = 0, upper_ = 0, lower_ = 0,
                buffer_ = 0, entries_ = 0, queue_ = 0, status_ = 0;
  std::uint32_t in_force_ = 0, tail_ = 0, serial_ = 0;
};

TEST_F(HostileGuestStress, EverythingAtOnce) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> asked{0};
  const auto device = [&](std::uint16_t sid) {
    DmaPort& port = machine_.device(sid);
    std::uint64_t mine = 0;
    while (!stop.load()) {
      std::array<std::byte, 4> data{};
      mine += 3;
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
  std::thread one(device, kSid), two(device, kOther);
  for (unsigned i = 0; i < kRounds; ++i) round(i);
  stop.store(true);
  one.join();
  two.join();
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

}  // namespace
}  // namespace weir::vtd::test
