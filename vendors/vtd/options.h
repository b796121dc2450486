// SPDX-License-Identifier: Apache-2.0
//
// What a unit is made as, and the named sets of options. The capability registers follow from it
// (capabilities.h); a bit whose condition is not met is not set, whatever was asked for.
//
// Constexpr values; any thread.
#pragma once

#include <algorithm>

namespace weir::vtd {

struct Options {
  unsigned address_bits = 48;  // MGAW, and the host address width: 39, 48 or 57
  bool levels_3 = true;        // SAGAW; at least one of the three
  bool levels_4 = true;
  bool levels_5 = false;  // needs address_bits 57
  bool pages_2m = true;   // SSLPS
  bool pages_1g = true;
  bool caching_mode = false;   // CM
  bool snoop_control = false;  // SC: SNP in legacy leaves, PGSNP in PASID entries
  bool device_tlb = false;     // DT: TT=01 and DTE are valid
  unsigned fault_records = 8;  // NFR: 1…256
  unsigned max_address_mask = 45;  // MAMV: 0…63; page-selective invalidations beyond it are refused

  // Scalable mode. What follows up to the next heading needs it.
  bool scalable = false;        // SMTS
  bool second_stage = false;    // SSTS: PGTT second stage
  bool first_stage = false;     // FSTS: PGTT first stage
  bool nested = false;          // NEST: needs both
  bool first_stage_1g = false;  // FS1GP
  bool first_stage_5 = false;   // FS5LP
  unsigned pasid_bits = 0;      // PASID and PSS: 1…20; 0: no requests with PASID
  bool rid_pasid = false;       // RPS: requests without PASID use the context's RID_PASID, not 0
  bool supervisor_requests = false;  // SRS
  bool execute_requests = false;     // ERS
  bool extended_accessed = false;    // EAFS
  bool second_stage_dirty = false;   // SSADS
  bool walk_coherency = false;       // SMPWCS
  bool abort_dma = false;            // ADMS

  // Device-TLBs (device_tlb above) are needed for page requests.
  bool page_requests = false;  // PRS, and PDS with it

  // Interrupt remapping.
  bool interrupt_remapping = false;  // IR; what follows needs it
  bool extended_interrupts = false;  // EIM: 32-bit destinations
  bool posted_interrupts = false;    // PI

  bool protected_memory = false;  // PLMR and PHMR

  // Strict switches: what hardware may do and models commonly do not, so that a guest's missing
  // flush shows.
  bool strict_absent_contexts =
      false;  // under CM, what is absent stays: contexts as domain 0's, pages
  bool strict_interrupt_entries = false;  // present interrupt entries stay until they are flushed
};

// What remains of options whose conditions are not met (10.4.2, 10.4.3: features that need others
// read 0 without them).
[[nodiscard]] constexpr Options settled(Options o) {
  o.fault_records = std::clamp(o.fault_records, 1U, 256U);
  o.max_address_mask = std::min(o.max_address_mask, 63U);
  o.pages_1g = o.pages_1g && o.pages_2m;  // SSLPS is prefix-closed
  o.levels_5 = o.levels_5 && o.address_bits >= 57;
  o.second_stage = o.second_stage && o.scalable;
  o.first_stage = o.first_stage && o.scalable;
  o.nested = o.nested && o.first_stage && o.second_stage;
  o.first_stage_1g = o.first_stage_1g && o.first_stage;
  o.first_stage_5 = o.first_stage_5 && o.first_stage;
  o.pasid_bits = o.scalable ? std::min(o.pasid_bits, 20U) : 0;
  o.rid_pasid = o.rid_pasid && o.scalable && o.pasid_bits != 0;
  o.supervisor_requests = o.supervisor_requests && o.pasid_bits != 0;
  o.execute_requests = o.execute_requests && o.pasid_bits != 0;
  o.extended_accessed = o.extended_accessed && o.first_stage;
  o.second_stage_dirty = o.second_stage_dirty && o.second_stage;
  o.walk_coherency = o.walk_coherency && o.scalable;
  o.strict_absent_contexts = o.strict_absent_contexts && o.caching_mode;
  o.page_requests = o.page_requests && o.device_tlb && o.scalable;
  o.extended_interrupts = o.extended_interrupts && o.interrupt_remapping;
  o.posted_interrupts = o.posted_interrupts && o.interrupt_remapping;
  return o;
}

// The profiles.
namespace profile {

// Second-stage tables behind root and context entries.
[[nodiscard]] constexpr Options legacy() { return {}; }

// Scalable mode with second-stage tables behind PASID entries.
[[nodiscard]] constexpr Options scalable_second_stage() {
  Options o;
  o.scalable = o.second_stage = true;
  o.pasid_bits = 20;
  o.rid_pasid = o.second_stage_dirty = o.walk_coherency = true;
  o.snoop_control = true;
  o.interrupt_remapping = o.extended_interrupts = true;
  return o;
}

// Scalable mode with first-stage tables, as a guest that builds its own is offered them.
[[nodiscard]] constexpr Options scalable_first_stage() {
  Options o;
  o.scalable = o.first_stage = o.first_stage_1g = true;
  o.pasid_bits = 20;
  o.rid_pasid = o.walk_coherency = true;
  o.interrupt_remapping = o.extended_interrupts = true;
  return o;
}

// All there is.
[[nodiscard]] constexpr Options full() {
  Options o = scalable_second_stage();
  o.address_bits = 57;
  o.levels_5 = true;
  o.first_stage = o.nested = o.first_stage_1g = o.first_stage_5 = true;
  o.supervisor_requests = o.execute_requests = o.extended_accessed = o.abort_dma = true;
  o.device_tlb = o.page_requests = true;
  o.posted_interrupts = o.protected_memory = true;
  return o;
}

}  // namespace profile
}  // namespace weir::vtd
