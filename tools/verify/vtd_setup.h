// SPDX-License-Identifier: Apache-2.0
//
// What a VT-d machine is set up from: a unit's options out of a case's capability registers, and
// pages of RAM that the driver may use because the case names them nowhere.
//
// Functions without state; any thread. What is wrong with the input becomes a complaint of
// `fields`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/verify/fields.h"
#include "tools/verify/guest_ram.h"
#include "tools/verify/machine_parts.h"
#include "tools/verify/named_pages.h"
#include "tools/verify/vtd_case.h"
#include "tools/verify/vtd_driver.h"
#include "vendors/vtd/unit.h"

namespace weir::verify {

// The unit that CAP and ECAP of the case describe. `fields` are those of `cfg`.
[[nodiscard]] vtd::Options read_unit_options(const VtdConfig& config, const Fields& fields);

// Empty, or how the registers of a unit differ from the case in what a result may depend on.
[[nodiscard]] std::string compare_capabilities(const VtdConfig& config, std::uint64_t cap,
                                               std::uint64_t ecap);

// Complains about runs outside RAM and about devices that the header does not have.
void check_case(const VtdCase& checked, const Premises& premises, const Fields& fields);

// Nothing if the case names too much of the RAM.
[[nodiscard]] std::optional<DriverPages> find_driver_pages(const VtdCase& read,
                                                           const GuestRam& ram);
[[nodiscard]] std::optional<DriverPages> find_driver_pages(const NamedPages& named,
                                                           const GuestRam& ram);

}  // namespace weir::verify
