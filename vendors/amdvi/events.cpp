// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/events.h"

#include "vendors/amdvi/device_table.h"

namespace weir::amdvi {
namespace {

[[nodiscard]] std::uint64_t pasid_bits(std::uint32_t pasid) {
  return event::kPasidHigh.of(event::kPasidPartHigh.get(pasid)) |
         event::kDomainOrPasid.of(event::kPasidPartLow.get(pasid));
}

// Which address the entry shows, in the manual's rounding.
[[nodiscard]] std::uint64_t address_of(EventCode code, const Fault& fault) {
  switch (code) {
    case EventCode::kIllegalDeviceEntry:
      return event::kDoublewordAddress.in_place(fault.request.iova.value());
    case EventCode::kDeviceTableError:
    case EventCode::kPageTableError:
      return fault.entry_at;
    case EventCode::kPageFault:
      return fault.shown_address.value_or(fault.request.iova.value());
    case EventCode::kInvalidDeviceRequest:
    case EventCode::kInvalidPageRequest:
    case EventCode::kIllegalCommand:
    case EventCode::kCommandError:
    case EventCode::kInvalidationTimeout:
      return fault.request.iova.value();
  }
  return fault.request.iova.value();
}

// Entries whose second half names a domain where it does not name a PASID.
[[nodiscard]] bool names_domain(EventCode code) {
  return code == EventCode::kPageFault || code == EventCode::kPageTableError;
}

}  // namespace

EventEntry make_event(const Fault& fault) {
  const auto code = static_cast<EventCode>(event::kCode.get(fault.code));
  std::uint64_t first =
      event::kDevice.of(fault.request.requester.bdf) | event::kCodeAndFlags.of(fault.code);
  // Without a PASID a guest request is one of PASID 0 (DTE.GIoV).
  if (event::kGuest.is_set(fault.code))
    first |= pasid_bits(fault.request.pasid ? fault.request.pasid->value : 0);
  else if (names_domain(code))
    first |= event::kDomainOrPasid.of(fault_detail::kDomain.get(fault.vendor_detail));
  return {first, address_of(code, fault)};
}

EventEntry make_command_event(EventCode code, Gpa at) {
  const std::uint64_t flags =
      code == EventCode::kCommandError ? event::kErrorType.of(event::kMasterAbort) : 0;
  return {event::kCodeAndFlags.of(event_code(code, flags)), at.value()};
}

EventEntry make_timeout_event(Requester device, Gpa at) {
  return {event::kDevice.of(device.bdf) |
              event::kCodeAndFlags.of(event_code(EventCode::kInvalidationTimeout)),
          at.value()};
}

}  // namespace weir::amdvi
