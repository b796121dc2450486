// SPDX-License-Identifier: Apache-2.0
//
// Peripheral page requests (48882 section 2.6): a device asks for a page that it could not have,
// the request appears in a log that the guest's driver reads, and COMPLETE_PPR_REQUEST carries the
// answer back.
//
// Any thread; never waits.
#pragma once

#include <optional>

#include "iommu/ats.h"
#include "vendors/amdvi/shared.h"

namespace weir::amdvi {

// One entry of the log; INVALID_PPR_REQUEST is the same with another code (2.5.10).
namespace page_request {
inline constexpr Field<15, 0> kDevice{"DeviceID", "device-id", "2.6"};
inline constexpr Field<31, 16> kPasidLow{"PASID[15:0]", "PASID", "2.6"};
inline constexpr Field<40, 32> kGroup{"PPR tag[8:0]", "page request group", "2.6"};
inline constexpr Bit<41> kLast{"PPR tag[9]", "last of its group", "2.6"};
inline constexpr Field<45, 42> kPasidHigh{"PASID[19:16]", "PASID", "2.6"};
inline constexpr Bit<49> kExecute{"NX", "execution is wanted", "2.6"};
inline constexpr Bit<50> kRead{"RP", "reading is wanted", "2.6"};
inline constexpr Bit<53> kWrite{"WP", "writing is wanted", "2.6"};
inline constexpr Bit<54> kUser{"US", "without privilege", "2.6"};
inline constexpr Bit<56> kGuest{"GN", "the PASID is valid", "2.6"};
inline constexpr Field<63, 60> kCode{"PPRCode", "1: page request", "2.6"};
inline constexpr auto kLayout = layout<64>(kDevice, kPasidLow, kGroup, kLast, kPasidHigh, kExecute,
                                           kRead, kWrite, kUser, kGuest, kCode);
inline constexpr std::uint64_t kPageRequest = 1;
// A PASID in two pieces.
inline constexpr Field<15, 0> kPieceLow{"PASID[15:0]"};
inline constexpr Field<19, 16> kPieceHigh{"PASID[19:16]"};
}  // namespace page_request

// Logs it, or gives the answer that is due at once: the device may not ask, or nobody reads.
[[nodiscard]] std::optional<PageResponseCode> take_page_request(Shared& shared,
                                                                const PageRequest& request)
    WEIR_EXCLUDES(shared.mutex);

}  // namespace weir::amdvi
