// SPDX-License-Identifier: Apache-2.0
//
// Tells which kind of trace a file is, from its first bytes or lines and never from its name. Any thread;
// opens the file by itself and closes it again, so the file must be one that can be read twice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "replay/trace_error.h"

namespace weir::replay {

enum class TraceKind : std::uint8_t { kQemuLog, kFtrace, kRecording };

// The first line that belongs to one kind only decides. Errors: cannot be read, empty, no such line
// among the first ones.
[[nodiscard]] Result<TraceKind, TraceError> sniff(const std::string& path);

// Which kind one line belongs to; nullopt: neither, or it does not say.
[[nodiscard]] std::optional<TraceKind> kind_of_line(std::string_view line);

// Why `line` cannot be a line of a file of this kind: for the readers, when they refuse one.
[[nodiscard]] std::string not_this_kind(TraceKind kind, std::string_view line);

}  // namespace weir::replay
