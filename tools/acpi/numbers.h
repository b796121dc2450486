// SPDX-License-Identifier: Apache-2.0
//
// How fields are written for people, and read back: numbers in three styles, bytes as hexadecimal
// digits, steps of a path as "1c.4", functions as "00:1c.4".
//
// Pure functions; any thread. Reading answers nothing for what is not of the form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "iommu/coverage.h"
#include "vendors/common/acpi/fields.h"

namespace weir::tools::acpi {

using weir::acpi::Part;
using weir::acpi::Style;

[[nodiscard]] std::string number_text(std::uint64_t value, Style style);
// Decimal, 0x…, or bus:device.function.
[[nodiscard]] std::optional<std::uint64_t> number_of(std::string_view text);

[[nodiscard]] std::string hex_text(std::span<const std::byte> bytes);
[[nodiscard]] std::optional<std::vector<std::byte>> bytes_of(std::string_view text);

[[nodiscard]] std::string step_text(PathStep step);
[[nodiscard]] std::optional<PathStep> step_of(std::string_view text);

// What no part claims of a number of `bytes` bytes.
[[nodiscard]] std::uint64_t unclaimed(std::span<const Part> parts, std::size_t bytes);
[[nodiscard]] std::uint64_t mask_of(const Part& part);

// Characters that a person can read, nothing else.
[[nodiscard]] bool is_readable(std::string_view text);

}  // namespace weir::tools::acpi
