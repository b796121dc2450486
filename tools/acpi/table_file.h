// SPDX-License-Identifier: Apache-2.0
//
// Files that hold a table: the binary (a dump, or /sys/firmware/acpi/tables/*), or the text that
// acpidump prints, which may hold others as well. And files that hold JSON, and writing.
//
// Any thread. A failure is one line without the file's name, which the caller knows. At most 16 MiB
// are read.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::tools::acpi {

// The one DMAR, IVRS or VIOT of the file, with what lies behind it.
[[nodiscard]] Result<std::vector<std::byte>, std::string> read_table_file(const std::string& path);

// The same of text, for tests. REQUIRES nothing: what is no dump is refused.
[[nodiscard]] Result<std::vector<std::byte>, std::string> table_of_dump(const std::string& text);

[[nodiscard]] Result<nlohmann::ordered_json, std::string> read_json_file(const std::string& path);

// The whole file or none of it: written beside its name first, then put in its place.
[[nodiscard]] Result<Done, std::string> write_file(const std::string& path,
                                                   std::span<const std::byte> bytes);

}  // namespace weir::tools::acpi
