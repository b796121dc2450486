// SPDX-License-Identifier: Apache-2.0
//
// What a request wants to do, and what a mapping lets it do. Pure values; any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace weir {

enum class Access : std::uint8_t { kRead, kWrite, kReadWrite };  // kReadWrite: a PCIe atomic

// PCIe AT field (10.2): how far the address has been translated already.
enum class AddressType : std::uint8_t { kUntranslated, kTranslationRequest, kTranslated };

// A set of allowed accesses, as tables give them. Formats without a notion of user pages or
// execution allow both.
class Permissions {
 public:
  static constexpr std::uint8_t kReadBit = 1;
  static constexpr std::uint8_t kWriteBit = 2;
  static constexpr std::uint8_t kExecuteBit = 4;
  static constexpr std::uint8_t kUserBit = 8;  // requests without privilege may use it
  static constexpr std::uint8_t kAllBits = 15;

  constexpr Permissions() = default;
  [[nodiscard]] static constexpr Permissions none() { return Permissions(0); }
  [[nodiscard]] static constexpr Permissions all() { return Permissions(kAllBits); }
  [[nodiscard]] static constexpr Permissions read_only() {
    return Permissions(kAllBits & ~kWriteBit);
  }
  [[nodiscard]] static constexpr Permissions write_only() {
    return Permissions(kAllBits & ~kReadBit);
  }
  [[nodiscard]] static constexpr Permissions read_write() { return all(); }
  // For tables that speak of reading and writing only.
  [[nodiscard]] static constexpr Permissions of(bool read, bool write) {
    return Permissions(static_cast<std::uint8_t>((read ? kReadBit : 0) | (write ? kWriteBit : 0) |
                                                 kExecuteBit | kUserBit));
  }
  // `bits` of the constants below; others are dropped.
  [[nodiscard]] static constexpr Permissions from_bits(std::uint64_t bits) {
    return Permissions(static_cast<std::uint8_t>(bits & kAllBits));
  }

  [[nodiscard]] constexpr bool can_read() const { return (bits_ & kReadBit) != 0; }
  [[nodiscard]] constexpr bool can_write() const { return (bits_ & kWriteBit) != 0; }
  [[nodiscard]] constexpr bool can_execute() const { return (bits_ & kExecuteBit) != 0; }
  [[nodiscard]] constexpr bool user() const { return (bits_ & kUserBit) != 0; }
  // The bits that `access` needs, and those that it needs without privilege.
  [[nodiscard]] static constexpr unsigned needed(Access access) {
    // Arithmetic instead of a switch: every request asks this.
    static_assert(static_cast<unsigned>(Access::kRead) + 1 == kReadBit);
    static_assert(static_cast<unsigned>(Access::kWrite) + 1 == kWriteBit);
    static_assert(static_cast<unsigned>(Access::kReadWrite) + 1 == (kReadBit | kWriteBit));
    return static_cast<unsigned>(access) + 1;
  }
  [[nodiscard]] static constexpr unsigned needed_by_user(Access access) {
    return needed(access) | kUserBit;
  }
  [[nodiscard]] constexpr bool allows(Access access) const { return has(needed(access)); }
  [[nodiscard]] constexpr bool has(unsigned bits) const { return (bits_ & bits) == bits; }
  [[nodiscard]] constexpr Permissions without_read() const {
    return Permissions(static_cast<std::uint8_t>(bits_ & ~kReadBit));
  }
  [[nodiscard]] constexpr Permissions without_write() const {
    return Permissions(static_cast<std::uint8_t>(bits_ & ~kWriteBit));
  }
  [[nodiscard]] constexpr Permissions with_write() const {
    return Permissions(static_cast<std::uint8_t>(bits_ | kWriteBit));
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

// What is asked of a table, with the requester's own modes (L10: they judge a cached answer as
// well).
struct Ask {
  Access access = Access::kRead;
  bool execute = false;
  bool privileged = false;
  // Privileged writes obey read-only pages too (VT-d WPE, x86 CR0.WP).
  bool write_protect = true;
};

enum class Denial : std::uint8_t { kRead, kWrite, kExecute, kUser };

// Nothing: allowed. User pages first, then read, write and execute, as x86 reports them.
[[nodiscard, gnu::always_inline]] constexpr std::optional<Denial> judge(Permissions permissions, const Ask& ask) {
  if (!ask.privileged && !permissions.user()) return Denial::kUser;
  if (ask.access != Access::kWrite && !permissions.can_read()) return Denial::kRead;
  const bool obeys = !ask.privileged || ask.write_protect;
  if (ask.access != Access::kRead && obeys && !permissions.can_write()) return Denial::kWrite;
  if (ask.execute && !permissions.can_execute()) return Denial::kExecute;
  return std::nullopt;
}

[[nodiscard]] constexpr bool reads(Access access) { return access != Access::kWrite; }
[[nodiscard]] constexpr bool writes(Access access) { return access != Access::kRead; }

}  // namespace weir
