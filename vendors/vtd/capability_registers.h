// SPDX-License-Identifier: Apache-2.0
//
// Layout of the VT-d registers that say what a unit is: version, capability, extended capability
// (manual 10.4.1 to 10.4.3; the numbering of revision 3), and the shape of a register's
// declaration. Fields of features that this unit never has stand here too, so that a test can name
// what must read 0.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bits.h"

namespace weir::vtd::reg {

struct Register {
  std::uint16_t offset;
  std::uint8_t bits;  // 32 or 64
  std::string_view mnemonic;
  std::string_view name;
  std::string_view section;
  Layout layout;
  std::uint64_t writable = 0;      // RW: a write replaces
  std::uint64_t clear_on_one = 0;  // RW1C: a write of one clears
  std::uint64_t write_only = 0;    // WO: kept or acted upon, reads 0
  std::uint64_t reset = 0;
};

namespace ver {
inline constexpr Field<7, 4> kMajor{"MAX", "major version", "10.4.1"};
inline constexpr Field<3, 0> kMinor{"MIN", "minor version", "10.4.1"};
inline constexpr auto kLayout = layout<32>(kMajor, kMinor);
// 4.0: from major version 2 on, invalidations drain whatever their DW and DR bits say, and that is
// what this unit does (L1); units of version 4.0 without scalable mode exist in silicon.
inline constexpr std::uint64_t kValue = kMajor.of(4) | kMinor.of(0);
inline constexpr Register kRegister{.offset = 0x00,
                                    .bits = 32,
                                    .mnemonic = "VER_REG",
                                    .name = "version",
                                    .section = "10.4.1",
                                    .layout = kLayout,
                                    .reset = kValue};
}  // namespace ver

namespace cap {
inline constexpr Field<2, 0> kDomains{"ND", "domains supported: 2^(4+2*ND)", "10.4.2"};
inline constexpr Bit<3> kAdvancedFaultLog{"AFL", "advanced fault logging", "10.4.2"};
inline constexpr Bit<4> kWriteBufferFlush{"RWBF", "required write-buffer flushing", "10.4.2"};
inline constexpr Bit<5> kProtectedLow{"PLMR", "protected low-memory region", "10.4.2"};
inline constexpr Bit<6> kProtectedHigh{"PHMR", "protected high-memory region", "10.4.2"};
inline constexpr Bit<7> kCachingMode{"CM", "caching mode", "10.4.2"};
inline constexpr Bit<9> kWidth39{"SAGAW1", "39-bit AGAW, 3 levels", "10.4.2"};
inline constexpr Bit<10> kWidth48{"SAGAW2", "48-bit AGAW, 4 levels", "10.4.2"};
inline constexpr Bit<11> kWidth57{"SAGAW3", "57-bit AGAW, 5 levels", "10.4.2"};
inline constexpr Field<21, 16> kMaxGuestWidth{"MGAW", "maximum guest address width - 1", "10.4.2"};
inline constexpr Bit<22> kZeroLengthRead{"ZLR", "zero-length read of write-only pages", "10.4.2"};
inline constexpr Field<33, 24> kFaultOffset{"FRO", "fault-recording offset / 16", "10.4.2"};
inline constexpr Bit<34> kPages2m{"SSLPS0", "second-stage 2 MiB pages", "10.4.2"};
inline constexpr Bit<35> kPages1g{"SSLPS1", "second-stage 1 GiB pages", "10.4.2"};
inline constexpr Bit<39> kPageSelective{"PSI", "page-selective invalidation", "10.4.2"};
inline constexpr Field<47, 40> kFaultRecords{"NFR", "fault-recording registers - 1", "10.4.2"};
inline constexpr Field<53, 48> kMaxAddressMask{"MAMV", "maximum address mask value", "10.4.2"};
inline constexpr Bit<54> kWriteDrain{"DWD", "write draining", "10.4.2"};
inline constexpr Bit<55> kReadDrain{"DRD", "read draining", "10.4.2"};
inline constexpr Bit<56> kFirstStage1g{"FS1GP", "first-stage 1 GiB pages", "10.4.2"};
inline constexpr Bit<59> kPosted{"PI", "posted interrupts", "10.4.2"};
inline constexpr Bit<60> kFirstStage5{"FS5LP", "first-stage 5-level paging", "10.4.2"};
inline constexpr Bit<61> kEnhancedCommands{"ECMDS", "enhanced command", "10.4.2"};
inline constexpr Bit<62> kEnhancedSirtp{"ESIRTPS", "SIRTP invalidates", "10.4.2"};
inline constexpr Bit<63> kEnhancedSrtp{"ESRTPS", "SRTP invalidates", "10.4.2"};
inline constexpr auto kLayout = layout<64>(
    kDomains, kAdvancedFaultLog, kWriteBufferFlush, kProtectedLow, kProtectedHigh, kCachingMode,
    kWidth39, kWidth48, kWidth57, kMaxGuestWidth, kZeroLengthRead, kFaultOffset, kPages2m, kPages1g,
    kPageSelective, kFaultRecords, kMaxAddressMask, kWriteDrain, kReadDrain, kFirstStage1g, kPosted,
    kFirstStage5, kEnhancedCommands, kEnhancedSirtp, kEnhancedSrtp);
// The value follows from Options (capabilities.h).
inline constexpr Register kRegister{.offset = 0x08,
                                    .bits = 64,
                                    .mnemonic = "CAP_REG",
                                    .name = "capability",
                                    .section = "10.4.2",
                                    .layout = kLayout};
}  // namespace cap

namespace ecap {
inline constexpr Bit<0> kCoherent{"C", "page walks snoop", "10.4.3"};
inline constexpr Bit<1> kQueued{"QI", "queued invalidation", "10.4.3"};
inline constexpr Bit<2> kDeviceTlb{"DT", "device-TLBs", "10.4.3"};
inline constexpr Bit<3> kInterruptRemapping{"IR", "interrupt remapping", "10.4.3"};
inline constexpr Bit<4> kExtendedInterrupt{"EIM", "extended interrupt mode", "10.4.3"};
inline constexpr Bit<6> kPassThrough{"PT", "pass-through", "10.4.3"};
inline constexpr Bit<7> kSnoopControl{"SC", "snoop control", "10.4.3"};
inline constexpr Field<17, 8> kIotlbOffset{"IRO", "IOTLB register offset / 16", "10.4.3"};
inline constexpr Field<23, 20> kMaxHandleMask{"MHMV", "maximum handle mask value", "10.4.3"};
inline constexpr Bit<25> kMemoryTypes{"MTS", "memory types", "10.4.3"};
inline constexpr Bit<26> kNested{"NEST", "nested translation", "10.4.3"};
inline constexpr Bit<29> kPageRequests{"PRS", "page requests", "10.4.3"};
inline constexpr Bit<30> kExecute{"ERS", "execute requests", "10.4.3"};
inline constexpr Bit<31> kSupervisor{"SRS", "supervisor requests", "10.4.3"};
inline constexpr Bit<33> kNoWriteFlag{"NWFS", "no-write flag in translation requests", "10.4.3"};
inline constexpr Bit<34> kExtendedAccessed{"EAFS", "extended accessed flag", "10.4.3"};
inline constexpr Field<39, 35> kPasidSize{"PSS", "PASID bits - 1", "10.4.3"};
inline constexpr Bit<40> kPasid{"PASID", "requests with PASID", "10.4.3"};
inline constexpr Bit<41> kDeviceTlbThrottle{"DIT", "device-TLB invalidation throttle", "10.4.3"};
inline constexpr Bit<42> kPageRequestDrain{"PDS", "page-request drain", "10.4.3"};
inline constexpr Bit<43> kScalable{"SMTS", "scalable mode", "10.4.3"};
inline constexpr Bit<44> kVirtualCommand{"VCS", "virtual command", "10.4.3"};
inline constexpr Bit<45> kSecondStageDirty{"SSADS", "second-stage accessed/dirty", "10.4.3"};
inline constexpr Bit<46> kSecondStage{"SSTS", "second-stage translation", "10.4.3"};
inline constexpr Bit<47> kFirstStage{"FSTS", "first-stage translation", "10.4.3"};
inline constexpr Bit<48> kWalkCoherency{"SMPWCS", "scalable-mode page-walk coherency", "10.4.3"};
inline constexpr Bit<49> kRidPasid{"RPS", "RID_PASID", "10.4.3"};
inline constexpr Bit<51> kPerformance{"PMS", "performance monitoring", "10.4.3"};
inline constexpr Bit<52> kAbortDma{"ADMS", "abort-DMA mode", "10.4.3"};
inline constexpr Bit<53> kRidPrivileged{"RPRIVS", "RID_PRIV", "10.4.3"};
inline constexpr auto kLayout = layout<64>(
    kCoherent, kQueued, kDeviceTlb, kInterruptRemapping, kExtendedInterrupt, kPassThrough,
    kSnoopControl, kIotlbOffset, kMaxHandleMask, kMemoryTypes, kNested, kPageRequests, kExecute,
    kSupervisor, kNoWriteFlag, kExtendedAccessed, kPasidSize, kPasid, kDeviceTlbThrottle,
    kPageRequestDrain, kScalable, kVirtualCommand, kSecondStageDirty, kSecondStage, kFirstStage,
    kWalkCoherency, kRidPasid, kPerformance, kAbortDma, kRidPrivileged);
inline constexpr Register kRegister{.offset = 0x10,
                                    .bits = 64,
                                    .mnemonic = "ECAP_REG",
                                    .name = "extended capability",
                                    .section = "10.4.3",
                                    .layout = kLayout};
}  // namespace ecap

}  // namespace weir::vtd::reg
