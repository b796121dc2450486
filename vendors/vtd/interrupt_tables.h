// SPDX-License-Identifier: Apache-2.0
//
// Layout of interrupt requests in remappable format (manual 5.1.2.2), of interrupt-remapping table
// entries in remapped and in posted format (9.10, 9.11), and of the posted-interrupt descriptor
// (9.12).
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bits.h"

namespace weir::vtd {

namespace interrupt_address {
inline constexpr Field<19, 5> kHandleLow{"HANDLE[14:0]", "interrupt handle", "5.1.2.2"};
inline constexpr Bit<4> kRemappable{"FORMAT", "1: remappable", "5.1.2.2"};
inline constexpr Bit<3> kSubhandleValid{"SHV", "subhandle valid", "5.1.2.2"};
inline constexpr Bit<2> kHandleHigh{"HANDLE[15]", "interrupt handle", "5.1.2.2"};
}  // namespace interrupt_address

namespace interrupt_data {
inline constexpr Field<31, 16> kReserved{"-", "zero where SHV is 1", "5.1.2.2"};
inline constexpr Field<15, 0> kSubhandle{"SUBHANDLE", "added to the handle", "5.1.2.2"};
}  // namespace interrupt_data

// The handle in one piece.
namespace interrupt_handle {
inline constexpr Bit<15> kHigh{"HANDLE[15]"};
inline constexpr Field<14, 0> kLow{"HANDLE[14:0]"};
}  // namespace interrupt_handle

enum class SourceValidation : std::uint8_t { kNone, kSource, kBus };

// What both formats share.
namespace interrupt_entry {
inline constexpr std::uint64_t kBytes = 16;
inline constexpr Field<23, 16> kVector{"V", "vector", "9.10"};
inline constexpr Bit<15> kPosted{"IM", "IRTE mode: posted", "9.10"};
inline constexpr Field<11, 8> kIgnored{"AVAIL", "available to software", "9.10"};
inline constexpr Bit<1> kFaultDisable{"FPD", "fault processing disable", "9.10"};
inline constexpr Bit<0> kPresent{"P", "present", "9.10"};
inline constexpr Field<19, 18> kSourceValidation{"SVT", "source validation type", "9.10"};
inline constexpr Field<17, 16> kSourceQualifier{"SQ", "source-id qualifier", "9.10"};
inline constexpr Field<15, 0> kSource{"SID", "source identifier", "9.10"};

[[nodiscard]] constexpr std::optional<SourceValidation> decode_validation(std::uint64_t high) {
  switch (kSourceValidation.get(high)) {
    case 0:
      return SourceValidation::kNone;
    case 1:
      return SourceValidation::kSource;
    case 2:
      return SourceValidation::kBus;
    default:
      return std::nullopt;
  }
}
// With SVT 2 the source identifier is a range of buses.
inline constexpr Field<15, 8> kFirstBus{"SID[15:8]", "first bus", "9.10"};
inline constexpr Field<7, 0> kLastBus{"SID[7:0]", "last bus", "9.10"};
}  // namespace interrupt_entry

namespace remapped_entry {
inline constexpr Field<63, 32> kDestination{"DST", "destination", "9.10"};
inline constexpr Field<47, 40> kShortDestination{"DST[15:8]", "destination without EIME", "9.10"};
inline constexpr Field<7, 5> kDeliveryMode{"DLM", "delivery mode", "9.10"};
inline constexpr Bit<4> kLevel{"TM", "trigger mode", "9.10"};
inline constexpr Bit<3> kHint{"RH", "redirection hint", "9.10"};
inline constexpr Bit<2> kLogical{"DM", "destination mode", "9.10"};
inline constexpr auto kLow =
    layout<64>(kDestination, interrupt_entry::kVector, interrupt_entry::kPosted,
               interrupt_entry::kIgnored, kDeliveryMode, kLevel, kHint, kLogical,
               interrupt_entry::kFaultDisable, interrupt_entry::kPresent);
inline constexpr auto kHigh =
    layout<64>(interrupt_entry::kSourceValidation, interrupt_entry::kSourceQualifier,
               interrupt_entry::kSource);
}  // namespace remapped_entry

namespace posted_entry {
inline constexpr Field<63, 38> kDescriptorLow{"PDA[31:6]", "posted descriptor address", "9.11"};
inline constexpr Bit<14> kUrgent{"URG", "urgent", "9.11"};
inline constexpr auto kLow = layout<64>(
    kDescriptorLow, interrupt_entry::kVector, interrupt_entry::kPosted, kUrgent,
    interrupt_entry::kIgnored, interrupt_entry::kFaultDisable, interrupt_entry::kPresent);
inline constexpr Field<63, 32> kDescriptorHigh{"PDA[63:32]", "posted descriptor address", "9.11"};
inline constexpr auto kHigh =
    layout<64>(kDescriptorHigh, interrupt_entry::kSourceValidation,
               interrupt_entry::kSourceQualifier, interrupt_entry::kSource);
}  // namespace posted_entry

// An address put together from the two.
namespace descriptor_address {
inline constexpr Field<63, 32> kHigh{"PDA[63:32]"};
inline constexpr Field<31, 6> kLow{"PDA[31:6]"};
}  // namespace descriptor_address

// Words 0 to 3: a bit for each vector that was posted. Word 4:
namespace posted_descriptor {
inline constexpr std::uint64_t kControlAt = 32;
inline constexpr Field<7, 6> kRequestWord{"PIR word"};  // of a vector
inline constexpr Field<5, 0> kRequestBit{"PIR bit"};
inline constexpr Field<63, 32> kDestination{"NDST", "notification destination", "9.12"};
inline constexpr Field<47, 40> kShortDestination{"NDST[15:8]", "the same without EIME", "9.12"};
inline constexpr Field<23, 16> kVector{"NV", "notification vector", "9.12"};
inline constexpr Bit<1> kSuppress{"SN", "suppress notification", "9.12"};
inline constexpr Bit<0> kOutstanding{"ON", "outstanding notification", "9.12"};
inline constexpr auto kControl = layout<64>(kDestination, kVector, kSuppress, kOutstanding);
}  // namespace posted_descriptor

}  // namespace weir::vtd
