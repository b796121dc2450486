// SPDX-License-Identifier: Apache-2.0
//
// What a unit of given Options can do: the values of CAP_REG and ECAP_REG, and the same facts in
// the form that the walk and the context reader ask for. Only what is built and tested is
// advertised.
//
// Constexpr values; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "pagetables/vtd_second_stage.h"
#include "pagetables/x86_first_stage.h"
#include "vendors/vtd/capability_registers.h"
#include "vendors/vtd/options.h"
#include "vendors/vtd/registers.h"

namespace weir::vtd {

inline constexpr std::uint64_t kMaxHandleMask = 15;  // MHMV: 2^15 entries with one flush

// Which test uses what a bit promises stands in tests/vtd/capability_test.cpp.
[[nodiscard]] constexpr std::uint64_t capability_value(const Options& from) {
  const Options options = settled(from);
  namespace cap = reg::cap;
  return cap::kDomains.of(6) | cap::kCachingMode.of(options.caching_mode) |
         cap::kWidth39.of(options.levels_3) | cap::kWidth48.of(options.levels_4) |
         cap::kWidth57.of(options.levels_5) | cap::kMaxGuestWidth.of(options.address_bits - 1) |
         cap::kFaultOffset.of(reg::frcd::kOffset / 16) | cap::kPages2m.of(options.pages_2m) |
         cap::kPages1g.of(options.pages_1g) | cap::kPageSelective.of(1) |
         cap::kFaultRecords.of(options.fault_records - 1) |
         cap::kMaxAddressMask.of(options.max_address_mask) | cap::kWriteDrain.of(1) |
         cap::kReadDrain.of(1) | cap::kProtectedLow.of(options.protected_memory) |
         cap::kProtectedHigh.of(options.protected_memory) |
         cap::kFirstStage1g.of(options.first_stage_1g) |
         cap::kFirstStage5.of(options.first_stage_5) | cap::kPosted.of(options.posted_interrupts) |
         cap::kEnhancedSirtp.of(options.interrupt_remapping) | cap::kEnhancedSrtp.of(1);
}

[[nodiscard]] constexpr std::uint64_t extended_capability_value(const Options& from) {
  const Options options = settled(from);
  namespace ecap = reg::ecap;
  return ecap::kCoherent.of(1) |  // guest memory is one coherent memory here
         ecap::kQueued.of(1) | ecap::kDeviceTlb.of(options.device_tlb) | ecap::kPassThrough.of(1) |
         ecap::kSnoopControl.of(options.snoop_control) |
         ecap::kIotlbOffset.of(reg::kIotlbBlock / 16) |
         ecap::kInterruptRemapping.of(options.interrupt_remapping) |
         ecap::kExtendedInterrupt.of(options.extended_interrupts) |
         ecap::kMaxHandleMask.of(options.interrupt_remapping ? kMaxHandleMask : 0) |
         ecap::kPageRequests.of(options.page_requests) |
         ecap::kPageRequestDrain.of(options.page_requests) | ecap::kScalable.of(options.scalable) |
         ecap::kSecondStage.of(options.second_stage) | ecap::kFirstStage.of(options.first_stage) |
         ecap::kNested.of(options.nested) | ecap::kPasid.of(options.pasid_bits != 0) |
         ecap::kPasidSize.of(options.pasid_bits != 0 ? options.pasid_bits - 1 : 0) |
         ecap::kRidPasid.of(options.rid_pasid) | ecap::kSupervisor.of(options.supervisor_requests) |
         ecap::kExecute.of(options.execute_requests) |
         ecap::kExtendedAccessed.of(options.extended_accessed) |
         ecap::kSecondStageDirty.of(options.second_stage_dirty) |
         ecap::kWalkCoherency.of(options.walk_coherency) | ecap::kAbortDma.of(options.abort_dma);
}

struct Capabilities {
  Options options;
  std::uint64_t address_limit_bits = 0;  // MGAW
  // Address bits that root and context entries must leave zero, besides what no field claims: those
  // above the host address width.
  std::uint64_t beyond_host_width = 0;
  pagetables::VtdSecondStage::Rules rules;  // of legacy mode
  // Of PASID entries, by SSADE and EAFE.
  std::array<pagetables::VtdSecondStage::Rules, 2> scalable_rules;
  std::array<pagetables::X86FirstStage::Rules, 2> first_stage_rules;

  explicit constexpr Capabilities(const Options& from)
      : options(settled(from)),
        address_limit_bits(options.address_bits),
        beyond_host_width(~bit_mask(host_bits(options) - 1, 0)),
        rules(second_stage_rules(options, options.snoop_control, false)),
        // SNP in leaves is legacy mode's; under a PASID entry PGSNP stands for it.
        scalable_rules{second_stage_rules(options, true, false),
                       second_stage_rules(options, true, true)},
        first_stage_rules{first_stage_rules_of(options, false),
                          first_stage_rules_of(options, true)} {}

  // Table levels for a context's AW, or nothing where SAGAW lacks it (9.3).
  [[nodiscard]] constexpr std::optional<std::uint8_t> levels_of(std::uint64_t address_width) const {
    if (address_width == 1 && options.levels_3) return std::uint8_t{3};
    if (address_width == 2 && options.levels_4) return std::uint8_t{4};
    if (address_width == 3 && options.levels_5) return std::uint8_t{5};
    return std::nullopt;
  }
  // Table levels for a PASID entry's FSPM (9.6).
  [[nodiscard]] constexpr std::optional<std::uint8_t> first_stage_levels_of(
      std::uint64_t paging_mode) const {
    if (paging_mode == 0) return std::uint8_t{4};
    if (paging_mode == 1 && options.first_stage_5) return std::uint8_t{5};
    return std::nullopt;
  }
  // How far untranslated requests reach: min(MGAW, AGAW) (3.4.3, CAP.MGAW).
  [[nodiscard]] constexpr std::uint8_t input_bits(unsigned levels) const {
    return static_cast<std::uint8_t>(std::min<std::uint64_t>(
        address_limit_bits, pagetables::input_bits<pagetables::VtdSecondStage>(levels)));
  }

 private:
  // An entry has room for 52 address bits, whatever the guest address width.
  [[nodiscard]] static constexpr unsigned host_bits(const Options& options) {
    return std::min(options.address_bits, 52U);
  }
  [[nodiscard]] static constexpr pagetables::VtdSecondStage::Rules second_stage_rules(
      const Options& options, bool snoop, bool accessed_dirty) {
    return pagetables::VtdSecondStage::rules({.host_address_bits = host_bits(options),
                                              .snoop_control = snoop,
                                              .pages_2m = options.pages_2m,
                                              .pages_1g = options.pages_1g,
                                              .accessed_dirty = accessed_dirty});
  }
  [[nodiscard]] static constexpr pagetables::X86FirstStage::Rules first_stage_rules_of(
      const Options& options, bool extended_accessed) {
    return pagetables::X86FirstStage::rules({.host_address_bits = host_bits(options),
                                             .pages_1g = options.first_stage_1g,
                                             .extended_accessed = extended_accessed});
  }
};

}  // namespace weir::vtd
