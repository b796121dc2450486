// SPDX-License-Identifier: Apache-2.0
//
// The two loops every subject is measured in. One iteration of a benchmark is one batch of
// requests; its answers are summed and the sum compared with what it must be, so that a wrong
// translation cannot be a fast one.
//
//   kThroughput  the requests of a batch know nothing of each other: the processor overlaps them
//   kDependent   each address is made from the answer before it: the latency of one request
//
// A subject is a callable (Iova) -> std::uint64_t, the address of the byte; or, where requests come
// in bursts, a callable (span of kBurst requests, chain) that makes one itself.
#pragma once

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bench/baselines.h"
#include "bench/workload.h"
#include "iommu/dma_port.h"

namespace weir::bench {

inline constexpr std::size_t kBurst = 32;
static_assert(Workload::kBatch % kBurst == 0);

// 0, but the compiler does not know. (DoNotOptimize may leave a variable with another value: g++ 12
// is free to give its operand a register that nothing was loaded into.)
[[nodiscard]] inline std::uint64_t unknown_zero() {
  const volatile std::uint64_t zero = 0;
  return zero;
}

// Makes the address of each request, in the way of the loop it belongs to.
template <bool kDepends>
class Chain {
 public:
  // `zero` is 0, but the compiler must not know.
  Chain(Iova base, std::uint64_t zero) : base_(base), zero_(zero) {}

  [[nodiscard]] Iova next(std::uint32_t request) const {
    if constexpr (kDepends)
      return base_ + (request + (last_ & zero_));
    else
      return base_ + request;
  }
  void answered(std::uint64_t address) {
    sum_ += address;
    if constexpr (kDepends) last_ = address;
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }

 private:
  Iova base_;
  std::uint64_t zero_;
  std::uint64_t last_ = 0;
  std::uint64_t sum_ = 0;
};

// `burst(requests, chain)` answers kBurst requests.
template <bool kDepends, typename Burst>
void run_bursts(benchmark::State& state, const Workload& workload, const Workload::Stream& stream,
                Burst burst) {
  const std::uint64_t zero = unknown_zero();
  // Threads start at different places of the same requests.
  std::size_t at = workload.batches() * static_cast<std::size_t>(state.thread_index()) /
                   static_cast<std::size_t>(state.threads());
  for (auto _ : state) {
    Chain<kDepends> chain(stream.base, zero);
    const std::span<const std::uint32_t> requests = workload.batch(at);
    for (std::size_t i = 0; i < Workload::kBatch; i += kBurst)
      burst(requests.subspan(i).first<kBurst>(), chain);
    if (chain.sum() != stream.sums[at]) [[unlikely]] {
      state.SkipWithError("a wrong translation");
      break;
    }
    at = at + 1 == workload.batches() ? 0 : at + 1;
  }
}

// As a device does it: all requests in one burst.
template <bool kDepends>
void answer_burst(DmaPort& port, std::span<const std::uint32_t, kBurst> requests,
                  Chain<kDepends>& chain) {
  DmaPort::Burst burst(port);
  for (const std::uint32_t request : requests) {
    const auto t = burst.translate(chain.next(request), Workload::kRequestBytes, Access::kRead);
    // A device wants the bytes, so their address has to be made as well. Both are taken before
    // anything is said of one: what follows would have to read the other again.
    const std::uint64_t address = t ? t->gpa.value() : kNoAnswer;
    const std::byte* const host = t ? t->host : nullptr;
    benchmark::DoNotOptimize(host);
    chain.answered(address);
  }
}

template <bool kDepends, typename Lookup>
void run_lookups(benchmark::State& state, const Workload& workload, Lookup lookup) {
  run_bursts<kDepends>(state, workload, workload.translated(),
                       [&](std::span<const std::uint32_t, kBurst> requests, auto& chain) {
                         for (const std::uint32_t request : requests)
                           chain.answered(lookup(chain.next(request)));
                       });
}

}  // namespace weir::bench
