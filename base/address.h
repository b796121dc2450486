// SPDX-License-Identifier: Apache-2.0
//
// The four address spaces a DMA request crosses, one type each. None converts into another: the
// only bridge is a walk or a map (direction: Iova -> [Ipa ->] Gpa -> Hpa). A value is a byte
// address; arithmetic is modulo 2^64 and says so by taking and giving plain std::uint64_t
// distances.
//
// Pure values; any thread.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace weir {

template <typename Space>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }

  friend constexpr auto operator<=>(Address, Address) = default;
  friend constexpr Address operator+(Address a, std::uint64_t distance) {
    return Address(a.value_ + distance);
  }
  friend constexpr Address operator-(Address a, std::uint64_t distance) {
    return Address(a.value_ - distance);
  }
  friend constexpr std::uint64_t operator-(Address a, Address b) { return a.value_ - b.value_; }

  // The address with its low `lg2` bits cleared, and those bits. `lg2` is 0…63.
  [[nodiscard]] constexpr Address page_base(unsigned lg2) const {
    return Address(value_ >> lg2 << lg2);
  }
  [[nodiscard]] constexpr std::uint64_t page_offset(unsigned lg2) const {
    return value_ & ((std::uint64_t{1} << lg2) - 1);
  }

 private:
  std::uint64_t value_ = 0;
};

// What a device puts on the bus, before any stage.
using Iova = Address<struct IovaSpace>;
// Between two guest stages: the output of guest stage 1 where guest stage 2 follows.
using Ipa = Address<struct IpaSpace>;
// Guest-physical: what the guest believes its memory addresses are.
using Gpa = Address<struct GpaSpace>;
// The embedder's number for a piece of memory; GuestMemory turns it into bytes or a callback.
using Hpa = Address<struct HpaSpace>;

// A closed range: `last` is its last byte, so that the whole space can be written down.
template <typename A>
struct AddressRange {
  A first{};
  A last{};

  friend constexpr bool operator==(AddressRange, AddressRange) = default;
  [[nodiscard]] constexpr bool contains(A a) const { return first <= a && a <= last; }
  [[nodiscard]] constexpr bool overlaps(AddressRange other) const {
    return first <= other.last && other.first <= last;
  }
};

template <typename A>
[[nodiscard]] constexpr AddressRange<A> whole_space() {
  return {A(0), A(~std::uint64_t{0})};
}

inline constexpr unsigned kPageLg2 = 12;
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageLg2;

}  // namespace weir

template <typename Space>
struct std::hash<weir::Address<Space>> {
  std::size_t operator()(weir::Address<Space> a) const noexcept {
    return std::hash<std::uint64_t>{}(a.value());
  }
};
