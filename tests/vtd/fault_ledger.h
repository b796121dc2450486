// SPDX-License-Identifier: Apache-2.0
//
// An account of faults under load, from outside: each device thread has a function that meets one
// numbered fault after the other, a vCPU thread collects records meanwhile, and afterwards every
// fault must have become something (7.2, 10.4.9): a record; part of a record of the same source
// that was pending while it was reported; or, if FSTS.PFO stood meanwhile, lost by rule.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/vtd/whole_machine.h"

namespace weir::vtd::test {

class FaultLedger {
 public:
  // The records of profile::full.
  static constexpr std::uint64_t kRecords = 0x220, kRecordsEnd = 0x2a0;

  struct Sum {
    std::uint64_t told = 0;  // to the device, with a code of the unit
    std::uint64_t recorded = 0, collapsed = 0, overflowed = 0, silenced = 0;
    std::uint64_t lost = 0;
  };

  FaultLedger(WholeMachine& machine, std::array<std::uint16_t, 2> sources)
      : machine_(machine), sources_(sources) {
    for (const std::uint16_t sid : sources) (void)machine.device(sid);
  }

  // The next fault of function `which`: an address of its own that nothing maps. Its thread only.
  void fault(unsigned which) {
    Account& account = accounts_[which];
    Entry entry{
        .number = account.numbers, .cleared_before = account.cleared.load(), .recorded = false};
    const std::uint64_t serviced_before = serviced_.load();
    std::array<std::byte, 4> data{};
    const auto done =
        machine_.device(sources_[which]).read(Iova(kFaults + entry.number * 0x1000), data);
    account.numbers.store(entry.number + 1);
    if (done || done.error().code == 0) return;
    entry.recorded = done.error().recorded;
    entry.overflow = (machine_.readl(0x34) & 1) != 0;
    entry.overflow = entry.overflow || service_begun_.load() != serviced_before;
    account.told.push_back(entry);
  }

  // The vCPU: takes every record, in the ring's order from FRI on, and ends an overflow.
  void collect() {
    const std::uint64_t first = machine_.readl(0x34) >> 8 & 0xff;
    constexpr std::uint64_t kCount = (kRecordsEnd - kRecords) / 16;
    for (std::uint64_t i = 0; i < kCount; ++i) take(kRecords + (first + i) % kCount * 16);
    if ((machine_.readl(0x34) & 1) != 0) serviced([this] { machine_.writel(0x34, 1); });
  }
  // Requests of both functions that have ended, the fewer.
  [[nodiscard]] std::uint64_t requests() const {
    return std::min(accounts_[0].numbers.load(), accounts_[1].numbers.load());
  }
  // Runs what may clear PFO.
  template <typename Write>
  void serviced(Write write) {
    service_begun_.fetch_add(1);
    write();
    serviced_.fetch_add(1);
  }

  // When all threads have ended.
  [[nodiscard]] Sum balance() {
    collect();
    Sum sum;
    for (Account& account : accounts_) {
      const std::vector<std::uint64_t>& taken = account.taken;
      EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
      EXPECT_EQ(std::adjacent_find(taken.begin(), taken.end()), taken.end()) << "recorded twice";
      const std::uint64_t recorded_before = sum.recorded;
      for (const Entry& entry : account.told) {
        ++sum.told;
        if (!entry.recorded)
          ++sum.silenced;
        else if (std::binary_search(taken.begin(), taken.end(), entry.number))
          ++sum.recorded;
        else if (entry.cleared_before < taken.size() && taken[entry.cleared_before] < entry.number)
          ++sum.collapsed;
        else if (entry.overflow)
          ++sum.overflowed;
        else
          ++sum.lost;
      }
      EXPECT_EQ(sum.recorded - recorded_before, taken.size()) << "records of no fault";
    }
    EXPECT_EQ(sum.recorded + sum.collapsed + sum.overflowed + sum.silenced + sum.lost, sum.told);
    const auto say = [](const char* name, std::uint64_t value) {
      ::testing::Test::RecordProperty(name, std::to_string(value));
    };
    say("told", sum.told);
    say("recorded", sum.recorded);
    say("collapsed", sum.collapsed);
    say("overflowed", sum.overflowed);
    say("silenced", sum.silenced);
    return sum;
  }

 private:
  static constexpr std::uint64_t kFaults = 0x1000000000;

  struct Entry {
    std::uint64_t number = 0;
    std::uint64_t cleared_before = 0;  // records of this source, when the request began
    bool recorded = false;
    bool overflow = false;  // PFO may have stood meanwhile
  };
  struct Account {
    std::atomic<std::uint64_t> numbers{0};  // requests that have ended
    std::vector<Entry> told;                // its thread's
    std::vector<std::uint64_t> taken;       // the vCPU's
    std::atomic<std::uint64_t> cleared{0};
  };

  void take(std::uint64_t at) {
    const std::uint64_t high = machine_.readq(at + 8);
    if ((high >> 63) == 0) return;
    const std::uint64_t low = machine_.readq(at);
    machine_.writel(at + 12, 1U << 31);
    for (unsigned i = 0; i < sources_.size(); ++i) {
      if ((high & 0xffff) != sources_[i]) continue;
      accounts_[i].taken.push_back((low - kFaults) / 0x1000);
      accounts_[i].cleared.store(accounts_[i].taken.size());
    }
  }

  WholeMachine& machine_;
  const std::array<std::uint16_t, 2> sources_;
  std::array<Account, 2> accounts_;
  std::atomic<std::uint64_t> service_begun_{0}, serviced_{0};
};

}  // namespace weir::vtd::test
