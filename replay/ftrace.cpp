// SPDX-License-Identifier: Apache-2.0
#include "replay/ftrace.h"

#include <utility>

#include "replay/ftrace_text.h"
#include "replay/sniff.h"

namespace weir::replay {

Result<FtraceReader, TraceError> FtraceReader::open(std::string path) {
  auto lines = LineReader::open(std::move(path));
  if (!lines) {
    return Failure{std::move(lines.error())};
  }
  return FtraceReader(std::move(*lines));
}

Result<std::optional<FtraceEvent>, TraceError> FtraceReader::next() {
  for (;;) {
    const auto got = lines_.next();
    if (!got) {
      return Failure{got.error()};
    }
    const std::optional<std::string_view> line = *got;
    if (!line) {
      return std::optional<FtraceEvent>();
    }
    ++counts_.lines;
    if (line->starts_with('#')) {
      ++counts_.headers;
      continue;
    }
    const auto head = parse_ftrace_head(*line);
    if (!head) {
      const auto lost = parse_lost_events(*line);
      if (!lost) {
        return lines_.failure_here(not_this_kind(TraceKind::kFtrace, *line));
      }
      ++counts_.events;
      return std::optional(FtraceEvent{lines_.line_number(), 0, lost->cpu, *lost});
    }
    auto body = parse_ftrace_text(*head, *line);
    if (!body) {
      return lines_.failure_here(std::move(body.error()));
    }
    std::optional<FtraceEventBody> what = std::move(*body);
    if (!what) {
      ++counts_.skipped;
      continue;
    }
    ++counts_.events;
    return std::optional(
        FtraceEvent{lines_.line_number(), head->time_us, head->cpu, std::move(*what)});
  }
}

}  // namespace weir::replay
