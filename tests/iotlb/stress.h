// SPDX-License-Identifier: Apache-2.0
//
// What the concurrency tests share: threads that are joined, numbers that are cheap, and how long
// to go on.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

namespace weir {

// Iterations of a tight loop; under TSan each costs ten times as much.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr int kRounds = 40000;
#else
inline constexpr int kRounds = 200000;
#endif

// Whether to begin round `n` of `rounds`: on a busy machine a little longer, until the threads have
// met often enough to have seen something.
[[nodiscard]] inline bool goes_on(int n, int rounds, std::uint64_t seen) {
  return n < rounds || (seen < 100 && n < 100 * rounds);
}

class Threads {
 public:
  Threads() = default;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { join(); }

  template <typename Body>
  void run(Body body) {
    threads_.emplace_back(std::move(body));
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::uint64_t below(std::uint64_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 16) % limit;
  }

 private:
  std::uint64_t state_;
};

// Takes a while, now and then a whole time slice: what is wrong happens where threads are cut off.
inline void linger(Random& random) {
  if (random.below(256) == 0) {
    std::this_thread::yield();
    return;
  }
  for (std::uint64_t turns = random.below(200); turns != 0; --turns)
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace weir
