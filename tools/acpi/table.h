// SPDX-License-Identifier: Apache-2.0
//
// A DMAR, IVRS or VIOT, told apart by its signature: what every `weir acpi` subcommand works on.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "iommu/coverage.h"
#include "vendors/amdvi/ivrs_table.h"
#include "vendors/virtio_iommu/viot_table.h"
#include "vendors/vtd/dmar_table.h"

namespace weir::tools::acpi {

using Table = std::variant<vtd::dmar::Table, amdvi::ivrs::Table, virtio_iommu::viot::Table>;

[[nodiscard]] std::string_view signature_of(const Table& table);
// An empty one; REQUIRES: one of the three signatures. is_supported says whether it is.
[[nodiscard]] Table empty_table(std::string_view signature);
[[nodiscard]] bool is_supported(std::string_view signature);

[[nodiscard]] Result<Table, TableError> parse_table(std::span<const std::byte> bytes);
[[nodiscard]] Result<std::vector<std::byte>, TableError> write_table(const Table& table);
[[nodiscard]] Result<Coverage, TableError> coverage_of(const Table& table);

}  // namespace weir::tools::acpi
