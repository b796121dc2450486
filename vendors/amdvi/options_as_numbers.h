// SPDX-License-Identifier: Apache-2.0
//
// The options of an AMD-Vi unit as a list of numbers and back, in the order of options.h: what a
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

#include "vendors/amdvi/options.h"
#include "vendors/common/options_as_numbers.h"

namespace weir::amdvi {

[[nodiscard]] constexpr auto options_tied(auto& o) {
  return std::tie(o.caching_mode, o.commands_visible, o.device_tlb, o.prefetch, o.page_requests,
                  o.enhanced_requests, o.invalidate_all, o.wide_interrupts, o.x2apic, o.guest_apic,
                  o.guest_tables, o.guest_io, o.guest_five_levels, o.gcr3_root_is_gpa, o.no_execute,
                  o.accessed, o.dirty, o.gcr3_levels, o.pasid_bits, o.host_address_bits);
}
static_assert(std::tuple_size_v<decltype(options_tied(std::declval<Options&>()))> == 20);

[[nodiscard]] inline std::vector<std::uint64_t> numbers_of(const Options& options) {
  return weir::numbers_of(options_tied(options));
}

// Nothing where a number does not fit its option, or there are too many, or no unit can be made so.
[[nodiscard]] inline std::optional<Options> options_from(std::span<const std::uint64_t> numbers) {
  Options options;
  if (!take_numbers(options_tied(options), numbers)) return std::nullopt;
  const auto within = [](unsigned n, unsigned least, unsigned most) {
    return least <= n && n <= most;
  };
  if (!within(options.gcr3_levels, 1, 3) || !within(options.pasid_bits, 1, 20) ||
      !within(options.host_address_bits, 12, 52))
    return std::nullopt;
  return options;
}

}  // namespace weir::amdvi
