// SPDX-License-Identifier: Apache-2.0
//
// Reads Linux ftrace text (/sys/kernel/tracing/trace), plain or xz, and gives what its iommu:*,
// intel_iommu:* and dma:* events say as FtraceEvents in the trace's order. For one thread. Reads
// forward only and holds one line; never guesses at a line: an event that is not known is counted,
// a line that is no ftrace line is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "replay/line_reader.h"
#include "replay/trace_error.h"
#include "replay/trace_event.h"

namespace weir::replay {

struct FtraceCounts {
  std::uint64_t lines = 0;
  std::uint64_t events = 0;   // given out
  std::uint64_t skipped = 0;  // event lines that say nothing a replay needs
  std::uint64_t headers = 0;  // lines that begin with '#'
};

class FtraceReader {
 public:
  [[nodiscard]] static Result<FtraceReader, TraceError> open(std::string path);

  // The next event; nullopt at the end of the trace. REQUIRES: no earlier call failed.
  [[nodiscard]] Result<std::optional<FtraceEvent>, TraceError> next();

  // lines == events + skipped + headers once the trace has ended.
  [[nodiscard]] const FtraceCounts& counts() const { return counts_; }
  // How far into the file reading has come, 0…1.
  [[nodiscard]] double part_read() const { return lines_.part_read(); }

 private:
  explicit FtraceReader(LineReader lines) : lines_(std::move(lines)) {}

  LineReader lines_;
  FtraceCounts counts_;
};

}  // namespace weir::replay
