// SPDX-License-Identifier: Apache-2.0
#include "bench/flush_cases.h"

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include "bench/loops.h"
#include "bench/machine.h"
#include "bench/threads.h"
#include "iotlb/iotlb.h"

namespace weir::bench {
namespace {

using benchmark::State;
using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

constexpr std::string_view kToShow[] = {names::kHitBeside1, names::kHitBesideOwn,
                                        names::kPageFlushQueued};

// ---- One flush, in an IOTLB that has room for everything.

class Flushes {
 public:
  static constexpr std::size_t kEntries = std::size_t{1} << 17;
  static constexpr std::size_t kMany = std::size_t{1} << 16;
  static constexpr std::size_t kBatch = Workload::kBatch;

  // `resident` pages, spread evenly over kBatch domains or all of one.
  Flushes(std::size_t resident, bool domains)
      : iotlb_({.entries = kEntries}), resident_(resident), domains_(domains) {
    std::mt19937_64 random(7);
    order_.resize(resident);
    for (std::size_t i = 0; i < resident; ++i) order_[i] = i;
    std::shuffle(order_.begin(), order_.end(), random);
    for (std::size_t i = 0; i < resident; ++i) fill(i);
  }

  // Each iteration flushes kBatch pages, and brings them back without being timed.
  void pages(State& state) {
    std::size_t at = 0;
    std::uint64_t removed = 0;
    for (auto _ : state) {
      for (std::size_t i = 0; i < kBatch; ++i) {
        const Iova page = page_of(order_[(at + i) % resident_]);
        removed += iotlb_
                       .invalidate({.scope = iotlb::Scope::kRange,
                                    .domain = {1},
                                    .range = {page, page + (kPageSize - 1)}})
                       .entries;
      }
      state.PauseTiming();
      for (std::size_t i = 0; i < kBatch; ++i) fill(order_[(at + i) % resident_]);
      at += kBatch;
      state.ResumeTiming();
    }
    if (removed != static_cast<std::uint64_t>(state.iterations()) * kBatch)
      state.SkipWithError("a page was not resident");
  }

  // Likewise every domain, or everything.
  void wide(State& state, iotlb::Scope scope) {
    std::uint64_t removed = 0;
    for (auto _ : state) {
      for (std::size_t i = 0; i < kBatch; ++i)
        removed += iotlb_.invalidate({.scope = scope, .domain = domain_of(i)}).entries;
      state.PauseTiming();
      for (std::size_t i = 0; i < resident_; ++i) fill(i);
      state.ResumeTiming();
    }
    // In so many domains some pages push each other out.
    const auto filled = static_cast<std::uint64_t>(state.iterations()) * resident_;
    if (removed > filled || removed < filled - filled / 4)
      state.SkipWithError("a flush removed something else");
  }

 private:
  [[nodiscard]] static Iova page_of(std::size_t i) {
    return Iova(Workload::kFirstPage + i * kPageSize);
  }
  [[nodiscard]] DomainId domain_of(std::size_t i) const {
    return {domains_ ? static_cast<std::uint32_t>(1 + i % kBatch) : 1};
  }
  void fill(std::size_t i) {
    const iotlb::Tag tag{.domain = domain_of(i)};
    (void)iotlb_.fill(iotlb_.begin_fill(tag.domain), {.tag = tag,
                                                      .page = page_of(i),
                                                      .output = i << kPageLg2,
                                                      .permissions = Permissions::read_write()});
  }

  iotlb::Iotlb iotlb_;
  const std::size_t resident_;
  const bool domains_;
  std::vector<std::size_t> order_;
};

// ---- A guest that flushes all the time, on a processor of its own.

class BusyGuest {
 public:
  struct Habits {
    std::size_t at_once = 64;  // pages between two completions
    bool own_pages = false;    // of the reader, who then walks them again
    bool paced = true;         // to a million pages a second; otherwise as fast as it goes
  };
  BusyGuest(Machine& machine, Habits habits)
      : thread_([this, &machine, habits](const std::stop_token& stop) {
          const PinnedThread pin(true, 1);
          run(machine, habits, stop);
        }) {}
  // Pages a second, since the first one.
  [[nodiscard]] double rate() const {
    // Relaxed: a report.
    return rate_.load(std::memory_order_relaxed);
  }

 private:
  void run(Machine& machine, Habits habits, const std::stop_token& stop) {
    constexpr double kPerSecond = 1e6;
    std::uint64_t page = habits.own_pages ? 0 : Workload::kUnusedPage;
    std::uint64_t flushed = 0;
    const auto began = SteadyClock::now();
    while (!stop.stop_requested()) {
      machine.flush_pages(page, habits.at_once);
      page += habits.at_once;
      if (habits.own_pages && page >= WorkloadOptions{}.pages) page = 0;
      if (!habits.own_pages && page >= 2 * Workload::kUnusedPage) page = Workload::kUnusedPage;
      flushed += habits.at_once;
      const auto due = began + Seconds(static_cast<double>(flushed) / kPerSecond);
      auto now = SteadyClock::now();
      while (habits.paced && now < due && !stop.stop_requested()) now = SteadyClock::now();
      // Relaxed: a report.
      rate_.store(static_cast<double>(flushed) / Seconds(now - began).count(),
                  std::memory_order_relaxed);
    }
  }

  std::atomic<double> rate_{0};
  std::jthread thread_;
};

void run_beside(State& state, const Workload& workload, Machine& machine, BusyGuest::Habits habits,
                Amount& rate) {
  const PinnedThread pin(true, 0);
  const BusyGuest guest(machine, habits);
  run_bursts<false>(state, workload, workload.translated(), [&](auto requests, auto& chain) {
    answer_burst(machine.translated(0), requests, chain);
  });
  // A repetition that is over before the first flush has no rate.
  if (guest.rate() != 0) rate.add(guest.rate() / 1e6);
  if (habits.paced) rate.least = 0.95;
}

// Every thousandth request of this thread is followed by a flush of a page, completion and all.
void run_mixed(State& state, const Workload& workload, Machine& machine) {
  constexpr std::size_t kRequestsToFlush = 1000;
  std::size_t requests_left = kRequestsToFlush;
  std::uint64_t page = static_cast<std::uint64_t>(state.thread_index()) * 1021;
  run_bursts<false>(state, workload, workload.translated(), [&](auto requests, auto& chain) {
    answer_burst(machine.translated(0), requests, chain);
    if (requests_left > requests.size()) {
      requests_left -= requests.size();
      return;
    }
    requests_left += kRequestsToFlush - requests.size();
    page = (page + 613) % workload.pages();
    machine.flush_pages(page, 1);
  });
}

// ---- Room.

[[nodiscard]] double heap() {
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

void measure_entry(State& state, Amount& amount) {
  for (auto _ : state) {
    constexpr std::size_t kEntries = 4096;
    const double before = heap();
    const auto iotlb = std::make_unique<iotlb::Iotlb>(iotlb::IotlbOptions{.entries = kEntries});
    amount.add((heap() - before) / kEntries);
  }
}

void measure_crowd(State& state, Amount& bytes, Amount& seconds) {
  constexpr std::size_t kDevices = 10'000;
  for (auto _ : state) {
    Crowd crowd(kDevices);
    const double before = heap();
    const auto began = SteadyClock::now();
    crowd.attach();
    seconds.add(Seconds(SteadyClock::now() - began).count());
    bytes.add((heap() - before) / kDevices);
    const auto went_on = SteadyClock::now();
    if (!crowd.everyone_asks()) state.SkipWithError("a device of the crowd is not translated");
    seconds.add_to_last(Seconds(SteadyClock::now() - went_on).count());
  }
}

}  // namespace

bool is_flush_case_to_show(std::string_view name) {
  return std::find(std::begin(kToShow), std::end(kToShow), name) != std::end(kToShow);
}

void add_flush_cases(std::vector<Case>& cases, const std::function<bool(std::string_view)>& wanted,
                     const Workload& workload, const std::function<Machine&()>& machine) {
  const auto add_flushes = [&](std::string_view name, std::size_t resident, bool domains,
                               auto run) {
    if (!wanted(name)) return;
    const auto subject = std::make_shared<Flushes>(resident, domains);
    cases.push_back({.name = name,
                     .run = [subject, run](State& state) { run(*subject, state); },
                     .iterations = 8});
  };
  const auto pages = [](Flushes& flushes, State& state) { flushes.pages(state); };
  const auto of_domain = [](Flushes& flushes, State& state) {
    flushes.wide(state, iotlb::Scope::kDomain);
  };
  const auto of_all = [](Flushes& flushes, State& state) {
    flushes.wide(state, iotlb::Scope::kAll);
  };
  add_flushes(names::kPageFlushFew, Flushes::kBatch, false, pages);
  add_flushes(names::kPageFlushMany, Flushes::kMany, false, pages);
  add_flushes(names::kDomainFlushFew, Flushes::kBatch, true, of_domain);
  add_flushes(names::kDomainFlushMany, Flushes::kMany, true, of_domain);
  add_flushes(names::kGlobalFlush, Flushes::kMany, false, of_all);

  const auto add_beside = [&](std::string_view name, BusyGuest::Habits habits) {
    if (!wanted(name)) return;
    const auto rate = std::make_shared<Amount>("M flushes/s");
    cases.push_back({.name = name,
                     .run = [&workload, keep = machine, &m = machine(), habits,
                             rate](State& state) { run_beside(state, workload, m, habits, *rate); },
                     .amount = rate,
                     .processors = 2});
  };
  add_beside(names::kHitBeside64, {});
  add_beside(names::kHitBesideOwn, {.own_pages = true});
  add_beside(names::kHitBeside1, {.at_once = 1, .paced = false});

  const auto add_mixed = [&](std::string_view name, unsigned threads) {
    if (!wanted(name)) return;
    cases.push_back({.name = name,
                     .threads = threads,
                     .run = [&workload, keep = machine,
                             &m = machine()](State& state) { run_mixed(state, workload, m); },
                     .processors = threads});
  };
  add_mixed(names::kMixed, 1);
  add_mixed(names::kMixedTwo, 2);

  if (wanted(names::kPageFlushQueued))
    cases.push_back(
        {.name = names::kPageFlushQueued, .run = [keep = machine, &m = machine()](State& state) {
           for (auto _ : state)
             for (std::size_t i = 0; i < Workload::kBatch; ++i)
               m.flush_pages(Workload::kUnusedPage, 1);
         }});

  if (wanted(names::kBytesPerEntry)) {
    const auto bytes = std::make_shared<Amount>("bytes");
    cases.push_back({.name = names::kBytesPerEntry,
                     .run = [bytes](State& state) { measure_entry(state, *bytes); },
                     .amount = bytes,
                     .iterations = 1});
  }
  if (wanted(names::kBytesPerDevice) || wanted(names::kAttach)) {
    const auto bytes = std::make_shared<Amount>("bytes");
    const auto seconds = std::make_shared<Amount>("s");
    cases.push_back(
        {.name = names::kBytesPerDevice,
         .run = [bytes, seconds](State& state) { measure_crowd(state, *bytes, *seconds); },
         .amount = bytes,
         .iterations = 1});
    cases.push_back({.name = names::kAttach,
                     .run =
                         [](State& state) {
                           for (auto _ : state) {
                           }
                         },
                     .amount = seconds,
                     .iterations = 1});
  }
}

}  // namespace weir::bench
