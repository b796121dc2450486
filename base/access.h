// SPDX-License-Identifier: Apache-2.0
//
// What a request wants to do, and what a mapping lets it do. Pure values; any thread.
#pragma once

#include <cstdint>

namespace weir {

enum class Access : std::uint8_t { kRead, kWrite, kReadWrite };  // kReadWrite: a PCIe atomic

// PCIe AT field (10.2): how far the address has been translated already.
enum class AddressType : std::uint8_t { kUntranslated, kTranslationRequest, kTranslated };

// A set of allowed accesses.
class Permissions {
 public:
  static constexpr std::uint8_t kReadBit = 1;
  static constexpr std::uint8_t kWriteBit = 2;

  constexpr Permissions() = default;
  [[nodiscard]] static constexpr Permissions none() { return Permissions(0); }
  [[nodiscard]] static constexpr Permissions read_only() { return Permissions(kReadBit); }
  [[nodiscard]] static constexpr Permissions write_only() { return Permissions(kWriteBit); }
  [[nodiscard]] static constexpr Permissions read_write() {
    return Permissions(kReadBit | kWriteBit);
  }
  [[nodiscard]] static constexpr Permissions from_bits(std::uint64_t bits) {
    return Permissions(static_cast<std::uint8_t>(bits & (kReadBit | kWriteBit)));
  }
  [[nodiscard]] static constexpr Permissions needed_by(Access access) {
    // Arithmetic instead of a switch: every request asks this.
    static_assert(static_cast<unsigned>(Access::kRead) + 1 == kReadBit);
    static_assert(static_cast<unsigned>(Access::kWrite) + 1 == kWriteBit);
    static_assert(static_cast<unsigned>(Access::kReadWrite) + 1 == (kReadBit | kWriteBit));
    return Permissions(static_cast<std::uint8_t>(static_cast<unsigned>(access) + 1));
  }

  [[nodiscard]] constexpr bool can_read() const { return (bits_ & kReadBit) != 0; }
  [[nodiscard]] constexpr bool can_write() const { return (bits_ & kWriteBit) != 0; }
  [[nodiscard]] constexpr bool allows(Access access) const {
    const std::uint8_t needed = needed_by(access).bits_;
    return (bits_ & needed) == needed;
  }
  [[nodiscard]] constexpr std::uint8_t bits() const { return bits_; }

  // What two stages or two levels both allow.
  friend constexpr Permissions operator&(Permissions a, Permissions b) {
    return Permissions(static_cast<std::uint8_t>(a.bits_ & b.bits_));
  }
  friend constexpr bool operator==(Permissions, Permissions) = default;

 private:
  constexpr explicit Permissions(std::uint8_t bits) : bits_(bits) {}
  std::uint8_t bits_ = 0;
};

[[nodiscard]] constexpr bool writes(Access access) { return access != Access::kRead; }

}  // namespace weir
