// SPDX-License-Identifier: Apache-2.0
#include "bench/threads.h"

#include <pthread.h>
#include <sched.h>

namespace weir::bench {
namespace {

cpu_set_t usable_set() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (pthread_getaffinity_np(pthread_self(), sizeof set, &set) != 0) CPU_SET(0, &set);
  return set;
}

}  // namespace

IdleThread::IdleThread()
    : thread_([this] {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return end_; });
      }) {}

IdleThread::~IdleThread() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

unsigned usable_processors() {
  const cpu_set_t set = usable_set();
  return static_cast<unsigned>(CPU_COUNT(&set));
}

struct PinnedThread::Saved {
  cpu_set_t set;
};

PinnedThread::PinnedThread(bool pinned, unsigned index) {
  if (!pinned) return;
  // Threads of one case are started by the first of them, which may be pinned already: what is
  // usable is asked for once.
  static const cpu_set_t usable = usable_set();
  saved_ = std::make_unique<Saved>(Saved{usable_set()});
  for (std::size_t cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &usable) || seen++ != index) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    // Refused is not wrong, only noisier.
    (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
}

PinnedThread::~PinnedThread() {
  if (saved_ != nullptr)
    (void)pthread_setaffinity_np(pthread_self(), sizeof saved_->set, &saved_->set);
}

}  // namespace weir::bench
