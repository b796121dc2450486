// SPDX-License-Identifier: Apache-2.0
//
// Layout of the VT-d registers that legacy mode and queued invalidation need (manual chapter 10.4;
// the numbering of revision 3): fields as the manual draws them, and for each register what
// software may write, what it clears by writing ones, what reads as zero, and its value at reset.
// The register file is driven by this table; what is not in it reads 0 and ignores writes.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bits.h"
#include "vendors/vtd/capability_registers.h"
#include "vendors/vtd/interrupt_registers.h"
#include "vendors/vtd/page_request_registers.h"
#include "vendors/vtd/protected_registers.h"

namespace weir::vtd::reg {

// --- Global command and status; both have their bits in the same places
namespace global {
inline constexpr Bit<31> kTranslation{"TE/TES", "translation enable", "10.4.4"};
inline constexpr Bit<30> kRootPointer{"SRTP/RTPS", "set root-table pointer", "10.4.4"};
inline constexpr Bit<29> kFaultLog{"SFL/FLS", "set fault log", "10.4.4"};
inline constexpr Bit<28> kAdvancedFaultLog{"EAFL/AFLS", "advanced fault logging", "10.4.4"};
inline constexpr Bit<27> kWriteBuffer{"WBF/WBFS", "write-buffer flush", "10.4.4"};
inline constexpr Bit<26> kQueue{"QIE/QIES", "queued invalidation", "10.4.4"};
inline constexpr Bit<25> kInterrupts{"IRE/IRES", "interrupt remapping", "10.4.4"};
inline constexpr Bit<24> kInterruptTable{"SIRTP/IRTPS", "interrupt table pointer", "10.4.4"};
inline constexpr Bit<23> kCompatibility{"CFI/CFIS", "compatibility-format interrupts", "10.4.4"};
inline constexpr auto kLayout =
    layout<32>(kTranslation, kRootPointer, kFaultLog, kAdvancedFaultLog, kWriteBuffer, kQueue,
               kInterrupts, kInterruptTable, kCompatibility);
// The command register keeps nothing: its writes are acted upon (commands.h).
inline constexpr Register kCommand{.offset = 0x18,
                                   .bits = 32,
                                   .mnemonic = "GCMD_REG",
                                   .name = "global command",
                                   .section = "10.4.4",
                                   .layout = kLayout,
                                   .write_only = kLayout.defined};
inline constexpr Register kStatus{.offset = 0x1c,
                                  .bits = 32,
                                  .mnemonic = "GSTS_REG",
                                  .name = "global status",
                                  .section = "10.4.5",
                                  .layout = kLayout};
}  // namespace global

namespace rtaddr {
inline constexpr Field<63, 12> kTable{"RTA", "root-table address", "10.4.6"};
inline constexpr Field<11, 10> kMode{"TTM", "translation-table mode", "10.4.6"};
inline constexpr auto kLayout = layout<64>(kTable, kMode);
enum class Mode : std::uint8_t { kLegacy, kScalable, kAbort };
// Nothing: the reserved encoding.
[[nodiscard]] constexpr std::optional<Mode> decode_mode(std::uint64_t value) {
  switch (kMode.get(value)) {
    case 0:
      return Mode::kLegacy;
    case 1:
      return Mode::kScalable;
    case 3:
      return Mode::kAbort;
    default:
      return std::nullopt;
  }
}
inline constexpr Register kRegister{.offset = 0x20,
                                    .bits = 64,
                                    .mnemonic = "RTADDR_REG",
                                    .name = "root-table address",
                                    .section = "10.4.6",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace rtaddr

// --- Register-based invalidation
namespace ccmd {
inline constexpr Bit<63> kInvalidate{"ICC", "invalidate context-cache", "10.4.7"};
inline constexpr Field<62, 61> kRequested{"CIRG", "requested granularity", "10.4.7"};
inline constexpr Field<60, 59> kActual{"CAIG", "actual granularity", "10.4.7"};
inline constexpr Field<33, 32> kFunctionMask{"FM", "function mask", "10.4.7"};
inline constexpr Field<31, 16> kSource{"SID", "source-id", "10.4.7"};
inline constexpr Field<15, 0> kDomain{"DID", "domain-id", "10.4.7"};
inline constexpr auto kLayout =
    layout<64>(kInvalidate, kRequested, kActual, kFunctionMask, kSource, kDomain);
inline constexpr Register kRegister{.offset = 0x28,
                                    .bits = 64,
                                    .mnemonic = "CCMD_REG",
                                    .name = "context command",
                                    .section = "10.4.7",
                                    .layout = kLayout,
                                    .writable = kLayout.defined & ~kActual.kMask};
}  // namespace ccmd

namespace iva {
inline constexpr Field<63, 12> kAddress{"ADDR", "address", "10.4.8.2"};
inline constexpr Bit<6> kHint{"IH", "invalidation hint: only leaves changed", "10.4.8.2"};
inline constexpr Field<5, 0> kMask{"AM", "address mask: 2^AM pages", "10.4.8.2"};
inline constexpr auto kLayout = layout<64>(kAddress, kHint, kMask);
inline constexpr Register kRegister{.offset = 0xf0,
                                    .bits = 64,
                                    .mnemonic = "IVA_REG",
                                    .name = "invalidate address",
                                    .section = "10.4.8.2",
                                    .layout = kLayout,
                                    .writable = kLayout.defined,
                                    .write_only = kLayout.defined};
}  // namespace iva

namespace iotlb {
inline constexpr Bit<63> kInvalidate{"IVT", "invalidate IOTLB", "10.4.8.1"};
inline constexpr Field<61, 60> kRequested{"IIRG", "requested granularity", "10.4.8.1"};
inline constexpr Field<58, 57> kActual{"IAIG", "actual granularity", "10.4.8.1"};
inline constexpr Bit<49> kDrainReads{"DR", "drain reads", "10.4.8.1"};
inline constexpr Bit<48> kDrainWrites{"DW", "drain writes", "10.4.8.1"};
inline constexpr Field<47, 32> kDomain{"DID", "domain-id", "10.4.8.1"};
inline constexpr auto kLayout =
    layout<64>(kInvalidate, kRequested, kActual, kDrainReads, kDrainWrites, kDomain);
inline constexpr Register kRegister{.offset = 0xf8,
                                    .bits = 64,
                                    .mnemonic = "IOTLB_REG",
                                    .name = "IOTLB invalidate",
                                    .section = "10.4.8.1",
                                    .layout = kLayout,
                                    .writable = kLayout.defined & ~kActual.kMask};
}  // namespace iotlb
inline constexpr std::uint64_t kIotlbBlock = iva::kRegister.offset;

// --- Faults
namespace fsts {
inline constexpr Bit<0> kOverflow{"PFO", "primary fault overflow", "10.4.9"};
inline constexpr Bit<1> kPending{"PPF", "primary pending fault", "10.4.9"};
inline constexpr Bit<4> kQueueError{"IQE", "invalidation queue error", "10.4.9"};
inline constexpr Bit<5> kCompletionError{"ICE", "invalidation completion error", "10.4.9"};
inline constexpr Bit<6> kTimeoutError{"ITE", "invalidation time-out error", "10.4.9"};
inline constexpr Field<15, 8> kFirstRecord{"FRI", "fault record index", "10.4.9"};
inline constexpr auto kLayout =
    layout<32>(kOverflow, kPending, kQueueError, kCompletionError, kTimeoutError, kFirstRecord);
inline constexpr std::uint64_t kErrors =
    kOverflow.kMask | kQueueError.kMask | kCompletionError.kMask | kTimeoutError.kMask;
inline constexpr std::uint64_t kEvents = kErrors | kPending.kMask;
inline constexpr Register kRegister{.offset = 0x34,
                                    .bits = 32,
                                    .mnemonic = "FSTS_REG",
                                    .name = "fault status",
                                    .section = "10.4.9",
                                    .layout = kLayout,
                                    .clear_on_one = kErrors};
}  // namespace fsts

// One message-signalled event of the unit: control, data, address; the fault event and the
// completion event have the same shape.
namespace event {
inline constexpr Bit<31> kMask{"IM", "interrupt mask", "10.4.10"};
inline constexpr Bit<30> kPending{"IP", "interrupt pending", "10.4.10"};
inline constexpr auto kControl = layout<32>(kMask, kPending);
inline constexpr Field<15, 0> kMessage{"IMD", "interrupt message data", "10.4.11"};
inline constexpr auto kData = layout<32>(kMessage);
inline constexpr Field<31, 2> kMessageAddress{"MA", "message address", "10.4.12"};
inline constexpr auto kAddress = layout<32>(kMessageAddress);
// Reserved while ECAP.EIM is 0 (register_file.cpp).
inline constexpr Field<31, 0> kUpperMessageAddress{"MUA", "message upper address", "10.4.13"};
inline constexpr auto kUpperAddress = layout<32>(kUpperMessageAddress);
}  // namespace event
inline constexpr Register kFectl{.offset = 0x38,
                                 .bits = 32,
                                 .mnemonic = "FECTL_REG",
                                 .name = "fault event control",
                                 .section = "10.4.10",
                                 .layout = event::kControl,
                                 .writable = event::kMask.kMask,
                                 .reset = event::kMask.kMask};
inline constexpr Register kFedata{.offset = 0x3c,
                                  .bits = 32,
                                  .mnemonic = "FEDATA_REG",
                                  .name = "fault event data",
                                  .section = "10.4.11",
                                  .layout = event::kData,
                                  .writable = event::kData.defined};
inline constexpr Register kFeaddr{.offset = 0x40,
                                  .bits = 32,
                                  .mnemonic = "FEADDR_REG",
                                  .name = "fault event address",
                                  .section = "10.4.12",
                                  .layout = event::kAddress,
                                  .writable = event::kAddress.defined};
inline constexpr Register kFeuaddr{.offset = 0x44,
                                   .bits = 32,
                                   .mnemonic = "FEUADDR_REG",
                                   .name = "fault event upper address",
                                   .section = "10.4.13",
                                   .layout = event::kUpperAddress,
                                   .writable = event::kUpperAddress.defined};

// --- Queued invalidation
namespace iqh {
inline constexpr Field<18, 4> kHead{"QH", "queue head", "10.4.21"};
inline constexpr auto kLayout = layout<64>(kHead);
inline constexpr Register kRegister{.offset = 0x80,
                                    .bits = 64,
                                    .mnemonic = "IQH_REG",
                                    .name = "queue head",
                                    .section = "10.4.21",
                                    .layout = kLayout};
}  // namespace iqh
namespace iqt {
inline constexpr Field<18, 4> kTail{"QT", "queue tail", "10.4.22"};
inline constexpr Bit<4> kWideMisaligned{"QT[4]", "must be 0 with 256-bit descriptors", "10.4.22"};
inline constexpr auto kLayout = layout<64>(kTail);
inline constexpr Register kRegister{.offset = 0x88,
                                    .bits = 64,
                                    .mnemonic = "IQT_REG",
                                    .name = "queue tail",
                                    .section = "10.4.22",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace iqt
namespace iqa {
inline constexpr Field<63, 12> kBase{"IQA", "queue base", "10.4.23"};
inline constexpr Bit<11> kWide{"DW", "256-bit descriptors", "10.4.23"};
inline constexpr Field<2, 0> kSize{"QS", "queue size: 2^QS pages", "10.4.23"};
inline constexpr auto kLayout = layout<64>(kBase, kWide, kSize);
inline constexpr Register kRegister{.offset = 0x90,
                                    .bits = 64,
                                    .mnemonic = "IQA_REG",
                                    .name = "queue address",
                                    .section = "10.4.23",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace iqa
namespace ics {
inline constexpr Bit<0> kWaitComplete{"IWC", "wait descriptor complete", "10.4.24"};
inline constexpr auto kLayout = layout<32>(kWaitComplete);
inline constexpr Register kRegister{.offset = 0x9c,
                                    .bits = 32,
                                    .mnemonic = "ICS_REG",
                                    .name = "invalidation completion status",
                                    .section = "10.4.24",
                                    .layout = kLayout,
                                    .clear_on_one = kLayout.defined};
}  // namespace ics
inline constexpr Register kIectl{.offset = 0xa0,
                                 .bits = 32,
                                 .mnemonic = "IECTL_REG",
                                 .name = "invalidation event control",
                                 .section = "10.4.25",
                                 .layout = event::kControl,
                                 .writable = event::kMask.kMask,
                                 .reset = event::kMask.kMask};
inline constexpr Register kIedata{.offset = 0xa4,
                                  .bits = 32,
                                  .mnemonic = "IEDATA_REG",
                                  .name = "invalidation event data",
                                  .section = "10.4.26",
                                  .layout = event::kData,
                                  .writable = event::kData.defined};
inline constexpr Register kIeaddr{.offset = 0xa8,
                                  .bits = 32,
                                  .mnemonic = "IEADDR_REG",
                                  .name = "invalidation event address",
                                  .section = "10.4.27",
                                  .layout = event::kAddress,
                                  .writable = event::kAddress.defined};
inline constexpr Register kIeuaddr{.offset = 0xac,
                                   .bits = 32,
                                   .mnemonic = "IEUADDR_REG",
                                   .name = "invalidation event upper address",
                                   .section = "10.4.28",
                                   .layout = event::kUpperAddress,
                                   .writable = event::kUpperAddress.defined};
// Of page requests: the same shape.
inline constexpr Register kPectl{.offset = 0xe0,
                                 .bits = 32,
                                 .mnemonic = "PECTL_REG",
                                 .name = "page request event control",
                                 .section = "10.4.35",
                                 .layout = event::kControl,
                                 .writable = event::kMask.kMask,
                                 .reset = event::kMask.kMask};
inline constexpr Register kPedata{.offset = 0xe4,
                                  .bits = 32,
                                  .mnemonic = "PEDATA_REG",
                                  .name = "page request event data",
                                  .section = "10.4.36",
                                  .layout = event::kData,
                                  .writable = event::kData.defined};
inline constexpr Register kPeaddr{.offset = 0xe8,
                                  .bits = 32,
                                  .mnemonic = "PEADDR_REG",
                                  .name = "page request event address",
                                  .section = "10.4.37",
                                  .layout = event::kAddress,
                                  .writable = event::kAddress.defined};
inline constexpr Register kPeuaddr{.offset = 0xec,
                                   .bits = 32,
                                   .mnemonic = "PEUADDR_REG",
                                   .name = "page request event upper address",
                                   .section = "10.4.38",
                                   .layout = event::kUpperAddress,
                                   .writable = event::kUpperAddress.defined};
namespace iqer {
inline constexpr Field<3, 0> kInfo{"IQEI", "queue error info", "10.4.29"};
inline constexpr Field<47, 32> kTimeoutSource{"ITESID", "time-out source-id", "10.4.29"};
inline constexpr Field<63, 48> kCompletionSource{"ICESID", "completion error source-id", "10.4.29"};
inline constexpr auto kLayout = layout<64>(kInfo, kTimeoutSource, kCompletionSource);
inline constexpr Register kRegister{.offset = 0xb0,
                                    .bits = 64,
                                    .mnemonic = "IQERCD_REG",
                                    .name = "queue error record",
                                    .section = "10.4.29",
                                    .layout = kLayout};
}  // namespace iqer

// --- Fault-recording registers: CAP.NFR of them from CAP.FRO on, 128 bits each
namespace frcd {
inline constexpr Field<63, 12> kAddress{"FI", "fault information: page address", "10.4.14"};
inline constexpr Field<63, 48> kInterruptIndex{"FI", "of an interrupt request: index", "10.4.14"};
inline constexpr auto kLow = layout<64>(kAddress);
inline constexpr Bit<63> kFault{"F", "fault", "10.4.14"};
inline constexpr Bit<62> kType1{"T1", "type, first bit", "10.4.14"};
inline constexpr Field<61, 60> kAddressType{"AT", "address type", "10.4.14"};
inline constexpr Field<59, 40> kPasid{"PASID", "PASID value", "10.4.14"};
inline constexpr Field<39, 32> kReason{"FR", "fault reason", "10.4.14"};
inline constexpr Bit<31> kPasidPresent{"PP", "PASID present", "10.4.14"};
inline constexpr Bit<30> kExecute{"EXE", "execute requested", "10.4.14"};
inline constexpr Bit<29> kPrivileged{"PRIV", "privileged mode requested", "10.4.14"};
inline constexpr Bit<28> kType2{"T2", "type, second bit", "10.4.14"};
inline constexpr Field<15, 0> kSource{"SID", "source-id", "10.4.14"};
inline constexpr auto kHigh = layout<64>(kFault, kType1, kAddressType, kPasid, kReason,
                                         kPasidPresent, kExecute, kPrivileged, kType2, kSource);
inline constexpr std::uint64_t kBytes = 16;
inline constexpr std::uint64_t kOffset = 0x220;  // 222 records still end inside the first page
}  // namespace frcd

inline constexpr std::array kRegisters = {
    ver::kRegister,    cap::kRegister,  ecap::kRegister, global::kCommand, global::kStatus,
    rtaddr::kRegister, ccmd::kRegister, fsts::kRegister, kFectl,           kFedata,
    kFeaddr,           kFeuaddr,        pmen::kRegister, kPlmbase,         kPlmlimit,
    kPhmbase,          kPhmlimit,       iqh::kRegister,  iqt::kRegister,   iqa::kRegister,
    ics::kRegister,    kIectl,          kIedata,         kIeaddr,          kIeuaddr,
    iqer::kRegister,   irta::kRegister, pqh::kRegister,  pqt::kRegister,   pqa::kRegister,
    prs::kRegister,    kPectl,          kPedata,         kPeaddr,          kPeuaddr,
    iva::kRegister,    iotlb::kRegister};

// In the order of their offsets, apart from one another, and accessible only where a field is.
consteval bool table_is_sound() {
  std::uint64_t end = 0;
  for (const Register& r : kRegisters) {
    if (r.offset < end || r.offset % (r.bits / 8) != 0) return false;
    end = r.offset + std::uint64_t{r.bits} / 8;
    if (((r.writable | r.clear_on_one | r.write_only) & ~r.layout.defined) != 0) return false;
    if ((r.writable & r.clear_on_one) != 0 || (r.reset & ~r.layout.defined) != 0) return false;
  }
  return end <= frcd::kOffset;
}
static_assert(table_is_sound());
static_assert(frcd::kOffset % 16 == 0 && kIotlbBlock % 16 == 0, "FRO and IRO count 16 bytes");
static_assert(iotlb::kRegister.offset == kIotlbBlock + 8);

}  // namespace weir::vtd::reg
