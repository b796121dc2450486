// SPDX-License-Identifier: Apache-2.0
//
// Layout of the invalidation descriptors (manual 6.5.2), of 128 or 256 bits; the upper half of a
// 256-bit one is reserved in all types. The type is spread over two fields; every bit that a type's
// layout does not claim is reserved and stops the queue.
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include <array>
#include <cstdint>

#include "base/bits.h"

namespace weir::vtd::descriptor {

inline constexpr std::uint64_t kBytes = 16;
inline constexpr std::uint64_t kWideBytes = 32;

struct Words {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::array<std::uint64_t, 2> upper{};  // of 256-bit descriptors
  friend bool operator==(const Words&, const Words&) = default;
};

inline constexpr Layout kAllReserved{.defined = 0, .reserved = bit_mask(63, 0)};

inline constexpr Field<3, 0> kTypeLow{"TYPE[3:0]", "type, low bits", "6.5.2"};
inline constexpr Field<11, 9> kTypeHigh{"TYPE[6:4]", "type, high bits", "6.5.2"};

// What goes into IQERCD_REG.IQEI (10.4.29).
enum class Error : std::uint8_t {
  kTailOutside = 1,
  kFetch = 2,
  kType = 3,
  kReservedField = 4,
  kWidth = 5,
  kTailMisaligned = 6,
};

enum class Width : std::uint8_t { k128, k256 };

namespace context {
inline constexpr std::uint64_t kType = 1;
inline constexpr Field<49, 48> kFunctionMask{"FM", "function mask", "6.5.2.1"};
inline constexpr Field<47, 32> kSource{"SID", "source-id", "6.5.2.1"};
inline constexpr Field<31, 16> kDomain{"DID", "domain-id", "6.5.2.1"};
inline constexpr Field<5, 4> kGranularity{"G", "granularity", "6.5.2.1"};
inline constexpr auto kLow =
    layout<64>(kFunctionMask, kSource, kDomain, kGranularity, kTypeLow, kTypeHigh);
inline constexpr auto kHigh = kAllReserved;
}  // namespace context

namespace translation {
inline constexpr std::uint64_t kType = 2;
inline constexpr Field<31, 16> kDomain{"DID", "domain-id", "6.5.2.3"};
inline constexpr Bit<7> kDrainReads{"DR", "drain reads", "6.5.2.3"};
inline constexpr Bit<6> kDrainWrites{"DW", "drain writes", "6.5.2.3"};
inline constexpr Field<5, 4> kGranularity{"G", "granularity", "6.5.2.3"};
inline constexpr auto kLow =
    layout<64>(kDomain, kDrainReads, kDrainWrites, kGranularity, kTypeLow, kTypeHigh);
inline constexpr Field<63, 12> kAddress{"ADDR", "address", "6.5.2.3"};
inline constexpr Bit<6> kHint{"IH", "invalidation hint: only leaves changed", "6.5.2.3"};
inline constexpr Field<5, 0> kMask{"AM", "address mask: 2^AM pages", "6.5.2.3"};
inline constexpr auto kHigh = layout<64>(kAddress, kHint, kMask);
}  // namespace translation

namespace device_tlb {
inline constexpr std::uint64_t kType = 3;
inline constexpr Field<63, 52> kFunctionHigh{"PFSID[15:4]", "physical function", "6.5.2.5"};
inline constexpr Field<47, 32> kSource{"SID", "source-id", "6.5.2.5"};
inline constexpr Field<20, 16> kPending{"MIP", "maximum invalidations pending", "6.5.2.5"};
inline constexpr Field<15, 12> kFunctionLow{"PFSID[3:0]", "physical function", "6.5.2.5"};
inline constexpr auto kLow =
    layout<64>(kFunctionHigh, kSource, kPending, kFunctionLow, kTypeLow, kTypeHigh);
inline constexpr Field<63, 12> kAddress{"ADDR", "address", "6.5.2.5"};
inline constexpr Bit<0> kSize{"S", "size encoded in the address", "6.5.2.5"};
inline constexpr auto kHigh = layout<64>(kAddress, kSize);
}  // namespace device_tlb

namespace interrupt_cache {
inline constexpr std::uint64_t kType = 4;
inline constexpr Field<47, 32> kIndex{"IIDX", "interrupt index", "6.5.2.7"};
inline constexpr Field<31, 27> kIndexMask{"IM", "index mask", "6.5.2.7"};
inline constexpr Bit<4> kGranularity{"G", "granularity", "6.5.2.7"};
inline constexpr auto kLow = layout<64>(kIndex, kIndexMask, kGranularity, kTypeLow, kTypeHigh);
inline constexpr auto kHigh = kAllReserved;
}  // namespace interrupt_cache

namespace wait {
inline constexpr std::uint64_t kType = 5;
inline constexpr Field<63, 32> kData{"SDATA", "status data", "6.5.2.8"};
// Reserved while ECAP.PDS is 0.
inline constexpr Bit<7> kDrainPages{"PD", "page-request drain", "6.5.2.8"};
inline constexpr Bit<6> kFence{"FN", "fence", "6.5.2.8"};
inline constexpr Bit<5> kStatusWrite{"SW", "status write", "6.5.2.8"};
inline constexpr Bit<4> kInterrupt{"IF", "interrupt flag", "6.5.2.8"};
inline constexpr auto kLow =
    layout<64>(kData, kDrainPages, kFence, kStatusWrite, kInterrupt, kTypeLow, kTypeHigh);
inline constexpr Field<63, 2> kAddress{"SADDR", "status address", "6.5.2.8"};
inline constexpr auto kHigh = layout<64>(kAddress);
}  // namespace wait

namespace pasid_translation {
inline constexpr std::uint64_t kType = 6;
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "6.5.2.4"};
inline constexpr Field<31, 16> kDomain{"DID", "domain-id", "6.5.2.4"};
inline constexpr Field<5, 4> kGranularity{"G", "granularity", "6.5.2.4"};
inline constexpr std::uint64_t kPasidSelective = 2;
inline constexpr std::uint64_t kPageSelective = 3;
inline constexpr auto kLow = layout<64>(kPasid, kDomain, kGranularity, kTypeLow, kTypeHigh);
inline constexpr Field<63, 12> kAddress{"ADDR", "address", "6.5.2.4"};
inline constexpr Bit<6> kHint{"IH", "invalidation hint: only leaves changed", "6.5.2.4"};
inline constexpr Field<5, 0> kMask{"AM", "address mask: 2^AM pages", "6.5.2.4"};
inline constexpr auto kHigh = layout<64>(kAddress, kHint, kMask);
}  // namespace pasid_translation

namespace pasid_cache {
inline constexpr std::uint64_t kType = 7;
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "6.5.2.2"};
inline constexpr Field<31, 16> kDomain{"DID", "domain-id", "6.5.2.2"};
inline constexpr Field<5, 4> kGranularity{"G", "granularity", "6.5.2.2"};
inline constexpr std::uint64_t kDomainSelective = 0;
inline constexpr std::uint64_t kPasidSelective = 1;
inline constexpr std::uint64_t kGlobal = 3;
inline constexpr auto kLow = layout<64>(kPasid, kDomain, kGranularity, kTypeLow, kTypeHigh);
inline constexpr auto kHigh = kAllReserved;
}  // namespace pasid_cache

namespace pasid_device_tlb {
inline constexpr std::uint64_t kType = 8;
inline constexpr Field<63, 52> kFunctionHigh{"PFSID[15:4]", "physical function", "6.5.2.6"};
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "6.5.2.6"};
inline constexpr Field<31, 16> kSource{"SID", "source-id", "6.5.2.6"};
inline constexpr Field<15, 12> kFunctionLow{"PFSID[3:0]", "physical function", "6.5.2.6"};
inline constexpr Field<8, 4> kPending{"MIP", "maximum invalidations pending", "6.5.2.6"};
inline constexpr auto kLow =
    layout<64>(kFunctionHigh, kPasid, kSource, kFunctionLow, kTypeHigh, kPending, kTypeLow);
inline constexpr Field<63, 12> kAddress{"ADDR", "address", "6.5.2.6"};
inline constexpr Bit<11> kSize{"S", "size encoded in the address", "6.5.2.6"};
inline constexpr Bit<0> kGlobal{"G", "of every PASID", "6.5.2.6"};
inline constexpr auto kHigh = layout<64>(kAddress, kSize, kGlobal);
}  // namespace pasid_device_tlb

namespace page_response {
inline constexpr std::uint64_t kType = 9;
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "7.5"};
inline constexpr Field<31, 16> kSource{"RID", "requester-id", "7.5"};
inline constexpr Field<15, 12> kCode{"RC", "response code", "7.5"};
inline constexpr Bit<5> kPrivateData{"PDP", "private data present", "7.5"};
inline constexpr Bit<4> kPasidPresent{"PP", "PASID present", "7.5"};
inline constexpr auto kLow =
    layout<64>(kPasid, kSource, kCode, kPrivateData, kPasidPresent, kTypeLow, kTypeHigh);
inline constexpr Field<11, 3> kGroup{"PRGI", "page request group index", "7.5"};
inline constexpr Bit<2> kLast{"LPIG", "last page in group", "7.5"};
inline constexpr auto kHigh = layout<64>(kGroup, kLast);
}  // namespace page_response

}  // namespace weir::vtd::descriptor
