// SPDX-License-Identifier: Apache-2.0
//
// The two things a measurement needs of threads: one that does nothing, and a place to stay.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace weir::bench {

// A second thread that sleeps. While a process has only one, the C library locks without atomics,
// and every mutex looks three times as fast as it is where weir is used.
class IdleThread {
 public:
  IdleThread();
  ~IdleThread();
  IdleThread(const IdleThread&) = delete;
  IdleThread& operator=(const IdleThread&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;  // guarded by mutex_
  std::thread thread_;
};

// Processors that this process may use.
[[nodiscard]] unsigned usable_processors();

// Keeps the calling thread on the `index`th of them until destroyed, if `pinned`.
class PinnedThread {
 public:
  PinnedThread(bool pinned, unsigned index);
  ~PinnedThread();
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

}  // namespace weir::bench
