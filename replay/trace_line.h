// SPDX-License-Identifier: Apache-2.0
//
// The part of a trace line before its text: which of the known shapes the line has, its time and
// its event name. Shared by the readers and by sniff(). Pure functions, any thread; they never
// allocate and never read past the line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::replay {

// "<name> <text>" behind one of QEMU's three prefixes: none, "PID@SEC.USEC:", or an ISO-8601 time.
struct QemuLineHead {
  std::string_view name;
  std::size_t text = 0;       // where the text begins; the line's length if there is none
  std::uint64_t time_us = 0;  // since 1970, UTC; 0 without a prefix
};
// nullopt: not a line of a QEMU trace log. A name is lower-case letters, digits and at least one
// '_', which every event of QEMU has and ordinary prose has not.
[[nodiscard]] std::optional<QemuLineHead> parse_qemu_head(std::string_view line);

// "qemu-<binary>: ..." behind the same prefixes: QEMU's own messages, which share a stream with the
// trace when the log is its standard error.
[[nodiscard]] bool is_qemu_message(std::string_view line);

// "<task>-<pid> [<cpu>] <flags> <sec>.<usec>: <name>: <text>".
struct FtraceLineHead {
  std::string_view name;
  std::size_t text = 0;
  std::uint64_t time_us = 0;
  std::uint32_t cpu = 0;
};
// nullopt: not an event line of ftrace. The task's name may hold anything, this pattern included:
// a name has at most 15 bytes, too few for the pattern, so the first place that fits is the one.
[[nodiscard]] std::optional<FtraceLineHead> parse_ftrace_head(std::string_view line);

}  // namespace weir::replay
