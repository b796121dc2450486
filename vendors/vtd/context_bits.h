// SPDX-License-Identifier: Apache-2.0
//
// What iotlb::Context::vendor_bits hold for VT-d: the parts of context and PASID entries that the
// core has no field for. Rights among them belong to the requester (L10).
//
// Layout only.
#pragma once

#include "base/bits.h"

namespace weir::vtd::context_bits {

inline constexpr Bit<0> kScalable{"scalable mode: its fault reasons apply"};
inline constexpr Bit<3> kSupervisor{"SRE"};
inline constexpr Bit<4> kExecute{"ERE"};
inline constexpr Bit<5> kSecondStageDirty{"SSADE"};
inline constexpr Bit<6> kExtendedAccessed{"EAFE"};
inline constexpr Bit<7> kNoSnoop{"walks do not snoop: accessed and dirty bits cannot be set"};
inline constexpr Bit<8> kPageRequests{"PRE"};
inline constexpr Bit<9> kIdentity{"identity, but for protected memory"};
// Of a blocked context: the fault that every request meets.
inline constexpr Field<23, 16> kBlockedReason{"FaultReason"};
inline constexpr Field<31, 24> kBlockedCode{"Code"};
inline constexpr auto kLayout =
    layout<32>(kScalable, kSupervisor, kExecute, kSecondStageDirty, kExtendedAccessed, kNoSnoop,
               kPageRequests, kIdentity, kBlockedReason, kBlockedCode);

}  // namespace weir::vtd::context_bits
