// SPDX-License-Identifier: Apache-2.0
//
// Layout of the registers that say what a unit can do: the extended feature registers (48882
// section 3.4.4, EFR and EFR2). Fields of features that this unit never has stand here too, so that
// a test can name what must read 0.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include "vendors/amdvi/register.h"

namespace weir::amdvi::reg {

namespace efr {
inline constexpr Bit<0> kPrefetch{"PreFSup", "PREFETCH_IOMMU_PAGES", "3.4.4"};
inline constexpr Bit<1> kPageRequests{"PPRSup", "peripheral page requests", "3.4.4"};
inline constexpr Bit<2> kX2apic{"XTSup", "x2APIC destinations", "3.4.4"};
inline constexpr Bit<3> kNoExecute{"NXSup", "no-execute protection", "3.4.4"};
inline constexpr Bit<4> kGuestTables{"GTSup", "guest translation", "3.4.4"};
inline constexpr Bit<5> kGuestApicPhysical{"GAPPISup", "guest APIC physical interrupts", "3.4.4"};
inline constexpr Bit<6> kInvalidateAll{"IASup", "INVALIDATE_IOMMU_ALL", "3.4.4"};
inline constexpr Bit<7> kWideInterrupts{"GASup", "128-bit interrupt entries", "3.4.4"};
inline constexpr Bit<8> kHardwareErrors{"HESup", "hardware error registers", "3.4.4"};
inline constexpr Bit<9> kCounters{"PCSup", "performance counters", "3.4.4"};
inline constexpr Field<11, 10> kHostLevels{"HATS", "host levels: 0 is 4, 2 is 6", "3.4.4"};
inline constexpr Field<13, 12> kGuestLevels{"GATS", "guest levels: 0 is 4, 1 is 5", "3.4.4"};
inline constexpr Field<15, 14> kGcr3Levels{"GLXSup", "guest CR3 table levels - 1", "3.4.4"};
inline constexpr Field<17, 16> kSmiFilter{"SmiFSup", "SMI filter", "3.4.4"};
inline constexpr Field<20, 18> kSmiFilters{"SmiFRC", "SMI filter registers", "3.4.4"};
inline constexpr Field<23, 21> kGuestApicMode{"GAMSup", "guest virtual APIC modes", "3.4.4"};
inline constexpr Field<25, 24> kDualPprLog{"DualPprLogSup", "two page-request logs", "3.4.4"};
inline constexpr Field<29, 28> kDualEventLog{"DualEventLogSup", "two event logs", "3.4.4"};
inline constexpr Bit<31> kSecureAts{"SATSSup", "secure ATS", "3.4.4"};
inline constexpr Field<36, 32> kPasidBits{"PASmax", "PASID bits - 1", "3.4.4"};
inline constexpr Bit<37> kUserSupervisor{"USSup", "user and supervisor", "3.4.4"};
inline constexpr Field<39, 38> kSegments{"DevTblSegSup", "device table segments", "3.4.4"};
inline constexpr Bit<40> kOverflowEarly{"PprOvrflwEarlySup", "early overflow warning", "3.4.4"};
inline constexpr Bit<41> kAutoResponse{"PPRAutoRspSup", "automatic responses", "3.4.4"};
inline constexpr Field<43, 42> kMarc{"MarcSup", "memory access routing", "3.4.4"};
inline constexpr Bit<44> kBlockStopMark{"BlkStopMrkSup", "block StopMark", "3.4.4"};
inline constexpr Bit<45> kPerformance{"PerfOptSup", "performance optimisation", "3.4.4"};
inline constexpr Bit<46> kMsiMirror{"MsiCapMmioSup", "MSI capability in MMIO", "3.4.4"};
inline constexpr Bit<48> kGuestIo{"GIoSup", "guest I/O protection", "3.4.4"};
inline constexpr Bit<49> kAccessed{"HASup", "host accessed bit", "3.4.4"};
inline constexpr Bit<50> kEnhancedRequests{"EPHSup", "enhanced page-request handling", "3.4.4"};
inline constexpr Bit<51> kAttributes{"AttrFWSup", "attribute forward", "3.4.4"};
inline constexpr Bit<52> kDirty{"HDSup", "host dirty bit", "3.4.4"};
inline constexpr Bit<54> kInvalidationType{"InvIotlbTypeSup", "IOTLB invalidation type", "3.4.4"};
inline constexpr Bit<55> kVirtualIommu{"vIommuSup", "virtual IOMMU", "3.4.4"};
inline constexpr Bit<56> kVmGuardIo{"VmGuardIoSup", "VM guard I/O", "3.4.4"};
inline constexpr Field<60, 57> kVmTable{"VmTableSize", "VM table size", "3.4.4"};
inline constexpr Bit<61> kGuestUpdates{"V2HADDisSup", "guest A/D updates can be off", "3.4.4"};
inline constexpr Bit<63> kSnp{"SNPSup", "secure nested paging", "3.4.4"};
inline constexpr auto kLayout = layout<64>(
    kPrefetch, kPageRequests, kX2apic, kNoExecute, kGuestTables, kGuestApicPhysical, kInvalidateAll,
    kWideInterrupts, kHardwareErrors, kCounters, kHostLevels, kGuestLevels, kGcr3Levels, kSmiFilter,
    kSmiFilters, kGuestApicMode, kDualPprLog, kDualEventLog, kSecureAts, kPasidBits,
    kUserSupervisor, kSegments, kOverflowEarly, kAutoResponse, kMarc, kBlockStopMark, kPerformance,
    kMsiMirror, kGuestIo, kAccessed, kEnhancedRequests, kAttributes, kDirty, kInvalidationType,
    kVirtualIommu, kVmGuardIo, kVmTable, kGuestUpdates, kSnp);
// The value follows from Options (capabilities.h).
inline constexpr Register kRegister{.offset = 0x30,
                                    .mnemonic = "EFR",
                                    .name = "extended feature",
                                    .section = "3.4.4",
                                    .layout = kLayout};
}  // namespace efr

namespace efr2 {
inline constexpr Bit<1> kSevTio{"SevSnpIoSup", "SEV-TIO", "3.4.13"};
inline constexpr Bit<2> kTmpm{"TMPMSup", "tiered memory page migration", "3.4.13"};
inline constexpr Bit<3> kGcr3RootMode{"GCR3TRPModeSup", "GCR3 root as a GPA", "3.4.13"};
inline constexpr Bit<4> kGappiDisable{"GAPPIDisSup", "GAPPI disable", "3.4.13"};
inline constexpr Field<7, 5> kSnpAvic{"SNPAVICSup", "SNP AVIC", "3.4.13"};
inline constexpr Field<9, 8> kInterruptEntries{"NumIntRemapSup", "interrupt entries", "3.4.13"};
inline constexpr Bit<11> kHtRangeIgnore{"HtRangeIgnore", "the HT range is ordinary", "3.4.13"};
inline constexpr auto kLayout = layout<64>(kSevTio, kTmpm, kGcr3RootMode, kGappiDisable, kSnpAvic,
                                           kInterruptEntries, kHtRangeIgnore);
inline constexpr Register kRegister{.offset = 0x1a0,
                                    .mnemonic = "EFR2",
                                    .name = "extended feature 2",
                                    .section = "3.4.13",
                                    .layout = kLayout};
}  // namespace efr2

}  // namespace weir::amdvi::reg
