// SPDX-License-Identifier: Apache-2.0
#include "bench/strict_guest.h"

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "bench/threads.h"
#include "replay/nested_guest.h"

namespace weir::bench {
namespace {

using benchmark::State;
using replay::NestedGuest;

constexpr std::array<std::uint16_t, 2> kFunctions = {0x10, 0x20};
// A ring of buffers. One is ten pages of an aligned sixteen: flushed at once, and ten misses each.
constexpr std::uint64_t kBuffersInRing = 256, kPagesOfBuffer = 10;
constexpr unsigned kOrderOfBuffer = 4;
// Of each page a descriptor is read and eight pieces are written.
constexpr std::uint64_t kPieces = 8, kPieceBytes = kPageSize / kPieces;
constexpr std::uint64_t kLookupsOfBuffer = kPagesOfBuffer * (1 + kPieces);
constexpr std::uint64_t kFlushesToWait = NestedGuest::kMostAtOnce;
// Until its flush has completed nobody uses a buffer again: one batch may be outstanding while the
// next one is gathered.
static_assert(kBuffersInRing >= 3 * kFlushesToWait);
constexpr std::uint64_t kBuffersOfRun = kBuffersInRing * 32;

// Buffer by buffer as `descriptors` and pages of one processor; any guest memory behind them.
class Processor {
 public:
  Processor(NestedGuest& guest, std::size_t index)
      : guest_(guest), function_(guest.function(index)) {
    const auto map = [&](Iova iova, std::uint64_t number) {
      if (!guest.map(function_, iova, number)) throw std::runtime_error("no room for a ring");
      return NestedGuest::kBuffers + (number % NestedGuest::kBufferPages << kPageLg2);
    };
    (void)map(kDescriptors, index);
    // Odd multipliers strew the pages over all of the guest's memory, each at its own place.
    for (std::uint64_t buffer = 0; buffer < kBuffersInRing; ++buffer)
      for (std::uint64_t page = 0; page < kPagesOfBuffer; ++page) {
        const std::uint64_t number = 64 + (buffer * kPagesOfBuffer + page) * 2 + index;
        sums_[buffer] += map(page_of(buffer, page), number * 2741) * kPieces;
      }
    for (auto& sum : sums_) sum += kPagesOfBuffer * kPieceBytes * (kPieces * (kPieces - 1) / 2);
  }

  // False: an answer was wrong.
  [[nodiscard]] bool run(std::uint64_t buffers) {
    for (std::uint64_t i = 0; i < buffers; ++i) {
      const std::uint64_t buffer = next_++ % kBuffersInRing;
      std::uint64_t sum = 0;
      for (std::uint64_t page = 0; page < kPagesOfBuffer; ++page) sum += receive(buffer, page);
      if (sum != sums_[buffer]) return false;
      gathered_[count_++] = {function_.domain, page_of(buffer, 0), kOrderOfBuffer, true};
      if (count_ != kFlushesToWait) continue;
      count_ = 0;
      settle();
      wait_ = guest_.post(gathered_);
    }
    settle();
    return true;
  }

 private:
  static constexpr Iova kDescriptors{std::uint64_t{1} << 20};
  [[nodiscard]] static Iova page_of(std::uint64_t buffer, std::uint64_t page) {
    constexpr Iova kFirst{std::uint64_t{1} << 32};
    return kFirst + (buffer << (kPageLg2 + kOrderOfBuffer)) + (page << kPageLg2);
  }

  // A packet that fills a page, in a burst of its own.
  [[nodiscard]] std::uint64_t receive(std::uint64_t buffer, std::uint64_t page) {
    DmaPort::Burst burst(*function_.port);
    const Iova descriptor = kDescriptors + (buffer * kPagesOfBuffer + page) % 256 * 16;
    benchmark::DoNotOptimize(burst.translate(descriptor, 16, Access::kRead).ok());
    const Iova first = page_of(buffer, page);
    std::uint64_t sum = 0;
    for (std::uint64_t piece = 0; piece < kPieces; ++piece) {
      const auto t = burst.translate(first + piece * kPieceBytes, kPieceBytes, Access::kWrite);
      sum += t ? t->gpa.value() : 1;
    }
    return sum;
  }

  void settle() {
    while (!guest_.completed(wait_)) std::this_thread::yield();
  }

  NestedGuest& guest_;
  NestedGuest::Function& function_;
  std::array<std::uint64_t, kBuffersInRing> sums_{};  // of the right answers
  std::array<NestedGuest::Flush, kFlushesToWait> gathered_{};
  std::size_t count_ = 0;
  std::uint32_t wait_ = 0;
  std::uint64_t next_ = 0;
};

class StrictGuest {
 public:
  StrictGuest() {
    auto guest = NestedGuest::create(kFunctions);
    if (!guest) throw std::runtime_error(guest.error());
    guest_ = std::move(*guest);
    for (std::size_t i = 0; i < kFunctions.size(); ++i)
      processors_[i] = std::make_unique<Processor>(*guest_, i);
    // Until every buffer has been used and flushed once.
    for (const auto& processor : processors_)
      if (!processor->run(kBuffersInRing)) throw std::runtime_error("a wrong translation");
  }

  void run(State& state, Amount& lookups, Amount& misses, Amount& flushes) {
    for (auto _ : state) {
      const Stats before = guest_->stats();
      const double seconds = run_both();
      const std::uint64_t walked = guest_->stats().walks - before.walks;
      constexpr std::uint64_t kBuffers = kBuffersOfRun * kFunctions.size();
      if (wrong_.load()) return state.SkipWithError("a wrong translation");
      if (walked < kBuffers * kPagesOfBuffer) return state.SkipWithError("a flushed page was hit");
      const auto a_second = [seconds](std::uint64_t count) {
        return static_cast<double>(count) / seconds / 1e6;
      };
      lookups.add(a_second(kBuffers * kLookupsOfBuffer));
      misses.add(a_second(walked));
      flushes.add(a_second(kBuffers));
    }
  }

 private:
  [[nodiscard]] double run_both() {
    using Clock = std::chrono::steady_clock;
    std::barrier ready(kFunctions.size() + 1);
    std::array<std::jthread, kFunctions.size()> threads;
    for (std::size_t i = 0; i < threads.size(); ++i)
      threads[i] = std::jthread([this, &ready, i] {
        const PinnedThread pin(true, static_cast<unsigned>(i));
        ready.arrive_and_wait();
        // Relaxed: read after the thread was joined.
        if (!processors_[i]->run(kBuffersOfRun)) wrong_.store(true, std::memory_order_relaxed);
      });
    ready.arrive_and_wait();
    const auto began = Clock::now();
    for (auto& thread : threads) thread.join();
    return std::chrono::duration<double>(Clock::now() - began).count();
  }

  std::unique_ptr<NestedGuest> guest_;
  std::array<std::unique_ptr<Processor>, kFunctions.size()> processors_;
  std::atomic<bool> wrong_{false};
};

}  // namespace

void add_strict_guest_cases(std::vector<Case>& cases,
                            const std::function<bool(std::string_view)>& wanted) {
  if (!wanted(names::kStrictLookups)) return;
  const auto lookups = std::make_shared<Amount>("M lookups/s");
  const auto misses = std::make_shared<Amount>("M misses/s");
  const auto flushes = std::make_shared<Amount>("M flushes/s");
  const auto guest = std::make_shared<StrictGuest>();
  cases.push_back({.name = names::kStrictLookups,
                   .run = [=](State& state) { guest->run(state, *lookups, *misses, *flushes); },
                   .amount = lookups,
                   .iterations = 1,
                   .processors = 2});
  // Counted by the one above.
  const auto nothing = [](State& state) {
    for (auto _ : state) {
    }
  };
  cases.push_back(
      {.name = names::kStrictMisses, .run = nothing, .amount = misses, .iterations = 1});
  cases.push_back(
      {.name = names::kStrictFlushes, .run = nothing, .amount = flushes, .iterations = 1});
}

}  // namespace weir::bench
