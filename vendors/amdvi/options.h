// SPDX-License-Identifier: Apache-2.0
//
// What an AMD-Vi unit is made as. The capability header and the extended feature registers follow
// from it, and four profiles say what goes together.
//
// Constexpr values; any thread.
#pragma once

#include <cstdint>

namespace weir::amdvi {

struct Options {
  // NpCache: software announces new mappings as well, so that what is absent can be cached and
  // whoever shadows the guest's tables hears of everything.
  bool caching_mode = false;
  // False: the guest's commands go to hardware and are not seen here (EFR.vIommuSup on the host), so
  // that what is cached has to be compared with memory at every use.
  bool commands_visible = true;
  bool device_tlb = false;          // IotlbSup: DTE.I and INVALIDATE_IOTLB_PAGES
  bool prefetch = false;            // PreFSup
  bool page_requests = false;       // PPRSup
  bool enhanced_requests = false;   // EPHSup
  bool invalidate_all = true;       // IASup
  bool wide_interrupts = false;     // GASup: 128-bit interrupt entries
  bool x2apic = false;              // XTSup; needs wide_interrupts
  bool guest_apic = false;          // GAMSup; needs wide_interrupts
  bool guest_tables = false;        // GTSup
  bool guest_io = false;            // GIoSup; needs guest_tables
  bool guest_five_levels = false;   // GATS
  bool gcr3_root_is_gpa = false;    // GCR3TRPModeSup: nested tables, the root among them
  bool no_execute = false;          // NXSup
  bool accessed = false;            // HASup
  bool dirty = false;               // HDSup; needs accessed
  unsigned gcr3_levels = 1;         // GLXSup: 1…3
  unsigned pasid_bits = 16;         // PASmax, with guest_tables: 1…20
  unsigned host_address_bits = 52;  // PASize: 12…52
};

enum class Profile : std::uint8_t {
  kV1,    // host tables
  kV1Xt,  // and x2APIC interrupts, for more than 255 processors
  kV2,    // and what Linux wants for guest tables and PASIDs
  kFull,  // everything that is built
};

[[nodiscard]] constexpr Options options_for(Profile profile) {
  Options options;
  if (profile == Profile::kV1) return options;
  options.wide_interrupts = true;
  options.x2apic = true;
  if (profile == Profile::kV1Xt) return options;
  options.guest_tables = true;
  options.guest_io = true;
  options.no_execute = true;
  options.page_requests = true;
  options.enhanced_requests = true;
  options.device_tlb = true;
  options.gcr3_levels = 2;
  if (profile == Profile::kV2) return options;
  options.guest_five_levels = true;
  options.gcr3_levels = 3;
  options.pasid_bits = 20;
  options.gcr3_root_is_gpa = true;
  options.accessed = true;
  options.dirty = true;
  options.prefetch = true;
  options.guest_apic = true;
  return options;
}

}  // namespace weir::amdvi
