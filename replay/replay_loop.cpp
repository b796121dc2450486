// SPDX-License-Identifier: Apache-2.0
#include "replay/replay_loop.h"

#include <chrono>
#include <optional>

#include "replay/ftrace.h"
#include "replay/ftrace_replay.h"
#include "replay/qemu_log.h"
#include "replay/qemu_replay.h"
#include "replay/played_machine.h"
#include "replay/sniff.h"
#include "replay/trace_file.h"
#include "replay/viommu_log.h"
#include "replay/viommu_replay.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kEventsBetweenProgress = 4096;

using Mode = VtdModelDriver::Mode;

// What one event says of the guest's mode.
[[nodiscard]] std::optional<Mode> mode_said(const InvalidationDescriptor& descriptor) {
  if (is_scalable_descriptor(descriptor.type())) return Mode::kScalable;
  return std::nullopt;
}
[[nodiscard]] std::optional<Mode> mode_said(const RootPointerSet& set) {
  return set.scalable ? Mode::kScalable : Mode::kLegacy;
}
[[nodiscard]] std::optional<Mode> mode_said(const LoggedFault& fault) {
  constexpr std::uint16_t kFirstOfScalable = 0x30;
  if (fault.reason >= kFirstOfScalable) return Mode::kScalable;
  return std::nullopt;
}
template <typename Other>
[[nodiscard]] std::optional<Mode> mode_said(const Other&) {
  return std::nullopt;
}

// The mode has to be known before the first table is written: a look ahead, for the first event
// that says it. Legacy mode never uses what scalable mode has of its own, and a guest in scalable
// mode soon does.
template <typename Reader>
[[nodiscard]] Result<Mode, TraceError> mode_of(const std::string& path) {
  constexpr std::uint64_t kMostEvents = 20000;
  auto reader = Reader::open(path);
  if (!reader) return Failure{reader.error()};
  for (std::uint64_t i = 0; i < kMostEvents; ++i) {
    const auto next = reader->next();
    // Whoever reads it in earnest says what is wrong.
    if (!next || !*next) break;
    const auto said =
        std::visit([](const auto& what) { return mode_said(what); }, (*next)->what);
    if (said) return *said;
  }
  return Mode::kLegacy;
}

void tell_mode(Mode mode, Report& report) {
  if (mode == Mode::kScalable) report.front_end = "VT-d scalable mode, first stage";
}

[[nodiscard]] Result<Done, TraceError> replay_qemu_log(const std::string& path,
                                                       const ReplayOptions& options,
                                                       Report& report) {
  auto reader = QemuLogReader::open(path);
  if (!reader) return Failure{reader.error()};
  const auto mode = mode_of<QemuLogReader>(path);
  if (!mode) return Failure{mode.error()};
  auto machine = ModelMachine::create(options.caches, *mode);
  if (!machine) return failure(path, 0, machine.error());
  tell_mode(*mode, report);
  auto replay = QemuReplay::create(**machine, options, *mode, report);
  if (!replay) return failure(path, 0, replay.error());
  for (std::uint64_t events = 0;; ++events) {
    const auto next = reader->next();
    if (!next) return Failure{next.error()};
    const std::optional<QemuEvent>& event = *next;
    if (!event) break;
    if (const auto done = (*replay)->take(*event); !done)
      return failure(path, event->line, done.error());
    if (options.progress && events % kEventsBetweenProgress == 0)
      options.progress(reader->part_read());
  }
  (*replay)->finish();
  report.lines = reader->counts().lines;
  report.events = reader->counts().events;
  return Done{};
}

[[nodiscard]] Result<Done, TraceError> replay_viommu_log(const std::string& path,
                                                         const ReplayOptions& options,
                                                         Report& report) {
  report.front_end = "virtio-iommu";
  report.has_directions = true;
  auto reader = ViommuLogReader::open(path);
  if (!reader) return Failure{reader.error()};
  auto replay = ViommuReplay::create(options.caches, report);
  if (!replay) return failure(path, 0, replay.error());
  for (;;) {
    const auto next = reader->next();
    if (!next) return Failure{next.error()};
    const std::optional<ViommuEvent>& event = *next;
    if (!event) break;
    if (const auto done = (*replay)->take(*event); !done)
      return failure(path, event->line, done.error());
    if (options.progress && reader->events() % kEventsBetweenProgress == 0)
      options.progress(reader->part_read());
  }
  (*replay)->finish();
  report.lines = reader->lines();
  report.events = reader->events();
  return Done{};
}

[[nodiscard]] Result<Done, TraceError> replay_ftrace(const std::string& path,
                                                     const ReplayOptions& options, Report& report) {
  auto reader = FtraceReader::open(path);
  if (!reader) return Failure{reader.error()};
  const auto mode = mode_of<FtraceReader>(path);
  if (!mode) return Failure{mode.error()};
  auto machine = ModelMachine::create(options.caches, *mode);
  if (!machine) return failure(path, 0, machine.error());
  tell_mode(*mode, report);
  auto replay = FtraceReplay::create(**machine, options, *mode, report);
  if (!replay) return failure(path, 0, replay.error());
  DomainNaming naming;
  for (std::uint64_t events = 0;; ++events) {
    auto next = reader->next();
    if (!next) return Failure{next.error()};
    const bool ended = !*next;
    if (!ended) naming.push(std::move(**next));
    while (ended ? !naming.empty() : naming.ready()) {
      const NamedEvent event = naming.pop();
      if (const auto done = (*replay)->take(event, naming.next()); !done)
        return failure(path, event.event.line, done.error());
    }
    if (ended) break;
    if (options.progress && events % kEventsBetweenProgress == 0)
      options.progress(reader->part_read());
  }
  if (const auto done = (*replay)->finish(); !done)
    return failure(path, reader->counts().lines, done.error());
  report.lines = reader->counts().lines;
  report.events = reader->counts().events;
  return Done{};
}

[[nodiscard]] Result<Done, TraceError> play_recording(const std::string& path,
                                                      const ReplayOptions& options,
                                                      Report& report) {
  constexpr std::size_t kMostDifferences = 20;
  report.has_directions = true;
  auto reader = TraceReader::open(path);
  if (!reader) return Failure{reader.error()};
  PlayedMachine machine([&report](std::string line) {
    if (report.differences.size() < kMostDifferences) report.differences.push_back(std::move(line));
  });
  TraceRecord record;
  for (;;) {
    const auto more = reader->next(record);
    if (!more) return Failure{more.error()};
    if (!*more) break;
    const auto taken = std::visit([&](const auto& r) { return machine.take(r); }, record);
    if (!taken) return reader->failure_here(taken.error());
    if (options.progress && reader->operations() % kEventsBetweenProgress == 0)
      options.progress(reader->part_read());
  }
  report.played = machine.result();
  report.front_end = machine.front_end();
  report.caches = machine.caches();
  report.stats = machine.stats();
  report.fault_reasons = report.played->faults;
  report.hits = report.stats.of(Outcome::kHit);
  report.synthetic_lookups = report.hits + report.stats.of(Outcome::kWalked);
  report.events = reader->operations();
  return Done{};
}

}  // namespace

Result<Report, TraceError> replay_trace(const std::string& path, const ReplayOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto kind = sniff(path);
  if (!kind) return Failure{kind.error()};
  Report report;
  report.file = path;
  report.front_end = "VT-d legacy mode, second stage";
  report.caches = options.caches;
  report.environment = run_environment();
  switch (*kind) {
    case TraceKind::kQemuLog: {
      const auto virtio = is_viommu_log(path);
      if (!virtio) return Failure{virtio.error()};
      const auto done = *virtio ? replay_viommu_log(path, options, report)
                                : replay_qemu_log(path, options, report);
      if (!done) return Failure{done.error()};
      break;
    }
    case TraceKind::kFtrace:
      if (const auto done = replay_ftrace(path, options, report); !done)
        return Failure{done.error()};
      break;
    case TraceKind::kRecording:
      if (const auto done = play_recording(path, options, report); !done)
        return Failure{done.error()};
      break;
  }
  report.total_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace weir::replay
