// SPDX-License-Identifier: Apache-2.0
//
// A fully associative cache with exact LRU replacement, or no limit at all: slow, simple, and what
// the real IOTLB is measured against in replays. One lock around everything. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "iotlb/entry.h"

namespace weir::iotlb {

class ReferenceTlb {
 public:
  explicit ReferenceTlb(std::size_t capacity);  // entries; 0: no limit
  ~ReferenceTlb();

  [[nodiscard]] std::optional<Hit> lookup(Tag tag, Iova iova);
  [[nodiscard]] std::optional<Hit> peek(Tag tag, Iova iova) const;
  // `current` is asked under the lock; if it says false the fill is refused.
  FillResult fill(const Entry& entry, const std::function<bool()>& current);
  [[nodiscard]] std::uint64_t invalidate(const Invalidation& what);
  [[nodiscard]] std::size_t size() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::iotlb
