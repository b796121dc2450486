// SPDX-License-Identifier: Apache-2.0
//
// For a thread that looks at a word again and again: tells the processor so, which then looks less
// often and leaves more to its neighbour. Any thread; never blocks, and orders nothing.
#pragma once

namespace weir {

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace weir
