// SPDX-License-Identifier: Apache-2.0
//
// The interrupt entry cache. By default there is none: an entry is read for every message, and a
// guest that forgets to flush gets away with it, as on models. In strict mode an entry that was
// present stays until it is flushed, as hardware may keep it.
//
// Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/mutex.h"

namespace weir::vtd {

class InterruptEntries {
 public:
  using Words = std::array<std::uint64_t, 2>;

  explicit InterruptEntries(bool strict) : strict_(strict) {}

  // Before the entry is read: what a fill must show (L2).
  [[nodiscard]] std::uint64_t begin_fill() WEIR_EXCLUDES(mutex_) {
    if (!strict_) return 0;
    const MutexLock lock(mutex_);
    return flushes_;
  }
  [[nodiscard]] std::optional<Words> find(std::uint32_t index) WEIR_EXCLUDES(mutex_) {
    if (!strict_) return std::nullopt;
    const MutexLock lock(mutex_);
    const auto found = kept_.find(index);
    return found == kept_.end() ? std::nullopt : std::optional(found->second);
  }
  void fill(std::uint64_t ticket, std::uint32_t index, const Words& words) WEIR_EXCLUDES(mutex_) {
    if (!strict_) return;
    const MutexLock lock(mutex_);
    if (ticket == flushes_) kept_.insert_or_assign(index, words);
  }
  // Entries `first` to `last`. At most 65536 are ever there.
  void drop(std::uint32_t first, std::uint32_t last) WEIR_EXCLUDES(mutex_) {
    if (!strict_) return;
    const MutexLock lock(mutex_);
    ++flushes_;
    std::erase_if(kept_,
                  [=](const auto& kept) { return kept.first >= first && kept.first <= last; });
  }

 private:
  const bool strict_;
  Mutex mutex_;
  std::uint64_t flushes_ WEIR_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::uint32_t, Words> kept_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::vtd
