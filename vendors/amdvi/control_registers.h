// SPDX-License-Identifier: Apache-2.0
//
// Layout of the control and status registers (48882 sections 3.4.1 and 3.4.15). Which control bits
// a unit lets software set follows from its features (capabilities.h); the others read 0.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include "vendors/amdvi/register.h"

namespace weir::amdvi::reg {

namespace control {
inline constexpr Bit<0> kEnable{"IommuEn", "translate", "3.4.1"};
inline constexpr Bit<1> kHtTunnel{"HtTunEn", "translate what comes through a tunnel", "3.4.1"};
inline constexpr Bit<2> kEventLog{"EventLogEn", "event log", "3.4.1"};
inline constexpr Bit<3> kEventInterrupt{"EventIntEn", "event interrupt", "3.4.1"};
inline constexpr Bit<4> kWaitInterrupt{"ComWaitIntEn", "completion-wait interrupt", "3.4.1"};
inline constexpr Field<7, 5> kTimeout{"InvTimeOut", "device TLB time-out", "3.4.1"};
inline constexpr Bit<8> kPassPosted{"PassPW", "pass posted writes", "3.4.1"};
inline constexpr Bit<9> kResponsePassPosted{"ResPassPW", "response pass posted writes", "3.4.1"};
inline constexpr Bit<10> kCoherent{"Coherent", "table reads snoop", "3.4.1"};
inline constexpr Bit<11> kIsochronous{"Isoc", "isochronous table reads", "3.4.1"};
inline constexpr Bit<12> kCommands{"CmdBufEn", "command buffer", "3.4.1"};
inline constexpr Bit<13> kRequestLog{"PPRLogEn", "page-request log", "3.4.1"};
inline constexpr Bit<14> kRequestInterrupt{"PPRIntEn", "page-request interrupt", "3.4.1"};
inline constexpr Bit<15> kPageRequests{"PPREn", "page requests", "3.4.1"};
inline constexpr Bit<16> kGuestTables{"GTEn", "guest translation", "3.4.1"};
inline constexpr Bit<17> kWideInterrupts{"GAEn", "128-bit interrupt entries", "3.4.1"};
inline constexpr Field<27, 25> kGuestApicMode{"GAMEn", "guest virtual APIC mode", "3.4.1"};
inline constexpr Bit<28> kGuestLog{"GALogEn", "guest virtual APIC log", "3.4.1"};
inline constexpr Bit<29> kGuestInterrupt{"GAIntEn", "guest virtual APIC interrupt", "3.4.1"};
inline constexpr Bit<45> kEnhancedRequests{"EPHEn", "enhanced page-request handling", "3.4.1"};
inline constexpr Bit<50> kX2apic{"XTEn", "32-bit interrupt destinations", "3.4.1"};
inline constexpr Bit<51> kX2apicOwn{"IntCapXTEn", "own interrupts by XT registers", "3.4.1"};
inline constexpr Bit<58> kGcr3RootMode{"GCR3TRPMode", "GCR3 root is a GPA", "3.4.1"};
inline constexpr Bit<59> kNoEntryCache{"IRTCacheDis", "interrupt entries not cached", "3.4.1"};
inline constexpr auto kLayout = layout<64>(
    kEnable, kHtTunnel, kEventLog, kEventInterrupt, kWaitInterrupt, kTimeout, kPassPosted,
    kResponsePassPosted, kCoherent, kIsochronous, kCommands, kRequestLog, kRequestInterrupt,
    kPageRequests, kGuestTables, kWideInterrupts, kGuestApicMode, kGuestLog, kGuestInterrupt,
    kEnhancedRequests, kX2apic, kX2apicOwn, kGcr3RootMode, kNoEntryCache);
inline constexpr Register kRegister{.offset = 0x18,
                                    .mnemonic = "CONTROL",
                                    .name = "control",
                                    .section = "3.4.1",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace control

namespace status {
inline constexpr Bit<0> kEventOverflow{"EventOverflow", "event log overflow", "3.4.15"};
inline constexpr Bit<1> kEventInterrupt{"EventLogInt", "event log interrupt", "3.4.15"};
inline constexpr Bit<2> kWaitInterrupt{"ComWaitInt", "completion-wait interrupt", "3.4.15"};
inline constexpr Bit<3> kEventRun{"EventLogRun", "event log running", "3.4.15"};
inline constexpr Bit<4> kCommandRun{"CmdBufRun", "command buffer running", "3.4.15"};
inline constexpr Bit<5> kRequestOverflow{"PPROverflow", "page-request log overflow", "3.4.15"};
inline constexpr Bit<6> kRequestInterrupt{"PPRInt", "page-request log interrupt", "3.4.15"};
inline constexpr Bit<7> kRequestRun{"PPRLogRun", "page-request log running", "3.4.15"};
inline constexpr Bit<8> kGuestRun{"GALogRun", "guest virtual APIC log running", "3.4.15"};
inline constexpr Bit<9> kGuestOverflow{"GALOverflow", "guest log overflow", "3.4.15"};
inline constexpr Bit<10> kGuestInterrupt{"GAInt", "guest log interrupt", "3.4.15"};
inline constexpr auto kLayout = layout<64>(
    kEventOverflow, kEventInterrupt, kWaitInterrupt, kEventRun, kCommandRun, kRequestOverflow,
    kRequestInterrupt, kRequestRun, kGuestRun, kGuestOverflow, kGuestInterrupt);
inline constexpr std::uint64_t kRuns =
    kEventRun.kMask | kCommandRun.kMask | kRequestRun.kMask | kGuestRun.kMask;
inline constexpr Register kRegister{.offset = 0x2020,
                                    .mnemonic = "STATUS",
                                    .name = "status",
                                    .section = "3.4.15",
                                    .layout = kLayout,
                                    .clear_on_one = kLayout.defined & ~kRuns};
}  // namespace status

}  // namespace weir::amdvi::reg
