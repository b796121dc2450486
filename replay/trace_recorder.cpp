// SPDX-License-Identifier: Apache-2.0
#include "replay/trace_recorder.h"

#include <array>
#include <cstring>
#include <unordered_map>
#include <utility>

namespace weir::replay {
namespace {

constexpr std::size_t kWord = 8;
constexpr std::uint64_t kOperationsBetweenFlushes = 1 << 16;

}  // namespace

// Guest memory as whoever plays the recording back has it: zero, until a record says otherwise.
class TraceRecorder::KnownMemory {
 public:
  // Calls `differs(at, bytes)` for each word, or part of one, that is not as known.
  template <typename Differs>
  void learn(Gpa at, std::span<const std::byte> bytes, Differs differs) {
    while (!bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), kWord - at.page_offset(3));
      std::byte* const mine = place(at);
      if (std::memcmp(mine, bytes.data(), size) != 0) {
        std::memcpy(mine, bytes.data(), size);
        differs(at, bytes.first(size));
      }
      bytes = bytes.subspan(size);
      at = at + size;
    }
  }

 private:
  [[nodiscard]] std::byte* place(Gpa at) {
    auto& page = pages_[at.page_base(kPageLg2)];
    if (page == nullptr) page = std::make_unique<std::array<std::byte, kPageSize>>();
    return page->data() + at.page_offset(kPageLg2);
  }

  std::unordered_map<Gpa, std::unique_ptr<std::array<std::byte, kPageSize>>> pages_;
};

// ---- Clock

Clock::Duration TraceRecorder::FrozenClock::now() const {
  // Relaxed, here and below: who asks from inside set it; others get one of two times.
  const Duration::rep frozen = frozen_.load(std::memory_order_relaxed);
  if (frozen != kGoing) return Duration(frozen);
  return clock_ == nullptr ? Duration::zero() : clock_->now();
}

Clock::Duration TraceRecorder::FrozenClock::freeze() {
  const Duration now = clock_ == nullptr ? Duration::zero() : clock_->now();
  frozen_.store(now.count(), std::memory_order_relaxed);
  return now;
}

void TraceRecorder::FrozenClock::go_on() { frozen_.store(kGoing, std::memory_order_relaxed); }

// ---- Recorder

TraceRecorder::TraceRecorder(TraceWriter writer, std::string path, const Clock* clock)
    : frozen_(clock),
      writer_(std::move(writer)),
      path_(std::move(path)),
      known_(std::make_unique<KnownMemory>()) {}

TraceRecorder::~TraceRecorder() = default;

Result<std::unique_ptr<TraceRecorder>, TraceError> TraceRecorder::create(const std::string& path,
                                                                         const Clock* clock) {
  auto writer = TraceWriter::create(path);
  if (!writer) return Failure{writer.error()};
  return std::unique_ptr<TraceRecorder>(new TraceRecorder(std::move(*writer), path, clock));
}

void TraceRecorder::on_config(const IommuConfig& config) {
  const std::lock_guard lock(turn_);
  using std::chrono::nanoseconds;
  writer_.write(TraceMachine{
      .caches = config.caches,
      .pin_limit = std::chrono::duration_cast<nanoseconds>(config.pin_limit),
      .device_tlb_limit = std::chrono::duration_cast<nanoseconds>(config.device_tlb_limit)});
}

void TraceRecorder::on_table(std::span<const std::byte> table) {
  const std::lock_guard lock(turn_);
  writer_.write(TraceTable{{table.begin(), table.end()}});
}

void TraceRecorder::on_unit(UnitId /*unit*/, std::uint64_t register_base, std::string_view vendor,
                            std::span<const std::uint64_t> options) {
  const std::lock_guard lock(turn_);
  writer_.write(TraceUnit{
      .register_base = register_base,
      .vendor = std::string(vendor),
      .options = {options.begin(), options.end()}});
}

void TraceRecorder::on_memory(const pagetables::PhysicalMemory& memory) {
  const std::lock_guard lock(turn_);
  if (memory.pieces().empty() && !memory.memory().regions().empty())
    cause_ = "a host map that reads tables cannot be recorded";
  if (memory.pieces().size() > trace_limits::kPieces) cause_ = "too many pieces of memory";
  TraceMemory record;
  for (const auto& piece : memory.pieces()) {
    if (piece.first.page_offset(kPageLg2) != 0) cause_ = "memory that does not begin at a page";
    record.pieces.push_back({{piece.first, piece.last}, piece.permissions, piece.host != nullptr});
  }
  if (!finished_) writer_.write(record);
}

void TraceRecorder::on_unrecordable(std::string_view what) {
  const std::lock_guard lock(turn_);
  cause_ = "the machine made use of " + std::string(what) + ", which cannot be recorded";
}

void TraceRecorder::take_turn() {
  turn_.lock();
  ++turns_;
}

void TraceRecorder::end_turn() {
  if (--turns_ == 0) turn_ended();
  turn_.unlock();
}

std::uint64_t TraceRecorder::started() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(frozen_.freeze()).count());
}

void TraceRecorder::collected(TraceOperation& operation) {
  if (finished_) return;
  writer_.write(operation);
  if (++operations_ % kOperationsBetweenFlushes == 0) writer_.flush();
}

void TraceRecorder::has_read(Gpa at, std::span<const std::byte> bytes) {
  TraceOperation& operation = current();
  known_->learn(at, bytes, [&operation](Gpa where, std::span<const std::byte> word) {
    // The read is counted already.
    TraceSeen seen{.read = operation.reads - 1,
                   .at = where,
                   .size = static_cast<std::uint8_t>(word.size())};
    std::copy(word.begin(), word.end(), seen.bytes.begin());
    operation.seen.push_back(seen);
  });
}

void TraceRecorder::has_written(Gpa at, std::span<const std::byte> bytes) {
  // Playing it back writes the same.
  known_->learn(at, bytes, [](Gpa, std::span<const std::byte>) {});
}

void TraceRecorder::flush() {
  const std::lock_guard lock(turn_);
  if (!finished_) writer_.flush();
}

std::uint64_t TraceRecorder::operations() const {
  const std::lock_guard lock(turn_);
  return operations_;
}

Result<Done, TraceError> TraceRecorder::finish(const Stats& books) {
  const std::lock_guard lock(turn_);
  if (finished_) return Done{};
  finished_ = true;
  if (!cause_.empty()) return failure(path_, 0, cause_);
  return writer_.finish(books_of(books));
}

}  // namespace weir::replay
