// SPDX-License-Identifier: Apache-2.0
//
// What a machine that plays a recording back is given by its player: time, guest memory as it was
// seen, and device TLBs that acknowledge as they did. For PlayedMachine only. For one thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/clock.h"
#include "replay/operation_collector.h"
#include "replay/played_memory.h"

namespace weir::replay {

// Shows the time of the operation under way.
class PlayedClock final : public Clock {
 public:
  [[nodiscard]] Duration now() const override {
    return std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(time_ns));
  }
  std::uint64_t time_ns = 0;
};

// Hears what this machine does, and puts guest memory in place as the recording says it was.
class PlayedCollector final : public OperationCollector {
 public:
  explicit PlayedCollector(PlayedMemory& memory) : memory_(memory) {}

  void expect(const TraceOperation& operation) {
    expected_ = &operation;
    next_seen_ = 0;
    made_ = nullptr;
  }
  // What this machine made of it. Valid until the next one. Null: nothing was done.
  [[nodiscard]] const TraceOperation* made() const { return made_; }
  [[nodiscard]] const TraceOperation& expected() const { return *expected_; }
  // Whether everything was read that was seen. What was not is put in place now, as it was known
  // from here on.
  [[nodiscard]] bool all_seen() {
    const bool all = next_seen_ == expected_->seen.size();
    put_up_to(~std::uint64_t{0});
    return all;
  }
  [[nodiscard]] bool out_of_memory() const { return out_of_memory_; }

  // A piece is asked for directly: what is read meanwhile belongs to it.
  void begin_piece() { begin_unheard(); }
  void end_piece() { end_unheard(); }

  void on_config(const IommuConfig&) override {}
  void on_table(std::span<const std::byte>) override {}
  void on_unit(UnitId, std::uint64_t, std::string_view, std::span<const std::uint64_t>) override {}
  void on_memory(const pagetables::PhysicalMemory&) override {}
  void on_unrecordable(std::string_view) override {}
  void take_turn() override {}
  void end_turn() override {}
  [[nodiscard]] bool hears_pieces() const override { return false; }

 private:
  std::uint64_t started() override { return expected_ == nullptr ? 0 : expected_->time_ns; }
  // It stays where it is until the next one starts.
  void collected(TraceOperation& operation) override { made_ = &operation; }
  void about_to_read(Gpa) override {
    if (expected_ != nullptr) put_up_to(current().reads);
  }
  void put_up_to(std::uint64_t read) {
    const auto& seen = expected_->seen;
    for (; next_seen_ < seen.size() && seen[next_seen_].read <= read; ++next_seen_) {
      const TraceSeen& s = seen[next_seen_];
      if (!memory_.put(s.at, std::span(s.bytes).first(s.size))) out_of_memory_ = true;
    }
  }
  void has_read(Gpa, std::span<const std::byte>) override {}
  void has_written(Gpa at, std::span<const std::byte> bytes) override {
    if (!memory_.touched(at, bytes.size())) out_of_memory_ = true;
  }

  PlayedMemory& memory_;
  const TraceOperation* expected_ = nullptr;
  std::size_t next_seen_ = 0;
  bool out_of_memory_ = false;
  const TraceOperation* made_ = nullptr;
};

// Acknowledges at once what the recorded device acknowledged from inside.
class PlayedDevice final : public AtsDevice {
 public:
  PlayedDevice(DmaPort& port, const PlayedCollector& collector) : port_(port), collector_(collector) {}

  void on_invalidate(const AtsInvalidation& what) override {
    for (const TraceEvent& event : collector_.expected().events) {
      const bool acknowledges =
          event.kind == TraceEvent::Kind::kCall &&
          event.numbers[0] ==
              static_cast<std::uint64_t>(RecordedCall::What::kAtsAcknowledge) &&
          event.numbers[3] == what.id;
      if (!acknowledges) continue;
      (void)port_.acknowledge_invalidation(what.id);
      return;
    }
  }

 private:
  DmaPort& port_;
  const PlayedCollector& collector_;
};

}  // namespace weir::replay
