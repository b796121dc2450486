// SPDX-License-Identifier: Apache-2.0
//
// Layout of the command buffer's entries, two 64-bit words each (48882 section 2.4): fields as the
// manual draws them, per opcode.
//
// Layout only: constexpr, no I/O, no state.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace weir::amdvi::command {

inline constexpr Field<63, 60> kOpcode{"OpCode", "opcode", "2.4"};
enum class Opcode : std::uint8_t {
  kCompletionWait = 0x1,
  kForgetDevice = 0x2,
  kForgetPages = 0x3,
  kForgetInDevice = 0x4,
  kForgetInterrupts = 0x5,
  kPrefetch = 0x6,
  kAnswerRequest = 0x7,
  kForgetAll = 0x8,
};

inline constexpr Field<15, 0> kDevice{"DeviceID", "device-id", "2.4.2"};
inline constexpr auto kNothing = layout<64>();

namespace wait {  // COMPLETION_WAIT
inline constexpr Bit<0> kStore{"s", "store the data", "2.4.1"};
inline constexpr Bit<1> kInterrupt{"i", "set ComWaitInt", "2.4.1"};
inline constexpr Bit<2> kFlush{"f", "flush queue: nothing younger begins before", "2.4.1"};
inline constexpr Field<51, 3> kAddress{"Store Address", "where to", "2.4.1"};
inline constexpr auto kLow = layout<64>(kStore, kInterrupt, kFlush, kAddress, kOpcode);
}  // namespace wait

namespace device {  // INVALIDATE_DEVTAB_ENTRY, INVALIDATE_INTERRUPT_TABLE
inline constexpr auto kLow = layout<64>(kDevice, kOpcode);
}

// The second word of every command that names pages.
namespace pages {
inline constexpr Bit<0> kSized{"S", "the address holds a size", "2.4.3"};
inline constexpr Bit<1> kTables{"PDE", "directory entries too", "2.4.3"};
inline constexpr Bit<2> kGuest{"GN", "guest addresses of a PASID", "2.4.3"};
inline constexpr Field<63, 12> kAddress{"Address", "page", "2.4.3"};
}  // namespace pages

namespace forget_pages {  // INVALIDATE_IOMMU_PAGES
inline constexpr Field<19, 0> kPasid{"PASID", "PASID", "2.4.3"};
inline constexpr Field<47, 32> kDomain{"DomainID", "domain-id", "2.4.3"};
inline constexpr auto kLow = layout<64>(kPasid, kDomain, kOpcode);
inline constexpr auto kHigh =
    layout<64>(pages::kSized, pages::kTables, pages::kGuest, pages::kAddress);
}  // namespace forget_pages

namespace forget_in_device {  // INVALIDATE_IOTLB_PAGES
inline constexpr Field<23, 16> kPasidMiddle{"PASID[15:8]", "PASID", "2.4.4"};
inline constexpr Field<31, 24> kMaxPending{"Maxpend", "invalidations at a time", "2.4.4"};
inline constexpr Field<47, 32> kQueue{"QueueID", "shares the limit", "2.4.4"};
inline constexpr Field<55, 48> kPasidLow{"PASID[7:0]", "PASID", "2.4.4"};
inline constexpr Field<59, 56> kPasidHigh{"PASID[19:16]", "PASID", "2.4.4"};
inline constexpr auto kLow =
    layout<64>(kDevice, kPasidMiddle, kMaxPending, kQueue, kPasidLow, kPasidHigh, kOpcode);
inline constexpr Field<5, 4> kType{"Type", "of invalidation; EFR.InvIotlbTypeSup", "2.4.4"};
inline constexpr auto kHigh = layout<64>(pages::kSized, pages::kGuest, kType, pages::kAddress);
// The PASID in three pieces.
inline constexpr Field<7, 0> kPieceLow{"PASID[7:0]"};
inline constexpr Field<15, 8> kPieceMiddle{"PASID[15:8]"};
inline constexpr Field<19, 16> kPieceHigh{"PASID[19:16]"};
}  // namespace forget_in_device

namespace prefetch {  // PREFETCH_IOMMU_PAGES
inline constexpr Field<31, 24> kCount{"PFCount", "pages", "2.4.6"};
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "2.4.6"};
inline constexpr auto kLow = layout<64>(kDevice, kCount, kPasid, kOpcode);
inline constexpr Bit<4> kForget{"Inval", "forget them first", "2.4.6"};
inline constexpr auto kHigh = layout<64>(pages::kSized, pages::kGuest, kForget, pages::kAddress);
}  // namespace prefetch

namespace response {  // COMPLETE_PPR_REQUEST
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "2.4.7"};
inline constexpr auto kLow = layout<64>(kDevice, kPasid, kOpcode);
inline constexpr Field<47, 32> kTag{"Completion Tag", "as logged, and the status", "2.4.7"};
inline constexpr auto kHigh = layout<64>(pages::kGuest, kTag);
// Inside the tag, as drivers fill it.
inline constexpr Field<40, 32> kIndex{"PRG index", "page request group", "2.4.7"};
inline constexpr Field<47, 44> kStatus{"Status", "0 success, 1 invalid, 15 failure", "2.4.7"};
}  // namespace response

namespace forget_all {  // INVALIDATE_IOMMU_ALL
inline constexpr auto kLow = layout<64>(kOpcode);
}

}  // namespace weir::amdvi::command
