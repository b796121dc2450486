// SPDX-License-Identifier: Apache-2.0
//
// One thread at a time, and nobody waits: whoever comes while another is at work leaves a note, and
// the one at work makes another round for it. Also on the same thread, from inside the work.
//
// Any thread.
#pragma once

#include "base/mutex.h"

namespace weir {

class Turn {
 public:
  // Calls work() until nobody has come meanwhile; returns at once if somebody else is at it.
  template <typename Work>
  void run(Work work) WEIR_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (taken_) {
        again_ = true;
        return;
      }
      taken_ = true;
    }
    for (;;) {
      work();
      const MutexLock lock(mutex_);
      if (!again_) {
        taken_ = false;
        return;
      }
      again_ = false;
    }
  }

 private:
  Mutex mutex_;
  bool taken_ WEIR_GUARDED_BY(mutex_) = false;
  bool again_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir
