// SPDX-License-Identifier: Apache-2.0
//
// Layout of a PCI function's configuration space: the type 0 header and the capabilities that
// config_space.h knows how to make (PCI Local Bus 3.0, 6.1, 6.2, 6.8).
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::vfio_user {

// A field's mask as the 32-bit register that configuration space is made of.
template <typename F>
[[nodiscard]] constexpr std::uint32_t word_mask(F) {
  static_assert(F::kHigh < 32);
  return static_cast<std::uint32_t>(F::kMask);
}

namespace header {
inline constexpr std::uint8_t kVendor = 0x00;           // 16 bits
inline constexpr std::uint8_t kDevice = 0x02;           // 16
inline constexpr std::uint8_t kCommand = 0x04;          // 16
inline constexpr std::uint8_t kStatus = 0x06;           // 16
inline constexpr std::uint8_t kRevision = 0x08;         // 32: class code 31:8, revision 7:0
inline constexpr std::uint8_t kBars = 0x10;             // 6 × 32
inline constexpr std::uint8_t kSubsystemVendor = 0x2c;  // 16
inline constexpr std::uint8_t kSubsystem = 0x2e;        // 16
inline constexpr std::uint8_t kCapabilities = 0x34;     // 8
inline constexpr std::uint8_t kInterrupt = 0x3c;        // 32
inline constexpr std::uint8_t kFirstCapability = 0x40;
}  // namespace header

namespace command {
inline constexpr Bit<1> kMemory{"", "memory space", "6.2.2"};
inline constexpr Bit<2> kBusMaster{"", "bus master", "6.2.2"};
inline constexpr Bit<8> kSerr{"", "SERR# enable", "6.2.2"};
inline constexpr Bit<10> kNoIntx{"", "interrupt disable", "6.2.2"};
inline constexpr std::uint32_t kWritable =
    word_mask(kMemory) | word_mask(kBusMaster) | word_mask(kSerr) | word_mask(kNoIntx);
}  // namespace command

// In the word at kCommand, whose upper half is the status.
inline constexpr Bit<20> kCapabilitiesList{"", "capabilities list", "6.2.3"};

namespace bar {
inline constexpr Field<2, 1> kType{"", "0: 32 bits, 2: 64 bits", "6.2.5.1"};
inline constexpr std::uint32_t k64Bits = 2;
inline constexpr Field<31, 4> kAddress{"", "base address", "6.2.5.1"};
}  // namespace bar

inline constexpr Field<7, 0> kInterruptLine{"", "interrupt line", "6.2.4"};

namespace msi {
inline constexpr std::uint8_t kId = 0x05;
inline constexpr std::size_t kControl = 2;
inline constexpr std::size_t kAddressLow = 4;
inline constexpr std::size_t kAddressHigh = 8;
inline constexpr std::size_t kData = 12;
inline constexpr std::size_t kBytes = 16;
// In the word that begins with the capability's id.
inline constexpr Bit<16> kEnable{"", "MSI enable", "6.8.1.3"};
inline constexpr Bit<23> k64BitAddress{"", "64-bit address capable", "6.8.1.3"};
inline constexpr Field<31, 2> kAddress{"", "message address", "6.8.1.4"};
inline constexpr Field<15, 0> kDataBits{"", "message data", "6.8.1.6"};
}  // namespace msi

namespace msix {
inline constexpr std::uint8_t kId = 0x11;
inline constexpr std::size_t kTable = 4;
inline constexpr std::size_t kPending = 8;
inline constexpr std::size_t kBytes = 12;
inline constexpr std::size_t kEntryBytes = 16;
inline constexpr Field<26, 16> kLastVector{"", "table size - 1", "6.8.2.3"};
inline constexpr Bit<30> kMask{"", "function mask", "6.8.2.3"};
inline constexpr Bit<31> kEnable{"", "MSI-X enable", "6.8.2.3"};
inline constexpr Field<2, 0> kBar{"", "BAR indicator", "6.8.2.4"};
inline constexpr Field<31, 3> kOffset{"", "offset", "6.8.2.4"};
}  // namespace msix

}  // namespace weir::vfio_user
