// SPDX-License-Identifier: Apache-2.0
//
// One event line of Linux ftrace, taken by itself. For FtraceReader only. Pure functions, any
// thread; they know no file and keep no state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "replay/trace_event.h"
#include "replay/trace_line.h"

namespace weir::replay {

// nullopt: an event that says nothing a replay needs. The failure is a cause without file and line.
[[nodiscard]] Result<std::optional<FtraceEventBody>, std::string> parse_ftrace_text(
    const FtraceLineHead& head, std::string_view line);

// "CPU:<n> [LOST <m> EVENTS]", the one line of ftrace that is neither header nor event.
// nullopt: not such a line.
[[nodiscard]] std::optional<LostEvents> parse_lost_events(std::string_view line);

}  // namespace weir::replay
