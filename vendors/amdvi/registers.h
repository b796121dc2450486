// SPDX-License-Identifier: Apache-2.0
//
// The MMIO map of an AMD-Vi unit (48882 section 3.4): every register with its fields and its access
// rules. The register file is driven by this table; what is not in it reads 0 and ignores writes.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <array>

#include "vendors/amdvi/control_registers.h"
#include "vendors/amdvi/feature_registers.h"
#include "vendors/amdvi/register.h"

namespace weir::amdvi::reg {

namespace device_table {
inline constexpr Field<51, 12> kBase{"DevTabBase", "device table base", "3.4.1"};
inline constexpr Field<8, 0> kSize{"Size", "pages of 4 KiB - 1", "3.4.1"};
inline constexpr auto kLayout = layout<64>(kBase, kSize);
inline constexpr Register kRegister{.offset = 0x00,
                                    .mnemonic = "DEVTAB_BASE",
                                    .name = "device table base address",
                                    .section = "3.4.1",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace device_table

// A ring in memory: where it lies and how many entries it has. Commands, events, page requests and
// the guest APIC log have the same shape.
namespace ring {
inline constexpr Field<59, 56> kLength{"Len", "entries: 2^Len, 8 to 15", "3.4.1"};
inline constexpr Field<51, 12> kBase{"Base", "ring base", "3.4.1"};
inline constexpr auto kLayout = layout<64>(kLength, kBase);
inline constexpr std::uint64_t kLeastLength = 8;
inline constexpr Field<18, 4> kPointer{"Ptr", "byte offset of a 16-byte entry", "3.4.15"};
inline constexpr auto kPointerLayout = layout<64>(kPointer);
inline constexpr Field<18, 3> kShortPointer{"Ptr", "byte offset of an 8-byte entry", "3.4.15"};
inline constexpr auto kShortPointerLayout = layout<64>(kShortPointer);

[[nodiscard]] constexpr Register base(std::uint16_t offset, std::string_view mnemonic,
                                      std::string_view name, std::uint64_t needs = 0) {
  return {.offset = offset,
          .mnemonic = mnemonic,
          .name = name,
          .section = "3.4.1",
          .layout = kLayout,
          .writable = kLayout.defined,
          .needs = needs};
}
[[nodiscard]] constexpr Register pointer(std::uint16_t offset, std::string_view mnemonic,
                                         std::string_view name, const Layout& layout,
                                         std::uint64_t needs = 0) {
  return {.offset = offset,
          .mnemonic = mnemonic,
          .name = name,
          .section = "3.4.15",
          .layout = layout,
          .writable = layout.defined,
          .needs = needs};
}
}  // namespace ring

inline constexpr Register kCommandBase = ring::base(0x08, "CMD_BASE", "command buffer base");
inline constexpr Register kEventBase = ring::base(0x10, "EVENT_BASE", "event log base");
inline constexpr Register kRequestBase =
    ring::base(0x38, "PPR_BASE", "page-request log base", efr::kPageRequests.kMask);
inline constexpr Register kGuestLogBase =
    ring::base(0xe0, "GALOG_BASE", "guest APIC log base", efr::kGuestApicMode.of(1));

namespace exclusion {
inline constexpr Bit<0> kEnable{"ExEn", "exclusion range", "3.4.3"};
inline constexpr Bit<1> kAllowAll{"Allow", "for all devices", "3.4.3"};
inline constexpr Field<51, 12> kAddress{"Base", "first or last page", "3.4.3"};
inline constexpr auto kBaseLayout = layout<64>(kEnable, kAllowAll, kAddress);
inline constexpr Register kBase{.offset = 0x20,
                                .mnemonic = "EXCL_BASE",
                                .name = "exclusion base",
                                .section = "3.4.3",
                                .layout = kBaseLayout,
                                .writable = kBaseLayout.defined};
inline constexpr Field<11, 0> kOnes{"-", "read as ones", "3.4.3"};
inline constexpr auto kLimitLayout = layout<64>(kAddress, kOnes);
inline constexpr Register kLimit{.offset = 0x28,
                                 .mnemonic = "EXCL_LIMIT",
                                 .name = "exclusion range limit",
                                 .section = "3.4.3",
                                 .layout = kLimitLayout,
                                 .writable = kAddress.kMask,
                                 .reads_as_one = kOnes.kMask};
}  // namespace exclusion

namespace guest_log_tail {
inline constexpr Field<51, 3> kAddress{"GALogTailAddr", "where the tail is stored", "3.4.6"};
inline constexpr auto kLayout = layout<64>(kAddress);
inline constexpr Register kRegister{.offset = 0xe8,
                                    .mnemonic = "GALOG_TAIL_ADDR",
                                    .name = "guest APIC log tail address",
                                    .section = "3.4.6",
                                    .layout = kLayout,
                                    .writable = kLayout.defined,
                                    .needs = efr::kGuestApicMode.of(1)};
}  // namespace guest_log_tail

// The unit's own interrupts while IntCapXTEn is set.
namespace xt {
inline constexpr Bit<2> kLogical{"DM", "destination mode: logical", "3.4.12"};
inline constexpr Field<31, 8> kDestination{"Dest[23:0]", "destination", "3.4.12"};
inline constexpr Field<39, 32> kVector{"Vector", "vector", "3.4.12"};
inline constexpr Bit<40> kLowest{"IntType", "delivery: arbitrated", "3.4.12"};
inline constexpr Field<63, 56> kDestinationHigh{"Dest[31:24]", "destination", "3.4.12"};
inline constexpr auto kLayout =
    layout<64>(kLogical, kDestination, kVector, kLowest, kDestinationHigh);
[[nodiscard]] constexpr Register make(std::uint16_t offset, std::string_view mnemonic,
                                      std::string_view name) {
  return {.offset = offset,
          .mnemonic = mnemonic,
          .name = name,
          .section = "3.4.12",
          .layout = kLayout,
          .writable = kLayout.defined,
          .needs = efr::kX2apic.kMask};
}
inline constexpr Register kEvent = make(0x170, "XT_EVENT", "x2APIC control: general");
inline constexpr Register kRequest = make(0x178, "XT_PPR", "x2APIC control: page requests");
inline constexpr Register kGuest = make(0x180, "XT_GA", "x2APIC control: guest log");
}  // namespace xt

inline constexpr Register kCommandHead =
    ring::pointer(0x2000, "CMD_HEAD", "command buffer head", ring::kPointerLayout);
inline constexpr Register kCommandTail =
    ring::pointer(0x2008, "CMD_TAIL", "command buffer tail", ring::kPointerLayout);
inline constexpr Register kEventHead =
    ring::pointer(0x2010, "EVENT_HEAD", "event log head", ring::kPointerLayout);
inline constexpr Register kEventTail =
    ring::pointer(0x2018, "EVENT_TAIL", "event log tail", ring::kPointerLayout);
inline constexpr Register kRequestHead = ring::pointer(
    0x2030, "PPR_HEAD", "page-request log head", ring::kPointerLayout, efr::kPageRequests.kMask);
inline constexpr Register kRequestTail = ring::pointer(
    0x2038, "PPR_TAIL", "page-request log tail", ring::kPointerLayout, efr::kPageRequests.kMask);
inline constexpr Register kGuestLogHead =
    ring::pointer(0x2040, "GALOG_HEAD", "guest APIC log head", ring::kShortPointerLayout,
                  efr::kGuestApicMode.of(1));
inline constexpr Register kGuestLogTail =
    ring::pointer(0x2048, "GALOG_TAIL", "guest APIC log tail", ring::kShortPointerLayout,
                  efr::kGuestApicMode.of(1));

inline constexpr std::array kRegisters = {device_table::kRegister,
                                          kCommandBase,
                                          kEventBase,
                                          control::kRegister,
                                          exclusion::kBase,
                                          exclusion::kLimit,
                                          efr::kRegister,
                                          kRequestBase,
                                          kGuestLogBase,
                                          guest_log_tail::kRegister,
                                          xt::kEvent,
                                          xt::kRequest,
                                          xt::kGuest,
                                          efr2::kRegister,
                                          kCommandHead,
                                          kCommandTail,
                                          kEventHead,
                                          kEventTail,
                                          status::kRegister,
                                          kRequestHead,
                                          kRequestTail,
                                          kGuestLogHead,
                                          kGuestLogTail};

}  // namespace weir::amdvi::reg
