// SPDX-License-Identifier: Apache-2.0
//
// Field declarations that read like the manual: high bit, low bit, mnemonic, name in words and
// section, once, in the place that a reader would look. A layout then knows which bits are reserved
// (what no field claims) and refuses, at compile time, fields that overlap.
//
//   inline constexpr Field<63, 12> kRootContextTable{"CTP", "context-table pointer", "9.1"};
//   inline constexpr Field<0, 0>   kRootPresent{"P", "present", "9.1"};
//   inline constexpr auto kRootLow = layout<64>(kRootContextTable, kRootPresent);
//   kRootLow.reserved  ->  0xffe
//
// Constexpr values only: no I/O, no state.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

// Bits high…low, both included, as a mask.
[[nodiscard]] constexpr std::uint64_t bit_mask(unsigned high, unsigned low) {
  return (~std::uint64_t{0} >> (63 - high)) & (~std::uint64_t{0} << low);
}

// Says that an address is a multiple of 2^lg2.
[[nodiscard]] constexpr bool is_aligned(std::uint64_t value, unsigned lg2) {
  return (value & ((std::uint64_t{1} << lg2) - 1)) == 0;
}

template <unsigned High, unsigned Low>
struct Field {
  static_assert(High >= Low && High < 64);

  std::string_view mnemonic;
  std::string_view name = {};
  std::string_view section = {};

  static constexpr unsigned kHigh = High;
  static constexpr unsigned kLow = Low;
  static constexpr std::uint64_t kMask = bit_mask(High, Low);

  // The field's value, shifted down to bit 0.
  [[nodiscard]] constexpr std::uint64_t get(std::uint64_t word) const {
    return (word & kMask) >> Low;
  }
  // The field in place: for addresses that are stored without their low bits.
  [[nodiscard]] constexpr std::uint64_t in_place(std::uint64_t word) const { return word & kMask; }
  [[nodiscard]] constexpr bool is_set(std::uint64_t word) const { return (word & kMask) != 0; }

  // `word` with the field replaced; what does not fit into the field is dropped.
  [[nodiscard]] constexpr std::uint64_t with(std::uint64_t word, std::uint64_t value) const {
    return (word & ~kMask) | (value << Low & kMask);
  }
  [[nodiscard]] constexpr std::uint64_t of(std::uint64_t value) const { return with(0, value); }
};

// A single bit.
template <unsigned At>
using Bit = Field<At, At>;

struct Layout {
  std::uint64_t defined = 0;   // bits that some field claims
  std::uint64_t reserved = 0;  // bits of the word that none does
};

namespace detail {
// Not constexpr on purpose: reaching it while a layout is being evaluated is the compile error.
inline void fields_overlap_or_exceed_the_word() {}
}  // namespace detail

template <unsigned Width, typename... Fields>
[[nodiscard]] consteval Layout layout(const Fields&...) {
  static_assert(Width == 16 || Width == 32 || Width == 64);
  Layout result;
  [[maybe_unused]] auto claim = [&result](std::uint64_t mask) {
    if ((result.defined & mask) != 0 || (mask & ~bit_mask(Width - 1, 0)) != 0)
      detail::fields_overlap_or_exceed_the_word();
    result.defined |= mask;
  };
  (claim(Fields::kMask), ...);
  result.reserved = ~result.defined & bit_mask(Width - 1, 0);
  return result;
}

}  // namespace weir
