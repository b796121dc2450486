// SPDX-License-Identifier: Apache-2.0
//
// Layout of the IVRS table (48882 chapter 5): byte offsets. Blocks begin with type, flags and
// length; device entries with a type whose top bits say how long they are.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::amdvi::ivrs {

namespace header {                        // after ACPI's own: 5.2.1
inline constexpr std::size_t kInfo = 36;  // IVinfo, 32 bits
inline constexpr Bit<0> kFeatures{"EFRSup", "IVHD carries EFR", "5.2.1"};
inline constexpr Bit<1> kPreBoot{"DmaRemap", "protected before the OS", "5.2.1"};
inline constexpr Field<7, 5> kGuestVirtual{"GVASize", "2: 48 bits", "5.2.1"};
inline constexpr Field<14, 8> kPhysical{"PASize", "physical address bits", "5.2.1"};
inline constexpr Field<21, 15> kVirtual{"VASize", "virtual address bits", "5.2.1"};
inline constexpr Bit<22> kHtAts{"HtAtsResv", "the HyperTransport range is reserved", "5.2.1"};
inline constexpr std::size_t kReserved = 40;
inline constexpr std::size_t kBytes = 48;
}  // namespace header

namespace block {  // every block of the table
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kFlags = 1;
inline constexpr std::size_t kLength = 2;
inline constexpr std::size_t kBytes = 4;
}  // namespace block

namespace ivhd {  // 5.2.2
inline constexpr std::uint8_t kType10 = 0x10;
inline constexpr std::uint8_t kType11 = 0x11;
inline constexpr std::uint8_t kType40 = 0x40;
inline constexpr Bit<0> kTunnel{"HtTunEn", "HyperTransport tunnel", "5.2.2"};
inline constexpr Bit<1> kPassPosted{"PassPW", "posted writes may pass", "5.2.2"};
inline constexpr Bit<2> kResponsePass{"ResPassPW", "responses may pass", "5.2.2"};
inline constexpr Bit<3> kIsochronous{"Isoc", "isochronous", "5.2.2"};
inline constexpr Bit<4> kDeviceTlb{"IotlbSup", "device TLBs", "5.2.2"};
inline constexpr Bit<5> kCoherent{"Coherent", "table reads snoop", "5.2.2"};
inline constexpr Bit<6> kPrefetch{"PreFSup", "of type 10h", "5.2.2"};
inline constexpr Bit<7> kPageRequests{"PPRSup", "of type 10h", "5.2.2"};
inline constexpr std::size_t kDevice = 4;
inline constexpr std::size_t kCapability = 6;
inline constexpr std::size_t kBase = 8;
inline constexpr std::size_t kSegment = 16;
inline constexpr std::size_t kInfo = 18;
inline constexpr Field<4, 0> kMessage{"MSInum", "message of its events", "5.2.2"};
inline constexpr Field<12, 8> kUnit{"UnitID", "HyperTransport unit", "5.2.2"};
inline constexpr std::size_t kFeatures10 = 20;
inline constexpr std::size_t kBytes10 = 24;
inline constexpr std::size_t kAttributes = 20;
inline constexpr Bit<0> kNoHostTables{"HATDis", "no v1 tables", "5.2.2"};
inline constexpr Field<16, 13> kCounters{"PNCounters", "counters of a bank", "5.2.2"};
inline constexpr Field<22, 17> kBanks{"PNBanks", "counter banks", "5.2.2"};
inline constexpr Field<27, 23> kPageMessage{"MsiNumPPR", "message of page requests", "5.2.2"};
inline constexpr std::size_t kFeatures = 24;
inline constexpr std::size_t kFeatures2 = 32;
inline constexpr std::size_t kBytes = 40;
// The features of type 10h, 32 bits.
inline constexpr Bit<0> kX2apic10{"XTSup"};
inline constexpr Bit<1> kNoExecute10{"NXSup"};
inline constexpr Bit<2> kGuestTables10{"GTSup"};
inline constexpr Field<4, 3> kGcr3Levels10{"GLXSup"};
inline constexpr Bit<5> kInvalidateAll10{"IASup"};
inline constexpr Bit<6> kWideInterrupts10{"GASup"};
inline constexpr Bit<7> kHardwareError10{"HESup"};
inline constexpr Field<12, 8> kPasidBits10{"PASmax"};
inline constexpr Field<16, 13> kCounters10{"PNCounters"};
inline constexpr Field<22, 17> kBanks10{"PNBanks"};
inline constexpr Field<27, 23> kPageMessage10{"MsiNumPPR"};
inline constexpr Field<29, 28> kGuestLevels10{"GATS"};
inline constexpr Field<31, 30> kHostLevels10{"HATS"};
}  // namespace ivhd

namespace entry {  // 5.2.2.1 to 5.2.2.5
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kDevice = 1;
inline constexpr std::size_t kSettings = 3;
inline constexpr Bit<0> kInitPass{"INITPass"};
inline constexpr Bit<1> kExtIntPass{"EIntPass"};
inline constexpr Bit<2> kNmiPass{"NMIPass"};
inline constexpr Field<5, 4> kSystemManagement{"SysMgt"};
inline constexpr Bit<6> kLint0Pass{"LINT0Pass"};
inline constexpr Bit<7> kLint1Pass{"LINT1Pass"};
inline constexpr std::size_t kReserved4 = 4;  // of alias entries
inline constexpr std::size_t kSource = 5;     // of alias and special entries
inline constexpr std::size_t kReserved7 = 7;  // of alias entries
inline constexpr std::size_t kHandle = 4;     // of special entries
inline constexpr std::size_t kVariety = 7;
inline constexpr std::size_t kExtended = 4;  // of extended entries, 32 bits
inline constexpr Bit<31> kNoAts{"ATSDisabled"};
inline constexpr std::size_t kHid = 4;  // of an ACPI device
inline constexpr std::size_t kCid = 12;
inline constexpr std::size_t kUidFormat = 20;
inline constexpr std::uint8_t kUidText = 2;
inline constexpr std::size_t kUidLength = 21;
inline constexpr std::size_t kAcpiBytes = 22;
inline constexpr std::size_t kShort = 4;
inline constexpr std::size_t kLong = 8;
inline constexpr std::uint8_t kPad = 0x00;
inline constexpr std::uint8_t kAll = 0x01;
inline constexpr std::uint8_t kSelect = 0x02;
inline constexpr std::uint8_t kRangeStart = 0x03;
inline constexpr std::uint8_t kRangeEnd = 0x04;
inline constexpr std::uint8_t kLongPad = 0x40;
inline constexpr std::uint8_t kAlias = 0x42;
inline constexpr std::uint8_t kAliasRange = 0x43;
inline constexpr std::uint8_t kExtendedSelect = 0x46;
inline constexpr std::uint8_t kExtendedRange = 0x47;
inline constexpr std::uint8_t kSpecial = 0x48;
inline constexpr std::uint8_t kAcpi = 0xf0;
inline constexpr std::uint8_t kIoApic = 1;  // variety
inline constexpr std::uint8_t kHpet = 2;
inline constexpr Field<7, 6> kSize{"4 << n bytes, 3: variable"};
}  // namespace entry

namespace ivmd {  // 5.2.3
inline constexpr std::uint8_t kAll = 0x20;
inline constexpr std::uint8_t kOne = 0x21;
inline constexpr std::uint8_t kRange = 0x22;
inline constexpr Bit<0> kUnity{"Unity", "mapped one to one"};
inline constexpr Bit<1> kRead{"IR", "readable"};
inline constexpr Bit<2> kWrite{"IW", "writable"};
inline constexpr Bit<3> kExclusion{"ExclRange", "not translated"};
inline constexpr std::size_t kDevice = 4;
inline constexpr std::size_t kLastDevice = 6;
inline constexpr std::size_t kSegment = 8;
inline constexpr std::size_t kReserved = 10;
inline constexpr std::size_t kBase = 16;
inline constexpr std::size_t kLength = 24;
inline constexpr std::size_t kBytes = 32;
}  // namespace ivmd

}  // namespace weir::amdvi::ivrs
