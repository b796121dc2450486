// SPDX-License-Identifier: Apache-2.0
//
// The options of a VT-d unit as a list of numbers and back, in the order of options.h: what a
// recording keeps of them. New options go to the end, and a list that is too short leaves their
// defaults.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "vendors/common/options_as_numbers.h"
#include "vendors/vtd/options.h"

namespace weir::vtd {

[[nodiscard]] constexpr auto options_tied(auto& o) {
  return std::tie(o.address_bits, o.levels_3, o.levels_4, o.levels_5, o.pages_2m, o.pages_1g,
                  o.caching_mode, o.snoop_control, o.device_tlb, o.fault_records,
                  o.max_address_mask, o.scalable, o.second_stage, o.first_stage, o.nested,
                  o.first_stage_1g, o.first_stage_5, o.pasid_bits, o.rid_pasid,
                  o.supervisor_requests, o.execute_requests, o.extended_accessed,
                  o.second_stage_dirty, o.walk_coherency, o.abort_dma, o.page_requests,
                  o.interrupt_remapping, o.extended_interrupts, o.posted_interrupts,
                  o.protected_memory, o.strict_absent_contexts, o.strict_interrupt_entries);
}
static_assert(std::tuple_size_v<decltype(options_tied(std::declval<Options&>()))> == 32);

[[nodiscard]] inline std::vector<std::uint64_t> numbers_of(const Options& options) {
  return weir::numbers_of(options_tied(options));
}

// Nothing where a number does not fit its option, or there are too many, or no unit can be made so.
[[nodiscard]] inline std::optional<Options> options_from(std::span<const std::uint64_t> numbers) {
  Options options;
  if (!take_numbers(options_tied(options), numbers)) return std::nullopt;
  const unsigned bits = options.address_bits;
  if (bits != 39 && bits != 48 && bits != 57) return std::nullopt;
  if (!options.levels_3 && !options.levels_4 && !(options.levels_5 && bits == 57))
    return std::nullopt;
  return options;
}

}  // namespace weir::vtd
