// SPDX-License-Identifier: Apache-2.0
//
// A small value that many threads read and few write: readers get one value as it was written or
// nothing (L3), and never wait (L4). A writer that meets another gives up, so this suits caches,
// where a lost write costs a later lookup.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

namespace weir::iotlb {

template <typename T>
class Published {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  [[nodiscard]] std::optional<T> read() const {
    // Acquire: pairs with the release in write(); the words are at least as new.
    const std::uint64_t before = sequence_.load(std::memory_order_acquire);
    if (before % 2 != 0 || before == 0) return std::nullopt;
    std::array<std::uint64_t, kWords> words;
    // Acquire, each: a word of a later write makes that write's odd sequence visible below.
    for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
    // Relaxed: ordered after the words because those are acquire.
    if (sequence_.load(std::memory_order_relaxed) != before) return std::nullopt;
    T value;
    std::memcpy(static_cast<void*>(&value), words.data(), sizeof value);
    return value;
  }

  // The same into `to`, which is not a value if the answer is false. REQUIRES: where `to` is a base
  // class, no member of the derived one lies in its last padding, which is written as well.
  [[nodiscard]] bool read_into(T& to) const {
    // Orders as in read().
    const std::uint64_t before = sequence_.load(std::memory_order_acquire);
    if (before % 2 != 0 || before == 0) return false;
    auto* const bytes = reinterpret_cast<std::byte*>(&to);
    for (std::size_t i = 0; i < kWords; ++i) {
      const std::uint64_t word = words_[i].load(std::memory_order_acquire);
      std::memcpy(bytes + i * sizeof word, &word,
                  std::min(sizeof word, sizeof to - i * sizeof word));
    }
    // Relaxed: ordered after the words because those are acquire.
    return sequence_.load(std::memory_order_relaxed) == before;
  }

  void write(const T& value) {
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), &value, sizeof value);
    std::uint64_t seen = sequence_.load(std::memory_order_relaxed);
    // Acquire: one writer at a time sees the words as the last one left them.
    if (seen % 2 != 0 || !sequence_.compare_exchange_strong(
                             seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed))
      return;
    // Release, each: makes the odd sequence visible to a reader that sees the new word.
    for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
    sequence_.store(seen + 2, std::memory_order_release);
  }

 private:
  static constexpr std::size_t kWords = (sizeof(T) + 7) / 8;
  std::atomic<std::uint64_t> sequence_{0};  // odd while a writer is inside; 0: never written
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace weir::iotlb
