// SPDX-License-Identifier: Apache-2.0
//
// VT-d registers and descriptors as the guest driver of the vectors writes them: the numbers of the
// manual, taken down a second time on purpose (vendors/vtd has its own), so that a wrong bit on one
// side shows.
//
// Layout only. Used by vtd_driver.cpp and the machine beside it.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace weir::verify::vtd_registers {

inline constexpr std::uint64_t kCap = 0x08;
inline constexpr std::uint64_t kEcap = 0x10;
inline constexpr std::uint64_t kGcmd = 0x18;
inline constexpr std::uint64_t kGsts = 0x1c;
inline constexpr std::uint64_t kRtaddr = 0x20;
inline constexpr std::uint64_t kCcmd = 0x28;
inline constexpr std::uint64_t kFsts = 0x34;
inline constexpr std::uint64_t kIqh = 0x80;
inline constexpr std::uint64_t kIqt = 0x88;
inline constexpr std::uint64_t kIqa = 0x90;

// CAP
inline constexpr Bit<7> kCachingMode{"CM", "caching mode"};
inline constexpr Field<12, 8> kWidths{"SAGAW", "supported adjusted guest address widths"};
inline constexpr Field<21, 16> kMgaw{"MGAW", "maximum guest address width, less one"};
inline constexpr Field<33, 24> kFaultRecordsAt{"FRO", "fault records, in 16 bytes"};
inline constexpr Field<37, 34> kLargePages{"SSLPS", "second-stage large pages"};
inline constexpr Bit<39> kPageSelective{"PSI", "page-selective invalidation"};
inline constexpr Field<47, 40> kFaultRecords{"NFR", "number of fault records, less one"};
inline constexpr Field<53, 48> kMostAddressMask{"MAMV", "maximum address mask value"};
inline constexpr Bit<56> kFirstStage1g{"FS1GP", "first-stage 1 GiB pages"};
inline constexpr Bit<60> kFirstStage5{"FS5LP", "first-stage 5-level paging"};
inline constexpr Bit<63> kRootPointerFlushes{"ESRTPS", "SRTP drops all caches"};

// ECAP
inline constexpr Bit<1> kQueuedInvalidation{"QI", "queued invalidation"};
inline constexpr Bit<2> kDeviceTlb{"DT", "device TLB"};
inline constexpr Bit<6> kPassThrough{"PT", "pass-through"};
inline constexpr Bit<7> kSnoopControl{"SC", "snoop control"};
inline constexpr Field<17, 8> kIotlbAt{"IRO", "IOTLB registers, in 16 bytes"};
inline constexpr Bit<43> kScalable{"SMTS", "scalable mode"};
inline constexpr Bit<46> kSecondStage{"SSTS", "second-stage translation"};
inline constexpr Bit<47> kFirstStage{"FSTS", "first-stage translation"};
// Nested, EAFS, PASID, SMTS, SSADS, SSTS, FSTS, SMPWCS, RPS, ADMS: results depend on them.
inline constexpr std::uint64_t kScalableFeatures =
    1ULL << 26 | 1ULL << 34 | 1ULL << 40 | 1ULL << 43 | 15ULL << 45 | 1ULL << 49 | 1ULL << 52;

// RTADDR
inline constexpr Field<11, 10> kRootMode{"TTM", "translation-table mode"};
// IQA
inline constexpr Bit<11> kWideQueue{"DW", "256-bit descriptors"};

// GCMD and GSTS: the same bits.
inline constexpr std::uint32_t kTranslation = 1U << 31;     // TE, TES
inline constexpr std::uint32_t kRootPointer = 1U << 30;     // SRTP, RTPS
inline constexpr std::uint32_t kQueue = 1U << 26;           // QIE, QIES
inline constexpr std::uint32_t kRemapping = 1U << 25;       // IRE, IRES
inline constexpr std::uint32_t kInterruptTable = 1U << 24;  // SIRTP, IRTPS
// What a write of GCMD must repeat; the others act once.
inline constexpr std::uint32_t kLasting = kTranslation | kQueue | 1U << 25 | 1U << 23;  // IRE, CFI

// IRTA
inline constexpr std::uint64_t kIrta = 0xb8;
inline constexpr Bit<11> kExtendedMode{"EIME", "extended interrupt mode"};
inline constexpr Field<3, 0> kTableSize{"S", "2^(S+1) entries"};

// CCMD
inline constexpr Bit<63> kContextGo{"ICC", "invalidate context cache"};
inline constexpr Field<62, 61> kContextWhat{"CIRG", "requested granularity"};
inline constexpr Field<60, 59> kContextDone{"CAIG", "actual granularity"};
inline constexpr Field<33, 32> kContextMask{"FM", "function mask"};
inline constexpr Field<31, 16> kContextSource{"SID", "source-id"};
inline constexpr Field<15, 0> kContextDomain{"DID", "domain-id"};

// IVA and IOTLB
inline constexpr Bit<6> kAddressLeafOnly{"IH", "invalidation hint"};
inline constexpr Field<5, 0> kAddressMask{"AM", "address mask"};
inline constexpr Bit<63> kIotlbGo{"IVT", "invalidate IOTLB"};
inline constexpr Field<61, 60> kIotlbWhat{"IIRG", "requested granularity"};
inline constexpr Field<58, 57> kIotlbDone{"IAIG", "actual granularity"};
inline constexpr Field<49, 48> kIotlbDrain{"DR, DW", "drain reads, drain writes"};
inline constexpr Field<47, 32> kIotlbDomain{"DID", "domain-id"};

// FSTS
inline constexpr std::uint32_t kFaultOverflow = 1U << 0;  // PFO
inline constexpr std::uint32_t kFaultPending = 1U << 1;   // PPF
inline constexpr std::uint32_t kQueueError = 1U << 4;     // IQE
inline constexpr Field<15, 8> kFaultIndex{"FRI", "first record"};

// FRCD, high word
inline constexpr unsigned kFaultRecordBytes = 16;
inline constexpr Bit<63> kFault{"F", "fault"};
inline constexpr Bit<62> kFaultT1{"T1", "type"};
inline constexpr Field<39, 32> kFaultReason{"FR", "fault reason"};
inline constexpr Bit<31> kFaultPasid{"PP", "PASID present"};
inline constexpr Bit<28> kFaultT2{"T2", "type"};
inline constexpr Field<15, 0> kFaultSource{"SID", "source-id"};

// Descriptors, low word; the high word of an IOTLB one is as IVA. 256-bit ones have two more words,
// of zeros.
inline constexpr Field<3, 0> kType{"", "type"};
inline constexpr std::uint64_t kTypeContext = 1;
inline constexpr std::uint64_t kTypeIotlb = 2;
inline constexpr std::uint64_t kTypeWait = 5;
inline constexpr std::uint64_t kTypeEntries = 4;
inline constexpr std::uint64_t kTypePasidIotlb = 6;
inline constexpr std::uint64_t kTypePasidCache = 7;
inline constexpr Field<5, 4> kGranularity{"G", "granularity"};
inline constexpr Field<7, 6> kDrain{"DR, DW", "drain reads, drain writes"};
inline constexpr Field<31, 16> kDomain{"DID", "domain-id"};
inline constexpr Field<47, 32> kSource{"SID", "source-id"};
inline constexpr Field<49, 48> kFunctionMask{"FM", "function mask"};
inline constexpr Field<51, 32> kPasid{"PASID", "PASID"};
inline constexpr Bit<4> kOneIndex{"G", "by index"};
inline constexpr Field<31, 27> kIndexMask{"IM", "index mask"};
inline constexpr Field<47, 32> kIndex{"IIDX", "interrupt index"};
inline constexpr Bit<5> kWaitStatus{"SW", "status write"};
inline constexpr Field<63, 32> kWaitData{"", "status data"};

}  // namespace weir::verify::vtd_registers
