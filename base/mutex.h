// SPDX-License-Identifier: Apache-2.0
//
// A mutex that clang's thread-safety analysis understands, so that "guarded by" is checked and not
// only written down. Under other compilers the annotations vanish.
#pragma once

#include <mutex>

#if defined(__clang__)
#define WEIR_ANNOTATE(x) __attribute__((x))
#else
#define WEIR_ANNOTATE(x)
#endif

#define WEIR_CAPABILITY(name) WEIR_ANNOTATE(capability(name))
#define WEIR_SCOPED_CAPABILITY WEIR_ANNOTATE(scoped_lockable)
#define WEIR_GUARDED_BY(m) WEIR_ANNOTATE(guarded_by(m))
#define WEIR_REQUIRES(...) WEIR_ANNOTATE(requires_capability(__VA_ARGS__))
#define WEIR_EXCLUDES(...) WEIR_ANNOTATE(locks_excluded(__VA_ARGS__))
#define WEIR_ACQUIRE(...) WEIR_ANNOTATE(acquire_capability(__VA_ARGS__))
#define WEIR_RELEASE(...) WEIR_ANNOTATE(release_capability(__VA_ARGS__))
#define WEIR_TRY_ACQUIRE(...) WEIR_ANNOTATE(try_acquire_capability(__VA_ARGS__))

namespace weir {

class WEIR_CAPABILITY("mutex") Mutex {
 public:
  void lock() WEIR_ACQUIRE() { mutex_.lock(); }
  void unlock() WEIR_RELEASE() { mutex_.unlock(); }
  [[nodiscard]] bool try_lock() WEIR_TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

class WEIR_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) WEIR_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() WEIR_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace weir
