// SPDX-License-Identifier: Apache-2.0
//
// `weir acpi show|audit|build|diff`: the firmware tables that tell a guest who is behind which
// unit, as they are, as they should be, and against a machine. One thread at a time.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace weir::tools {

struct AcpiOptions {
  enum class Task : std::uint8_t { kShow, kAudit, kBuild, kDiff };
  Task task = Task::kShow;
  std::string file{};
  std::string other{};     // diff: the second
  std::string output{};    // build
  std::string topology{};  // audit: empty for the table alone
  bool json = false;       // show
};

// What was asked for goes to `out`, the cause to `err` (one line: file, offset, cause) where a file
// cannot be used. Returns the exit status: 0 done, 1 an error was found or the tables differ, 2
// unusable input. An output file is written whole or not at all.
[[nodiscard]] int run_acpi(const AcpiOptions& options, std::ostream& out, std::ostream& err);

}  // namespace weir::tools
