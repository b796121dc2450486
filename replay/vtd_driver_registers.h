// SPDX-License-Identifier: Apache-2.0
//
// What a driver knows of VT-d's registers and descriptors: a second writing-down of the manual,
// kept apart from the unit's on purpose, so that a slip in one is seen by the other. And where
// QEMU's intel-iommu, whose logs are replayed, keeps the registers whose place a unit may choose.
//
// Constants only.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace weir::replay::driver {

// Offsets (VT-d 10.4).
inline constexpr std::uint64_t kCap = 0x08;
inline constexpr std::uint64_t kEcap = 0x10;
inline constexpr std::uint64_t kGcmd = 0x18;
inline constexpr std::uint64_t kGsts = 0x1c;
inline constexpr std::uint64_t kRtaddr = 0x20;
inline constexpr std::uint64_t kCcmd = 0x28;
inline constexpr std::uint64_t kFsts = 0x34;
inline constexpr std::uint64_t kFectl = 0x38;  // FECTL, FEDATA, FEADDR, FEUADDR
inline constexpr std::uint64_t kFectlEnd = 0x48;
inline constexpr std::uint64_t kIqh = 0x80;
inline constexpr std::uint64_t kIqt = 0x88;
inline constexpr std::uint64_t kIqa = 0x90;
inline constexpr std::uint64_t kIcs = 0x9c;  // ICS, IECTL, IEDATA, IEADDR, IEUADDR
inline constexpr std::uint64_t kIcsEnd = 0xb0;

// Where QEMU has them; a unit says where its own are (CAP.FRO, ECAP.IRO).
inline constexpr std::uint64_t kQemuIva = 0xf0;
inline constexpr std::uint64_t kQemuIotlb = 0xf8;
inline constexpr std::uint64_t kQemuRecords = 0x220;
inline constexpr std::uint64_t kRecordBytes = 16;

inline constexpr Field<33, 24> kFaultRecordOffset{"FRO"};   // of CAP, in 16 bytes
inline constexpr Field<47, 40> kFaultRecordCount{"NFR"};    // of CAP, less one
inline constexpr Field<17, 8> kIotlbRegisterOffset{"IRO"};  // of ECAP, in 16 bytes

// GCMD and GSTS.
inline constexpr std::uint32_t kTranslationEnable = 1U << 31;
inline constexpr std::uint32_t kSetRootPointer = 1U << 30;
inline constexpr std::uint32_t kQueueEnable = 1U << 26;

inline constexpr Field<11, 10> kTableMode{"TTM"};      // of RTADDR
inline constexpr Field<63, 12> kPageAddress{"ADDR"};   // of root and context entries
inline constexpr Bit<0> kPresent{"P"};                 // of root and context entries
inline constexpr Field<3, 2> kTranslationType{"TT"};   // of a context entry's low word
inline constexpr Field<2, 0> kAddressWidth{"AW"};      // of its high word
inline constexpr Field<23, 8> kContextDomain{"DID"};   // of its high word
inline constexpr Bit<63> kCommandPending{"ICC, IVT"};  // of CCMD and IOTLB
inline constexpr Bit<4> kQueueError{"IQE"};            // of FSTS
inline constexpr std::uint64_t kTableEntryBytes = 16;  // root and context entries
inline constexpr std::uint64_t kDescriptorBytes = 16;
inline constexpr std::uint64_t kQueueEntries = 256;  // of a queue of one page, or two with kWide

// Scalable mode.
inline constexpr std::uint64_t kScalableTables = 1;     // TTM
inline constexpr Bit<11> kWide{"DW"};                   // of IQA: descriptors of 32 bytes
inline constexpr Field<2, 0> kQueueSize{"QS"};          // of IQA
inline constexpr std::uint64_t kContextBytes = 32;      // 9.4; half a bus to a table
inline constexpr std::uint64_t kPasidBytes = 64;        // 9.6
inline constexpr Field<19, 0> kRidPasid{"RID_PASID"};   // of a context entry's second word
inline constexpr Field<8, 6> kTranslationKind{"PGTT"};  // of a PASID entry's first word
inline constexpr Field<4, 2> kPasidWidth{"AW"};         // of it
inline constexpr std::uint64_t kFirstStageOnly = 1;     // PGTT

// Of a wait descriptor's low word (6.5.2.8).
inline constexpr Field<63, 32> kStatusData{"SDATA"};
inline constexpr Bit<6> kFence{"FN"};
inline constexpr Bit<5> kStatusWrite{"SW"};
inline constexpr Bit<4> kInterruptFlag{"IF"};
inline constexpr Field<3, 0> kType{"TYPE"};

}  // namespace weir::replay::driver
