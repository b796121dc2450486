// SPDX-License-Identifier: Apache-2.0
//
// Records a running machine into a file of weir's own format, from which `weir replay` makes the
// same translations, faults and books again (docs/trace-format.md). Three lines do it:
//
//   auto recorder = replay::TraceRecorder::create(path, &clock);
//   Iommu iommu({..., .clock = &(*recorder)->clock(), .recorder = recorder->get()});
//   ...and at the end, devices stopped: (*recorder)->finish(iommu.stats());
//
// Everything else comes by itself: firmware tables, units with their options, memory, what guests
// do at the units' front doors, pieces of requests, and the guest memory that units read, as far as
// it is not what the recording knows already. iommu/recorder.h says what a machine with a recorder
// does otherwise than one without.
//
// Any thread. Memory: as much as the guest memory that units have read. What a sink does from
// inside is recorded, but played back only if it is an acknowledgement of a device TLB.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "iommu/stats.h"
#include "replay/operation_collector.h"
#include "replay/trace_file.h"

namespace weir::replay {

class TraceRecorder final : public OperationCollector {
 public:
  // Makes the file anew. `clock` as for IommuConfig, must outlive the recorder; null: time stands
  // still. Refused where the file cannot be made.
  [[nodiscard]] static Result<std::unique_ptr<TraceRecorder>, TraceError> create(
      const std::string& path, const Clock* clock = nullptr);
  ~TraceRecorder() override;  // without finish(), the file has no end and reads as cut off

  // For IommuConfig::clock: stands still while something is being done, so that playing it back can
  // show the same time.
  [[nodiscard]] const Clock& clock() const { return frozen_; }

  // Whoever looks at the file now finds everything that was done so far (but no end).
  void flush();
  // Writes the end, with the books. Nothing is recorded any more. The failure is the first that
  // any write met, or why the machine cannot be recorded.
  [[nodiscard]] Result<Done, TraceError> finish(const Stats& books);
  [[nodiscard]] std::uint64_t operations() const;

  // --- Recorder
  void on_config(const IommuConfig& config) override;
  void on_table(std::span<const std::byte> table) override;
  void on_unit(UnitId unit, std::uint64_t register_base, std::string_view vendor,
               std::span<const std::uint64_t> options) override;
  void on_memory(const pagetables::PhysicalMemory& memory) override;
  void on_unrecordable(std::string_view what) override;
  void take_turn() override;
  void end_turn() override;

 private:
  class KnownMemory;
  class FrozenClock final : public Clock {
   public:
    explicit FrozenClock(const Clock* clock) : clock_(clock) {}
    [[nodiscard]] Duration now() const override;
    [[nodiscard]] Duration freeze();
    void go_on();

   private:
    static constexpr Duration::rep kGoing = -1;
    const Clock* const clock_;
    std::atomic<Duration::rep> frozen_{kGoing};
  };

  TraceRecorder(TraceWriter writer, std::string path, const Clock* clock);

  std::uint64_t started() override;
  void collected(TraceOperation& operation) override;
  void stopped() override { frozen_.go_on(); }
  void about_to_read(Gpa) override {}
  void has_read(Gpa at, std::span<const std::byte> bytes) override;
  void has_written(Gpa at, std::span<const std::byte> bytes) override;

  FrozenClock frozen_;
  // A turn; all that follows belongs to who has it. The standard's own, because turns nest.
  mutable std::recursive_mutex turn_;
  int turns_ = 0;  // of the thread that has it
  TraceWriter writer_;
  std::string path_;
  std::string cause_;  // why the machine cannot be recorded
  bool finished_ = false;
  std::uint64_t operations_ = 0;
  std::unique_ptr<KnownMemory> known_;
};

}  // namespace weir::replay
