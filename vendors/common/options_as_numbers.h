// SPDX-License-Identifier: Apache-2.0
//
// A unit's options as a list of numbers and back, for options that are numbers, enumerations and
// booleans tied into a tuple: what a recording keeps of them. New options go to the end of the
// tuple, and a list that is too short leaves their defaults.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>
#include <vector>

namespace weir {

template <typename... Options>
[[nodiscard]] std::vector<std::uint64_t> numbers_of(const std::tuple<Options...>& tied) {
  return std::apply([](const auto&... each) { return std::vector<std::uint64_t>{each...}; }, tied);
}

// Takes the numbers over into what is tied. False: a number does not fit its option, or there are
// more numbers than options.
template <typename... Options>
[[nodiscard]] bool take_numbers(std::tuple<Options&...> tied,
                                std::span<const std::uint64_t> numbers) {
  std::size_t at = 0;
  bool fits = true;
  const auto take = [&](auto& option) {
    if (at == numbers.size()) return;
    using Option = std::remove_reference_t<decltype(option)>;
    fits = fits && static_cast<std::uint64_t>(static_cast<Option>(numbers[at])) == numbers[at];
    option = static_cast<Option>(numbers[at++]);
  };
  std::apply([&](auto&... each) { (take(each), ...); }, tied);
  return fits && at == numbers.size();
}

}  // namespace weir
