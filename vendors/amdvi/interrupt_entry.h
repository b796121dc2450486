// SPDX-License-Identifier: Apache-2.0
//
// Layout of interrupt remapping entries (48882 section 2.2.5): 32 bits, or 128 bits with
// Control.GAEn, there again for the host or, with GuestMode, for a guest's virtual APIC. And of the
// messages that come in and go out: the x86 MSI, and HyperTransport's form of the same, which is
// what the event log shows.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace weir::amdvi {

// Both sizes begin alike.
namespace irte {
inline constexpr Bit<0> kEnable{"RemapEn", "remap", "2.2.5.2"};
inline constexpr Bit<1> kSuppress{"SupIOPF", "no event for this entry", "2.2.5.2"};
inline constexpr Field<4, 2> kType{"IntType", "0 fixed, 1 arbitrated", "2.2.5.2"};
inline constexpr Bit<5> kRequestEoi{"RqEoi", "request EOI", "2.2.5.2"};
inline constexpr Bit<6> kLogical{"DM", "destination mode: logical", "2.2.5.2"};
inline constexpr Bit<7> kGuestMode{"GuestMode", "for a guest's virtual APIC", "2.2.5.2"};
inline constexpr std::uint64_t kMostType = 1;
}  // namespace irte

namespace irte32 {
inline constexpr std::uint64_t kBytes = 4;
inline constexpr Field<15, 8> kDestination{"Destination", "destination", "2.2.5.2"};
inline constexpr Field<23, 16> kVector{"Vector", "vector", "2.2.5.2"};
inline constexpr auto kLayout =
    layout<32>(irte::kEnable, irte::kSuppress, irte::kType, irte::kRequestEoi, irte::kLogical,
               irte::kGuestMode, kDestination, kVector);
}  // namespace irte32

namespace irte128 {
inline constexpr std::uint64_t kBytes = 16;
// Low word, for the host.
inline constexpr Field<31, 8> kDestination{"Destination[23:0]", "destination", "2.2.5.3"};
inline constexpr Field<15, 8> kShortDestination{"Destination[7:0]", "without XTEn", "2.2.5.3"};
inline constexpr Field<63, 32> kTag{"GATag", "for the guest log", "2.2.5.3"};
inline constexpr auto kLow =
    layout<64>(irte::kEnable, irte::kSuppress, irte::kType, irte::kRequestEoi, irte::kLogical,
               irte::kGuestMode, kDestination, kTag);
// Low word, with GuestMode.
inline constexpr Bit<2> kLogInterrupt{"GALogIntr", "log when the guest is not running", "2.2.5.3"};
inline constexpr Bit<5> kPhysicalDisable{"GAPPIDis", "no physical interrupt", "2.2.5.3"};
inline constexpr Bit<6> kRunning{"IsRun", "the guest is running", "2.2.5.3"};
inline constexpr auto kGuestLow =
    layout<64>(irte::kEnable, irte::kSuppress, kLogInterrupt, kPhysicalDisable, kRunning,
               irte::kGuestMode, kDestination, kTag);
// High word.
inline constexpr Field<7, 0> kVector{"Vector", "vector", "2.2.5.3"};
inline constexpr Field<51, 12> kApicPage{"GA Root Ptr", "the virtual APIC's page", "2.2.5.3"};
inline constexpr Field<63, 56> kDestinationHigh{"Destination[31:24]", "destination", "2.2.5.3"};
inline constexpr auto kHigh = layout<64>(kVector, kApicPage, kDestinationHigh);
}  // namespace irte128

// What a device writes (the processor's manual).
namespace msi {
inline constexpr Field<19, 12> kDestination{"Destination"};  // of the address
inline constexpr Bit<2> kLogical{"DM"};                      // of the address
inline constexpr Field<7, 0> kVector{"Vector"};              // of the data
inline constexpr Field<10, 8> kDelivery{"Delivery mode"};    // of the data
inline constexpr Field<10, 0> kIndex{"Interrupt table index", "offset", "2.2.5.1"};  // of the data
}  // namespace msi

// A 32-bit destination in two pieces.
namespace destination {
inline constexpr Field<23, 0> kLow24{"Destination[23:0]"};
inline constexpr Field<31, 24> kHigh8{"Destination[31:24]"};
}  // namespace destination

// An interrupt as an address of the HyperTransport range.
namespace ht {
inline constexpr std::uint64_t kBase = 0xfdf8000000;
inline constexpr Field<23, 16> kVector{"Vector"};
inline constexpr Field<15, 8> kDestination{"IntrDest"};
inline constexpr Bit<7> kLegacy{"MT[3]"};
inline constexpr Bit<6> kLogical{"DM"};
inline constexpr Field<4, 2> kType{"MT[2:0]"};
}  // namespace ht

// The virtual APIC's interrupt request register: eight 32-bit words, 16 bytes apart.
namespace virtual_apic {
inline constexpr std::uint64_t kRequests = 0x200;
inline constexpr std::uint64_t kWordStride = 0x10;
inline constexpr Field<7, 5> kWord{"vector / 32"};
inline constexpr Field<4, 0> kBit{"vector % 32"};
}  // namespace virtual_apic

// One entry of the guest APIC log (2.7).
namespace guest_log {
inline constexpr std::uint64_t kBytes = 8;
inline constexpr Field<31, 0> kTag{"GATag", "of the entry", "2.7"};
inline constexpr Field<47, 32> kDevice{"DeviceID", "device-id", "2.7"};
inline constexpr Field<63, 60> kCode{"GACode", "1: the guest is not running", "2.7"};
inline constexpr std::uint64_t kNotRunning = 1;
}  // namespace guest_log

}  // namespace weir::amdvi
