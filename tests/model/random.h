// SPDX-License-Identifier: Apache-2.0
//
// Numbers that follow from a seed alone, the same with every standard library (splitmix64). For one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::model {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  [[nodiscard]] std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  // 0…limit-1. REQUIRES: limit > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return next() % limit; }
  [[nodiscard]] unsigned between(unsigned first, unsigned last) {
    return first + static_cast<unsigned>(below(last - first + 1));
  }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
  template <typename T>
  [[nodiscard]] const T& pick(const std::vector<T>& from) {
    return from.at(static_cast<std::size_t>(below(from.size())));
  }

 private:
  std::uint64_t state_;
};

}  // namespace weir::model
