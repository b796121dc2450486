// SPDX-License-Identifier: Apache-2.0
//
// Reads what a QEMU trace log (`-trace 'virtio_iommu_*' -D FILE`) says about a virtio-iommu, plain
// or xz, as ViommuEvents in the log's order. An access is logged as one line or two and comes out
// as one event. For one thread. Reads forward only and holds two lines; never guesses at a line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/access.h"
#include "base/address.h"
#include "base/result.h"
#include "replay/line_reader.h"
#include "replay/trace_error.h"

namespace weir::replay {

struct ViommuAttachLogged {
  std::uint32_t domain = 0;
  std::uint32_t endpoint = 0;
};
struct ViommuDetachLogged {
  std::uint32_t domain = 0;
  std::uint32_t endpoint = 0;
};
struct ViommuMapLogged {
  std::uint32_t domain = 0;
  AddressRange<Iova> range{};
  Gpa output;
  std::uint32_t flags = 0;
};
struct ViommuUnmapLogged {
  std::uint32_t domain = 0;
  AddressRange<Iova> range{};
};
// A DMA access. It came to an address, to a fault, or to neither: then it bypassed.
struct ViommuAccessLogged {
  std::uint32_t endpoint = 0;
  Iova iova;
  Access access = Access::kRead;
  std::optional<Gpa> gpa;
  std::optional<std::uint8_t> fault;  // its reason
};
struct ViommuResetLogged {
  bool of_machine = false;
};

using ViommuEventBody = std::variant<ViommuAttachLogged, ViommuDetachLogged, ViommuMapLogged,
                                     ViommuUnmapLogged, ViommuAccessLogged, ViommuResetLogged>;
struct ViommuEvent {
  std::uint64_t line = 0;
  ViommuEventBody what;
};

class ViommuLogReader {
 public:
  [[nodiscard]] static Result<ViommuLogReader, TraceError> open(std::string path);

  // The next event; nullopt at the end of the log. REQUIRES: no earlier call failed.
  [[nodiscard]] Result<std::optional<ViommuEvent>, TraceError> next();

  [[nodiscard]] std::uint64_t lines() const { return line_count_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] double part_read() const { return lines_.part_read(); }

 private:
  using Next = Result<std::optional<ViommuEvent>, TraceError>;
  // What a line says; a second half of an access goes to `open_` and says nothing of its own.
  using Line = std::optional<ViommuEventBody>;

  explicit ViommuLogReader(LineReader lines) : lines_(std::move(lines)) {}
  [[nodiscard]] Result<Line, TraceError> read_line(std::string_view line);
  [[nodiscard]] Next give(ViommuEvent event);

  LineReader lines_;
  std::optional<ViommuEvent> open_;  // an access whose second line may still come
  std::optional<ViommuEvent> held_;  // what was read after it
  std::uint64_t line_count_ = 0;
  std::uint64_t events_ = 0;
};

// Whether the log is of a virtio-iommu: the first event of any IOMMU model tells. False for a log
// without one, too.
[[nodiscard]] Result<bool, TraceError> is_viommu_log(const std::string& path);

}  // namespace weir::replay
