// SPDX-License-Identifier: Apache-2.0
#include "replay/sniff.h"

#include "replay/ftrace_text.h"
#include "replay/line_reader.h"
#include "replay/trace_line.h"
#include "replay/trace_packing.h"

namespace weir::replay {
namespace {

// ftrace begins with a dozen '#' lines, a QEMU log perhaps with messages of QEMU.
constexpr unsigned kLinesToRead = 64;
constexpr std::string_view kFtraceHeader = "# tracer:";

std::string_view name_of(TraceKind kind) {
  switch (kind) {
    case TraceKind::kQemuLog:
      return "a QEMU trace log";
    case TraceKind::kFtrace:
      return "a Linux ftrace";
    case TraceKind::kRecording:
      return "a recording of weir's own";
  }
  return "";
}

// Lines that either kind of file may begin with.
bool says_nothing(std::string_view line) {
  return line.empty() || line.starts_with('#') || is_qemu_message(line);
}

}  // namespace

std::optional<TraceKind> kind_of_line(std::string_view line) {
  // ftrace first: a task's name may begin like an event of QEMU, but no event of QEMU goes on like
  // an ftrace line.
  if (line.starts_with(kFtraceHeader) || parse_ftrace_head(line) || parse_lost_events(line)) {
    return TraceKind::kFtrace;
  }
  if (parse_qemu_head(line)) {
    return TraceKind::kQemuLog;
  }
  return std::nullopt;
}

std::string not_this_kind(TraceKind kind, std::string_view line) {
  const auto other = kind_of_line(line);
  if (other && *other != kind) {
    return "a line of " + std::string(name_of(*other)) + " inside " + std::string(name_of(kind)) +
           ": " + in_quotes(line);
  }
  return "not a line of " + std::string(name_of(kind)) + ": " + in_quotes(line);
}

Result<TraceKind, TraceError> sniff(const std::string& path) {
  if (is_packed_trace(path)) return TraceKind::kRecording;
  auto lines = LineReader::open(path);
  if (!lines) {
    return Failure{std::move(lines.error())};
  }
  for (unsigned i = 0; i < kLinesToRead; ++i) {
    const auto got = lines->next();
    if (!got) {
      return Failure{got.error()};
    }
    const std::optional<std::string_view> line = *got;
    if (!line) {
      return failure(path, 0, i == 0 ? "file is empty" : "no line of a trace in it");
    }
    if (const auto kind = kind_of_line(*line)) {
      return *kind;
    }
    if (!says_nothing(*line)) {
      return lines->failure_here("neither a QEMU trace log nor a Linux ftrace: " +
                                 in_quotes(*line));
    }
  }
  return lines->failure_here("no line of a trace so far: neither a QEMU log nor a Linux ftrace");
}

}  // namespace weir::replay
