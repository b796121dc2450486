// SPDX-License-Identifier: Apache-2.0
//
// Layout of event log entries (48882 section 2.5), and how a Fault carries what one of them needs:
// Fault::code holds the upper half of the entry's second doubleword, that is the event code and its
// flags, Fault::vendor_detail (device_table.h) the domain-id; requester, PASID and address are the
// fault's own.
//
// Constexpr values and pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>

#include "base/bits.h"
#include "base/fault.h"

namespace weir::amdvi {

enum class EventCode : std::uint8_t {
  kIllegalDeviceEntry = 0x1,    // ILLEGAL_DEV_TABLE_ENTRY, 2.5.2
  kPageFault = 0x2,             // IO_PAGE_FAULT, 2.5.3
  kDeviceTableError = 0x3,      // DEV_TAB_HARDWARE_ERROR, 2.5.4
  kPageTableError = 0x4,        // PAGE_TAB_HARDWARE_ERROR, 2.5.5
  kIllegalCommand = 0x5,        // ILLEGAL_COMMAND_ERROR, 2.5.6
  kCommandError = 0x6,          // COMMAND_HARDWARE_ERROR, 2.5.7
  kInvalidationTimeout = 0x7,   // IOTLB_INV_TIMEOUT, 2.5.8
  kInvalidDeviceRequest = 0x8,  // INVALID_DEVICE_REQUEST, 2.5.9
  kInvalidPageRequest = 0x9,    // INVALID_PPR_REQUEST, 2.5.10
};

namespace event {
// Bits of a Fault's code.
inline constexpr Field<15, 12> kCode{"EventCode", "event code", "2.5.1"};
inline constexpr Bit<0> kGuest{"GN", "a guest address; PASID instead of domain", "2.5.3"};
inline constexpr Bit<1> kExecute{"NX", "execution was asked for", "2.5.3"};
inline constexpr Bit<2> kUser{"US", "without privilege", "2.5.3"};
inline constexpr Bit<3> kInterrupt{"I", "an interrupt request", "2.5.3"};
inline constexpr Bit<4> kPresent{"PR", "the translation was present", "2.5.3"};
inline constexpr Bit<5> kWrite{"RW", "a write", "2.5.3"};
inline constexpr Bit<6> kPermission{"PE", "permission was missing", "2.5.3"};
inline constexpr Bit<7> kReserved{"RZ", "1 reserved bit, 0 level encoding", "2.5.3"};
inline constexpr Bit<8> kTranslation{"TR", "a translation request", "2.5.3"};
inline constexpr Field<10, 9> kErrorType{"Type", "1 master abort, 2 target abort", "2.5.4"};
// INVALID_DEVICE_REQUEST divides its flags otherwise.
inline constexpr Bit<1> kRequestUser{"US", "without privilege", "2.5.9"};
inline constexpr Field<11, 9> kRequestType{"Type", "what was wrong", "2.5.9"};
inline constexpr std::uint64_t kMasterAbort = 1;

// The entry.
inline constexpr Field<15, 0> kDevice{"DeviceID", "device-id", "2.5.2"};
inline constexpr Field<19, 16> kPasidHigh{"PASID[19:16]", "PASID", "2.5.2"};
inline constexpr Field<47, 32> kDomainOrPasid{"DomainID/PASID[15:0]", "domain or PASID", "2.5.3"};
inline constexpr Field<63, 48> kCodeAndFlags{"-", "code and flags, as above", "2.5.1"};
inline constexpr auto kLayout = layout<64>(kDevice, kPasidHigh, kDomainOrPasid, kCodeAndFlags);
inline constexpr Field<63, 2> kDoublewordAddress{"Address[63:2]", "address", "2.5.2"};
// A PASID in two pieces.
inline constexpr Field<15, 0> kPasidPartLow{"PASID[15:0]"};
inline constexpr Field<19, 16> kPasidPartHigh{"PASID[19:16]"};
}  // namespace event

// What INVALID_DEVICE_REQUEST reports (2.5.9).
enum class InvalidRequest : std::uint8_t {
  kInterruptRange = 0,  // a read, or a write of no message, in the interrupt range
  kTranslated = 1,      // a translated request of a device that may not send them
};

using EventEntry = std::array<std::uint64_t, 2>;

[[nodiscard]] constexpr std::uint16_t event_code(EventCode code, std::uint64_t flags = 0) {
  return static_cast<std::uint16_t>(event::kCode.of(static_cast<std::uint64_t>(code)) | flags);
}
[[nodiscard]] EventEntry make_event(const Fault& fault);
// ILLEGAL_COMMAND_ERROR, COMMAND_HARDWARE_ERROR: `at` is the command's, or what it could not reach.
[[nodiscard]] EventEntry make_command_event(EventCode code, Gpa at);
// IOTLB_INV_TIMEOUT: the device that was silent, the command that asked it.
[[nodiscard]] EventEntry make_timeout_event(Requester device, Gpa at);

}  // namespace weir::amdvi
