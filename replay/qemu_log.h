// SPDX-License-Identifier: Apache-2.0
//
// Reads the log of QEMU's "log" trace back end (`-trace 'vtd_*' -D FILE`), plain or xz, with any of
// its three line prefixes, and gives what it says about an intel-iommu as QemuEvents in the log's
// order. For one thread. Reads forward only and holds one line; never guesses at a line: one that
// is not understood is counted if QEMU could have written it, and an error if not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "replay/line_reader.h"
#include "replay/qemu_text.h"
#include "replay/trace_error.h"
#include "replay/trace_event.h"

namespace weir::replay {

struct QemuLogCounts {
  std::uint64_t lines = 0;
  std::uint64_t events = 0;    // given out
  std::uint64_t paired = 0;    // second halves of accesses: lines used, no event of their own
  std::uint64_t skipped = 0;   // trace lines that say nothing a replay needs
  std::uint64_t messages = 0;  // QEMU's own "qemu-...: " messages between them
};

class QemuLogReader {
 public:
  [[nodiscard]] static Result<QemuLogReader, TraceError> open(std::string path);

  // The next event; nullopt at the end of the log. An access is logged as two lines and comes out
  // as one event, with the first line's number. REQUIRES: no earlier call failed.
  //
  // Errors beyond unreadable files and fields: a line that is no trace line or belongs to another
  // kind of trace, an IOMMU model other than intel-iommu, half an access.
  [[nodiscard]] Result<std::optional<QemuEvent>, TraceError> next();

  // lines == events + paired + skipped + messages once the log has ended.
  [[nodiscard]] const QemuLogCounts& counts() const { return counts_; }
  // How far into the file reading has come, 0…1.
  [[nodiscard]] double part_read() const { return lines_.part_read(); }

 private:
  using Next = Result<std::optional<QemuEvent>, TraceError>;

  // The first half of an access, waiting for the second. One that passes through was given out
  // already: QEMU switches the address space before the second half, and that must come after.
  struct OpenAccess {
    AccessHalf half;
    std::uint64_t line = 0;
    std::uint64_t time_us = 0;
  };

  explicit QemuLogReader(LineReader lines) : lines_(std::move(lines)) {}

  [[nodiscard]] Next take(const QemuLine& taken, std::uint64_t time_us);
  [[nodiscard]] Next open_access(const AccessHalf& half, std::uint64_t time_us);
  [[nodiscard]] Next close_access(const TranslatedHalf& translated, std::uint64_t time_us);
  [[nodiscard]] Failure<TraceError> not_a_trace_line(std::string_view line) const;
  [[nodiscard]] Failure<TraceError> half_an_access(const OpenAccess& opened) const;

  LineReader lines_;
  QemuLogCounts counts_;
  std::optional<OpenAccess> open_access_;
};

}  // namespace weir::replay
