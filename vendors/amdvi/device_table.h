// SPDX-License-Identifier: Apache-2.0
//
// Who is this? Reads a requester's device table entry (48882 section 2.2.2) and, for requests with
// a PASID, the guest CR3 table behind it, and says what they mean: a Context, or the fault that an
// illegal or unreadable entry is.
//
// Vendor words: the manual's DeviceID is weir's Requester, its DomainID weir's DomainId, its host
// tables (v1) weir's guest stage 2 and its guest tables (v2) guest stage 1.
//
// Any thread; never waits. Reads a bounded number of words whatever the tables hold.
#pragma once

#include <cstdint>
#include <optional>

#include "base/fault.h"
#include "base/request.h"
#include "base/result.h"
#include "iotlb/context.h"
#include "pagetables/physical_memory.h"
#include "vendors/amdvi/capabilities.h"
#include "vendors/amdvi/device_entry.h"
#include "vendors/amdvi/events.h"
#include "vendors/amdvi/shared.h"

namespace weir::amdvi {

// The registers as one request sees them.
struct Settings {
  std::uint64_t control = 0;
  std::uint64_t device_table = 0;
  std::uint64_t exclusion_base = 0;
  std::uint64_t exclusion_limit = 0;

  [[nodiscard]] static Settings of(const LiveRegisters& live);
  [[nodiscard]] bool excludes(Iova iova) const;
  [[nodiscard]] bool exclusion_is_on() const;
};

// Where the entry lies; nothing: beyond the table.
[[nodiscard]] std::optional<Gpa> device_entry_at(Requester requester, const Settings& settings);
// The entry as memory held it at one time (L3), or why it could not be had. `interrupt`: for an
// interrupt request, which shows in the event.
[[nodiscard]] Result<DeviceEntry, Fault> read_device_entry(const Request& request,
                                                           const pagetables::PhysicalMemory& memory,
                                                           const Settings& settings,
                                                           bool interrupt);

[[nodiscard]] Result<iotlb::Context, Fault> read_context(const Request& request,
                                                         const pagetables::PhysicalMemory& memory,
                                                         const Capabilities& capabilities,
                                                         const Settings& settings);

// What the front end keeps of an entry in Context::vendor_bits.
namespace vendor_bits {
inline constexpr Field<1, 0> kUpdates{"HAD"};
inline constexpr Bit<2> kSuppressLater{"SE"};
inline constexpr Bit<3> kExcluded{"the exclusion range is this device's"};
inline constexpr Bit<4> kViewRead{"IR, where the exclusion range keeps it out of the rights"};
inline constexpr Bit<5> kViewWrite{"IW, likewise"};
inline constexpr Bit<6> kGuest{"a guest request: GN in events"};
inline constexpr Bit<7> kWholeRange{"PASID 0 by GIoV: addresses are not sign-extended"};
}  // namespace vendor_bits

// What Fault::vendor_detail holds for the record.
namespace fault_detail {
inline constexpr Field<15, 0> kDomain{"DomainID"};
inline constexpr Bit<16> kOnlyFirst{"SE: record only the device's first"};
}  // namespace fault_detail
[[nodiscard]] std::uint32_t detail_of(const iotlb::Context& context);

// IO_PAGE_FAULT, recorded unless the entry or the kind of request silences it.
[[nodiscard]] Fault make_page_fault(const Request& request, const iotlb::Context& context,
                                    FaultReason reason, std::uint64_t flags);
// Any other event as a Fault. `flags` besides those that the request itself makes.
[[nodiscard]] Fault make_fault(const Request& request, EventCode code, FaultReason reason,
                               std::uint64_t flags);
// RW, TR and, of a guest request, GN, NX and US.
[[nodiscard]] std::uint64_t request_flags(const Request& request, bool guest);

}  // namespace weir::amdvi
