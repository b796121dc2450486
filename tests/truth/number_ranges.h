// SPDX-License-Identifier: Apache-2.0
//
// A set of numbers of functions as ranges that neither meet nor touch, so that equal sets are equal
// values. A number is segment << 16 | bus << 8 | device << 3 | function.
//
// Plain values; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace weir::truth {

class NumberRanges {
 public:
  void add(std::uint32_t first, std::uint32_t last) {
    auto at = ranges_.upper_bound(first);
    if (at != ranges_.begin() && std::uint64_t{std::prev(at)->second} + 1 >= first) {
      --at;
      first = at->first;
    }
    while (at != ranges_.end() && at->first <= std::uint64_t{last} + 1) {
      last = std::max(last, at->second);
      at = ranges_.erase(at);
    }
    ranges_.emplace(first, last);
  }
  void remove(std::uint32_t number) {
    auto at = ranges_.upper_bound(number);
    if (at == ranges_.begin() || (--at)->second < number) return;
    const auto [first, last] = *at;
    ranges_.erase(at);
    if (first < number) ranges_.emplace(first, number - 1);
    if (number < last) ranges_.emplace(number + 1, last);
  }
  // First to last number.
  [[nodiscard]] const std::map<std::uint32_t, std::uint32_t>& ranges() const { return ranges_; }
  [[nodiscard]] bool operator==(const NumberRanges&) const = default;

 private:
  std::map<std::uint32_t, std::uint32_t> ranges_;
};

}  // namespace weir::truth
