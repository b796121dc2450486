// SPDX-License-Identifier: Apache-2.0
//
// Layout of the IVRS table (48882 chapter 5): byte offsets of the fields that a parser or a builder
// of coverage needs.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace weir::amdvi::ivrs {

namespace header {  // ACPI's own, then 5.2.1
inline constexpr std::size_t kSignature = 0;
inline constexpr std::size_t kLength = 4;
inline constexpr std::size_t kRevision = 8;
inline constexpr std::size_t kChecksum = 9;
inline constexpr std::size_t kOemId = 10;
inline constexpr std::size_t kOemTableId = 16;
inline constexpr std::size_t kOemRevision = 24;
inline constexpr std::size_t kCreatorId = 28;
inline constexpr std::size_t kCreatorRevision = 32;
inline constexpr std::size_t kInfo = 36;  // IVinfo, 32 bits
inline constexpr Bit<0> kFeatures{"EFRSup", "IVHD carries EFR", "5.2.1"};
inline constexpr Field<7, 5> kGuestVirtual{"GVASize", "2: 48 bits", "5.2.1"};
inline constexpr Field<14, 8> kPhysical{"PASize", "physical address bits", "5.2.1"};
inline constexpr Field<21, 15> kVirtual{"VASize", "virtual address bits", "5.2.1"};
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
inline constexpr Bit<4> kDeviceTlb{"IotlbSup", "device TLBs", "5.2.2"};
inline constexpr Bit<5> kCoherent{"Coherent", "table reads snoop", "5.2.2"};
inline constexpr Bit<6> kPrefetch{"PreFSup", "of type 10h", "5.2.2"};
inline constexpr Bit<7> kPageRequests{"PPRSup", "of type 10h", "5.2.2"};
inline constexpr std::size_t kDevice = 4;
inline constexpr std::size_t kCapability = 6;
inline constexpr std::size_t kBase = 8;
inline constexpr std::size_t kSegment = 16;
inline constexpr std::size_t kInfo = 18;
inline constexpr std::size_t kFeatures10 = 20;
inline constexpr std::size_t kBytes10 = 24;
inline constexpr std::size_t kAttributes = 20;
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
inline constexpr Field<12, 8> kPasidBits10{"PASmax"};
inline constexpr Field<29, 28> kGuestLevels10{"GATS"};
inline constexpr Field<31, 30> kHostLevels10{"HATS"};
}  // namespace ivhd

namespace entry {  // 5.2.2.1 to 5.2.2.5
inline constexpr std::size_t kType = 0;
inline constexpr std::size_t kDevice = 1;
inline constexpr std::size_t kSettings = 3;
inline constexpr std::size_t kSource = 5;  // of alias and special entries
inline constexpr std::size_t kVariety = 7;
inline constexpr std::size_t kHandle = 4;
inline constexpr std::size_t kUidLength = 21;  // of an ACPI device
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
inline constexpr std::uint8_t kExtended = 0x46;
inline constexpr std::uint8_t kExtendedRange = 0x47;
inline constexpr std::uint8_t kSpecial = 0x48;
inline constexpr std::uint8_t kAcpi = 0xf0;
inline constexpr std::uint8_t kIoApic = 1;  // variety
inline constexpr std::uint8_t kHpet = 2;
inline constexpr Field<7, 6> kSize{"4 << n bytes, 3: variable"};
}  // namespace entry

}  // namespace weir::amdvi::ivrs
