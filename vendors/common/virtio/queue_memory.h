// SPDX-License-Identifier: Apache-2.0
//
// Guest memory as a virtqueue needs it, and the one barrier that its protocols ask for. Whoever
// owns the queue decides what stands behind it: a unit's own access to memory, or a device
// function's translated one.
//
// Thread rules: those of the queue that uses it. Neither call throws; neither may destroy the
// queue.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <span>

#include "base/address.h"

namespace weir::virtio {

// Naturally aligned units of up to 8 bytes are read and written whole, and writes become visible in
// the order of the calls.
class QueueMemory {
 public:
  virtual ~QueueMemory() = default;
  // False: there is no such memory; what was transferred is undefined.
  [[nodiscard]] virtual bool read(Gpa at, std::span<std::byte> to) = 0;
  [[nodiscard]] virtual bool write(Gpa at, std::span<const std::byte> from) = 0;

  template <typename Word>
  [[nodiscard]] std::optional<Word> load(Gpa at) {
    Word word{};
    if (!read(at, std::as_writable_bytes(std::span(&word, 1)))) return std::nullopt;
    return word;
  }
  template <typename Word>
  [[nodiscard]] bool store(Gpa at, const Word& word) {
    return write(at, std::as_bytes(std::span(&word, 1)));
  }
};

// Between reading an index and what it publishes (an acquire of whatever the guest released), and
// between writing what the guest polls and reading what it may have written meanwhile (2.7.13,
// 2.8.21: the device's half of the store-and-then-look protocols).
inline void full_barrier() {
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer knows no fences; on the hosts it runs on, a locked instruction is one.
  static thread_local std::atomic<int> own{0};
  own.fetch_add(0, std::memory_order_seq_cst);
#else
  // Sequentially consistent: the guest has the same kind of fence between its store and its load.
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace weir::virtio
