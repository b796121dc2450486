// SPDX-License-Identifier: Apache-2.0
//
// What a unit of given Options can do: the values of EFR and EFR2, the control bits that software
// can set, the table rules, and which bits of a device table entry are reserved. Only what is built
// and tested is advertised.
//
// Constexpr values; any thread.
#pragma once

#include <array>
#include <cstdint>

#include "pagetables/amd_v1.h"
#include "pagetables/x86_first_stage.h"
#include "vendors/amdvi/device_entry.h"
#include "vendors/amdvi/options.h"
#include "vendors/amdvi/registers.h"

namespace weir::amdvi {

// Beside each bit, the test that uses it (tests/amdvi).
[[nodiscard]] constexpr std::uint64_t feature_value(const Options& o) {
  namespace efr = reg::efr;
  return efr::kPrefetch.of(o.prefetch) |               // CommandTest.PrefetchForgetsFirst
         efr::kPageRequests.of(o.page_requests) |      // AtsTest.PageRequests…
         efr::kX2apic.of(o.x2apic) |                   // WideInterruptTest.Xt…
         efr::kNoExecute.of(o.no_execute) |            // GuestWalkTest.NoExecute
         efr::kGuestTables.of(o.guest_tables) |        // GuestWalkTest
         efr::kInvalidateAll.of(o.invalidate_all) |    // CommandTest.ForgetAll
         efr::kWideInterrupts.of(o.wide_interrupts) |  // WideInterruptTest
         efr::kHostLevels.of(2) |                      // HostWalkTest.SixLevels
         efr::kGuestLevels.of(o.guest_five_levels) |   // GuestWalkTest.FiveLevels
         efr::kGcr3Levels.of(o.guest_tables ? o.gcr3_levels - 1 : 0) |  // GuestWalkTest.Gcr3Levels
         efr::kGuestApicMode.of(o.guest_apic) |                         // GuestLogTest
         efr::kPasidBits.of(o.guest_tables ? o.pasid_bits - 1 : 0) |    // GuestWalkTest.PasidBits
         efr::kUserSupervisor.of(o.guest_tables) |                      // GuestWalkTest.UserPages…
         efr::kGuestIo.of(o.guest_io) |                                 // GuestWalkTest.GuestIo
         efr::kAccessed.of(o.accessed) |  // HostWalkTest.AccessedAndDirty
         efr::kEnhancedRequests.of(
             o.enhanced_requests) |  // AtsTest.PageRequestsNeedControl
         efr::kDirty.of(o.dirty);    // HostWalkTest.AccessedAndDirty
}
[[nodiscard]] constexpr std::uint64_t feature2_value(const Options& o) {
  namespace efr2 = reg::efr2;
  return efr2::kGcr3RootMode.of(o.gcr3_root_is_gpa) |  // NestedTest
         efr2::kHtRangeIgnore.of(1);                   // HostWalkTest.HtRangeIsOrdinary
}

// Control bits of features that are not there read 0 (3.4.1).
[[nodiscard]] constexpr std::uint64_t control_bits(const Options& o) {
  namespace c = reg::control;
  const auto only = [](bool has, std::uint64_t mask) { return has ? mask : 0; };
  return c::kEnable.kMask | c::kHtTunnel.kMask | c::kEventLog.kMask | c::kEventInterrupt.kMask |
         c::kWaitInterrupt.kMask | c::kTimeout.kMask | c::kPassPosted.kMask |
         c::kResponsePassPosted.kMask | c::kCoherent.kMask | c::kIsochronous.kMask |
         c::kCommands.kMask |
         only(o.page_requests,
              c::kRequestLog.kMask | c::kRequestInterrupt.kMask | c::kPageRequests.kMask) |
         only(o.guest_tables, c::kGuestTables.kMask) |
         only(o.wide_interrupts, c::kWideInterrupts.kMask) |
         only(o.guest_apic,
              c::kGuestApicMode.kMask | c::kGuestLog.kMask | c::kGuestInterrupt.kMask) |
         only(o.enhanced_requests, c::kEnhancedRequests.kMask) |
         only(o.x2apic, c::kX2apic.kMask | c::kX2apicOwn.kMask) |
         only(o.gcr3_root_is_gpa, c::kGcr3RootMode.kMask);
}

// How far host tables set accessed and dirty bits: DTE.HAD's values.
enum class HostUpdates : std::uint8_t { kNone = 0, kAccessed = 1, kAccessedDirty = 3 };

struct Capabilities {
  Options options;
  // Physical address bits that no pointer of the guest's may use.
  std::uint64_t beyond_host_width = 0;
  pagetables::AmdV1::Rules host_rules;
  pagetables::AmdV1::Rules host_rules_accessed;
  pagetables::AmdV1::Rules host_rules_dirty;
  pagetables::X86FirstStage::Rules guest_rules;

  explicit constexpr Capabilities(const Options& from)
      : options(from),
        beyond_host_width(from.host_address_bits < 52 ? bit_mask(51, from.host_address_bits) : 0),
        host_rules(pagetables::AmdV1::rules({.host_address_bits = from.host_address_bits})),
        host_rules_accessed(pagetables::AmdV1::rules(
            {.host_address_bits = from.host_address_bits, .accessed_dirty = true, .dirty = false})),
        host_rules_dirty(pagetables::AmdV1::rules(
            {.host_address_bits = from.host_address_bits, .accessed_dirty = true})),
        guest_rules(pagetables::X86FirstStage::rules({.host_address_bits = from.host_address_bits,
                                                      .no_execute = from.no_execute,
                                                      .reserved_first = true})) {}

  [[nodiscard]] constexpr const pagetables::AmdV1::Rules& rules_for(HostUpdates updates) const {
    switch (updates) {
      case HostUpdates::kNone:
        return host_rules;
      case HostUpdates::kAccessed:
        return host_rules_accessed;
      case HostUpdates::kAccessedDirty:
        return host_rules_dirty;
    }
    return host_rules;
  }
};

// Bits of a device table entry that must be zero: those that no field claims, and those of features
// that the unit lacks or `control` has not turned on.
struct DeviceEntryRules {
  DeviceEntry reserved{};
};
[[nodiscard]] constexpr DeviceEntryRules device_entry_rules(const Options& o,
                                                            std::uint64_t control) {
  namespace c = reg::control;
  DeviceEntryRules rules;
  rules.reserved = {dte0::kLayout.reserved, dte1::kLayout.reserved, dte2::kLayout.reserved,
                    dte3::kLayout.reserved | dte3::kVirtualIommu.kMask | dte3::kGuestDevice.kMask |
                        dte3::kGuest.kMask};  // EFR.vIommuSup is 0
  const bool guest = o.guest_tables && c::kGuestTables.is_set(control);
  if (!guest) {
    rules.reserved[0] |= dte0::kGuestValid.kMask | dte0::kGcr3Levels.kMask | dte0::kGcr3Low.kMask;
    rules.reserved[1] |= dte1::kGcr3Middle.kMask | dte1::kGcr3High.kMask;
    rules.reserved[2] |= dte2::kGuestLevels.kMask;
  }
  if (!guest || !o.guest_io) rules.reserved[0] |= dte0::kGuestIo.kMask;
  const bool requests = o.page_requests && c::kPageRequests.is_set(control) &&
                        (!o.enhanced_requests || c::kEnhancedRequests.is_set(control));
  if (!requests) rules.reserved[0] |= dte0::kPageRequests.kMask | dte0::kResponsePasid.kMask;
  if (!o.accessed) rules.reserved[0] |= dte0::kAccessedDirty.kMask;
  if (!o.device_tlb) rules.reserved[1] |= dte1::kDeviceTlb.kMask;
  rules.reserved[1] |= dte1::kSecureAts.kMask;  // EFR.SATSSup is 0
  return rules;
}

}  // namespace weir::amdvi
