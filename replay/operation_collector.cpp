// SPDX-License-Identifier: Apache-2.0
#include "replay/operation_collector.h"

#include <algorithm>
#include <utility>

namespace weir::replay {
namespace {

[[nodiscard]] TraceCall call_of(const RecordedCall& call) {
  TraceCall made{.what = call.what,
                 .unit = call.unit,
                 .requester = call.requester,
                 .pasid = call.pasid,
                 .words = call.words,
                 .data = {}};
  // A part of a transition would be another one.
  if (call.what == RecordedCall::What::kTransition) {
    constexpr std::string_view kTooLong = "(longer than a recording can say)";
    const auto line = call.data.size() <= trace_limits::kTransitionBytes
                          ? call.data
                          : std::as_bytes(std::span(kTooLong));
    made.data.assign(line.begin(), line.end());
    return made;
  }
  // More than that is said in the operands, and no use to anybody.
  const auto data =
      call.data.first(std::min<std::size_t>(call.data.size(), trace_limits::kCallBytes));
  made.data.assign(data.begin(), data.end());
  return made;
}

// A DMA write into the interrupt range is one operation with what becomes of the message.
[[nodiscard]] bool is_delivered_later(const TracePiece& piece) {
  return piece.outcome == Outcome::kInterrupt && piece.form == PieceForm::kWrite;
}

}  // namespace

void OperationCollector::start() {
  give_out();
  current_.time_ns = started();
  current_.reads = 0;
  current_.written = 0;
  current_.seen.clear();
  current_.events.clear();
}

void OperationCollector::give_out() {
  if (!std::exchange(held_back_, false)) return;
  collected(current_);
}

void OperationCollector::turn_ended() {
  deaf_ = false;
  give_out();
}

void OperationCollector::begin(const RecordedCall& call) {
  if (depth_++ != 0) {
    inner_.push_back(call_of(call));
    return;
  }
  start();
  current_.what = call_of(call);
}

void OperationCollector::end(const RecordedAnswer& answer) {
  if (--depth_ != 0) {
    inner_.back().answer = answer;
    note(event_of(inner_.back()));
    inner_.pop_back();
    return;
  }
  stopped();
  std::get<TraceCall>(current_.what).answer = answer;
  collected(current_);
}

void OperationCollector::before_piece(const Request& /*request*/, PieceForm /*form*/) {
  if (depth_++ == 0) start();
}

void OperationCollector::after_piece(const Request& request, PieceForm form,
                                     const Result<Translation, Fault>& result) {
  // Inside a call it is part of what the call does.
  if (--depth_ != 0) return;
  const TracePiece piece = piece_of(request, form, result);
  stopped();
  if (is_delivered_later(piece)) return;
  current_.what = piece;
  held_back_ = true;
}

void OperationCollector::begin_unheard() {
  start();
  ++depth_;
}

void OperationCollector::end_unheard() {
  --depth_;
  stopped();
  collected(current_);
}

void OperationCollector::on_refused(const Request& /*request*/, FaultReason /*reason*/) {
  if (depth_ == 0 && held_back_) std::get<TracePiece>(current_.what).refused = true;
}

void OperationCollector::note(TraceEvent event) {
  if (depth_ != 0 && current_.events.size() < trace_limits::kPerOperation)
    current_.events.push_back(event);
}

void OperationCollector::on_invalidation(UnitId unit, const iotlb::Invalidation& what,
                                         const iotlb::Removed& removed) {
  note(event_of(unit, what, removed));
}

void OperationCollector::on_unit_msi(UnitId unit, Msi msi) {
  note({.kind = TraceEvent::Kind::kUnitMsi,
        .count = 3,
        .numbers = {unit.value, msi.address, msi.data}});
}

void OperationCollector::on_device_msi(Requester requester, Msi msi) {
  note(
      {.kind = TraceEvent::Kind::kDeviceMsi,
       .count = 3,
       .numbers = {std::uint64_t{requester.segment} << 16 | requester.bdf, msi.address, msi.data}});
}

void OperationCollector::before_read(Gpa at) {
  if (deaf_ || depth_ == 0) return;
  about_to_read(at);
  ++current_.reads;
}

void OperationCollector::on_read(Gpa at, std::span<const std::byte> bytes) {
  if (!deaf_ && depth_ != 0) has_read(at, bytes);
}

void OperationCollector::on_write(Gpa at, std::span<const std::byte> bytes) {
  if (deaf_ || depth_ == 0) return;
  current_.written = checksum(current_.written, at, bytes);
  has_written(at, bytes);
}

}  // namespace weir::replay
