// SPDX-License-Identifier: Apache-2.0
//
// Interrupt messages and what remapping makes of them. A message is a four-byte write into the x86
// interrupt range; a unit that remaps interrupts turns it into another one, into a posted one, or
// into a fault. Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/ids.h"

namespace weir {

// What the x86 interrupt architecture takes for itself, before any translation.
inline constexpr AddressRange<Iova> kInterruptRange{Iova(0xfee00000), Iova(0xfeefffff)};

// A message-signalled interrupt, as it would appear on the bus towards the interrupt controller.
struct Msi {
  std::uint64_t address = 0;
  std::uint32_t data = 0;

  friend bool operator==(const Msi&, const Msi&) = default;
};

// As the message data and I/O APICs encode it.
enum class DeliveryMode : std::uint8_t {
  kFixed = 0,
  kLowestPriority = 1,
  kSmi = 2,
  kNmi = 4,
  kInit = 5,
  kExternal = 7,
};

// An interrupt without an encoding.
struct Interrupt {
  std::uint32_t destination = 0;  // an APIC id, or a set of them if logical
  std::uint8_t vector = 0;
  DeliveryMode mode = DeliveryMode::kFixed;
  bool logical = false;
  bool redirection_hint = false;
  bool level = false;  // level-triggered, else edge

  friend bool operator==(const Interrupt&, const Interrupt&) = default;
};

// As a message in compatibility format. A destination beyond eight bits goes into address bits
// 63:40, which is how KVM takes it (KVM_X2APIC_API_USE_32BIT_IDS: bits 31:8 of address_hi).
[[nodiscard]] constexpr Msi to_msi(const Interrupt& interrupt) {
  constexpr std::uint64_t kBase = 0xfee00000;
  constexpr unsigned kDestination = 12, kHint = 3, kLogical = 2, kHighDestination = 40;
  constexpr unsigned kMode = 8, kAssert = 14, kLevel = 15;
  return {.address = kBase | std::uint64_t{interrupt.destination & 0xff} << kDestination |
                     std::uint64_t{interrupt.destination >> 8} << kHighDestination |
                     std::uint64_t{interrupt.redirection_hint} << kHint |
                     std::uint64_t{interrupt.logical} << kLogical,
          .data = interrupt.vector | static_cast<std::uint32_t>(interrupt.mode) << kMode |
                  std::uint32_t{1} << kAssert | std::uint32_t{interrupt.level} << kLevel};
}

// What became of a message.
struct RemappedInterrupt {
  enum class Kind : std::uint8_t {
    kAsItIs,    // `msi` is what was sent: bypass, remapping off, or a unit that lets it through
    kRemapped,  // `interrupt`, and `msi` its encoding
    kPosted,    // recorded in memory at `descriptor`; a notification may follow
  };
  Kind kind = Kind::kAsItIs;
  Msi msi{};
  Interrupt interrupt{};                 // kPosted: of it, the vector
  std::optional<std::uint32_t> index{};  // of the entry that said so
  Gpa descriptor{};                      // kPosted
  bool urgent = false;                   // kPosted
  std::uint32_t vendor_detail = 0;       // the front end's own

  [[nodiscard]] static RemappedInterrupt as_it_is(Msi msi) { return {.msi = msi}; }
  [[nodiscard]] static RemappedInterrupt remapped(const Interrupt& to,
                                                  std::optional<std::uint32_t> index) {
    return {.kind = Kind::kRemapped, .msi = to_msi(to), .interrupt = to, .index = index};
  }
};

// Which messages may become something else from now on.
struct InterruptChange {
  UnitId unit{};
  // Of these entries only; all of them by default.
  std::uint32_t first_index = 0;
  std::uint32_t last_index = ~std::uint32_t{0};
  std::optional<Requester> requester{};  // of this function only

  friend bool operator==(const InterruptChange&, const InterruptChange&) = default;
};

}  // namespace weir
