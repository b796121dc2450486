// SPDX-License-Identifier: Apache-2.0
//
// Layout of the page request queue's registers (manual 10.4.31 to 10.4.38), and of what the unit
// puts into the queue (7.4.1).
//
// Layout only: constexpr, no I/O, no locks, no state.
#pragma once

#include "vendors/vtd/capability_registers.h"

namespace weir::vtd::reg {

namespace pqh {
inline constexpr Field<18, 5> kHead{"PQH", "page queue head", "10.4.31"};
inline constexpr auto kLayout = layout<64>(kHead);
inline constexpr Register kRegister{.offset = 0xc0,
                                    .bits = 64,
                                    .mnemonic = "PQH_REG",
                                    .name = "page queue head",
                                    .section = "10.4.31",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace pqh
namespace pqt {
inline constexpr Field<18, 5> kTail{"PQT", "page queue tail", "10.4.32"};
inline constexpr auto kLayout = layout<64>(kTail);
inline constexpr Register kRegister{.offset = 0xc8,
                                    .bits = 64,
                                    .mnemonic = "PQT_REG",
                                    .name = "page queue tail",
                                    .section = "10.4.32",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace pqt
namespace pqa {
inline constexpr Field<63, 12> kBase{"PQA", "page queue base", "10.4.33"};
inline constexpr Field<2, 0> kSize{"PQS", "page queue size: 2^PQS pages", "10.4.33"};
inline constexpr auto kLayout = layout<64>(kBase, kSize);
inline constexpr Register kRegister{.offset = 0xd0,
                                    .bits = 64,
                                    .mnemonic = "PQA_REG",
                                    .name = "page queue address",
                                    .section = "10.4.33",
                                    .layout = kLayout,
                                    .writable = kLayout.defined};
}  // namespace pqa
namespace prs {
inline constexpr Bit<1> kOverflow{"PRO", "page request overflow", "10.4.34"};
inline constexpr Bit<0> kPending{"PPR", "pending page request", "10.4.34"};
inline constexpr auto kLayout = layout<32>(kOverflow, kPending);
inline constexpr Register kRegister{.offset = 0xdc,
                                    .bits = 32,
                                    .mnemonic = "PRS_REG",
                                    .name = "page request status",
                                    .section = "10.4.34",
                                    .layout = kLayout,
                                    .clear_on_one = kLayout.defined};
}  // namespace prs

}  // namespace weir::vtd::reg

namespace weir::vtd::page_request {

inline constexpr std::uint64_t kBytes = 32;
inline constexpr std::uint64_t kType = 1;
inline constexpr Bit<53> kPrivileged{"PRIV", "privileged mode requested", "7.4.1"};
inline constexpr Bit<52> kExecute{"EXE", "execute requested", "7.4.1"};
inline constexpr Field<51, 32> kPasid{"PASID", "PASID", "7.4.1"};
inline constexpr Field<31, 16> kSource{"RID", "requester-id", "7.4.1"};
inline constexpr Bit<9> kPrivateData{"PDP", "private data present", "7.4.1"};
inline constexpr Bit<8> kPasidPresent{"PP", "PASID present", "7.4.1"};
inline constexpr Field<7, 0> kTypeField{"TYPE", "type", "7.4.1"};
inline constexpr auto kWord0 =
    layout<64>(kPrivileged, kExecute, kPasid, kSource, kPrivateData, kPasidPresent, kTypeField);
inline constexpr Field<63, 12> kAddress{"ADDR", "address", "7.4.1"};
inline constexpr Field<11, 3> kGroup{"PRGI", "page request group index", "7.4.1"};
inline constexpr Bit<2> kLast{"LPIG", "last page in group", "7.4.1"};
inline constexpr Bit<1> kWrite{"WR", "write access", "7.4.1"};
inline constexpr Bit<0> kRead{"RD", "read access", "7.4.1"};
inline constexpr auto kWord1 = layout<64>(kAddress, kGroup, kLast, kWrite, kRead);

}  // namespace weir::vtd::page_request
