// SPDX-License-Identifier: Apache-2.0
//
// Puts what a machine's recorder hears together into operations: what was done, and everything that
// came of it, whatever was called from inside. What writes recordings and what plays them back are
// both one, so that both mean the same by an operation.
//
// Calls come inside turns, so from one thread at a time; who derives from it says what a turn is.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "iommu/dma_port.h"
#include "replay/binary_trace.h"

namespace weir::replay {

class OperationCollector : public Recorder {
 public:
  void begin(const RecordedCall& call) final;
  void end(const RecordedAnswer& answer) final;
  void before_piece(const Request& request, PieceForm form) final;
  void after_piece(const Request& request, PieceForm form,
                   const Result<Translation, Fault>& result) final;
  void on_refused(const Request& request, FaultReason reason) final;
  void on_invalidation(UnitId unit, const iotlb::Invalidation& what,
                       const iotlb::Removed& removed) final;
  void on_unit_msi(UnitId unit, Msi msi) final;
  void on_device_msi(Requester requester, Msi msi) final;
  void on_peek() final { deaf_ = true; }
  void before_read(Gpa at) final;
  void on_read(Gpa at, std::span<const std::byte> bytes) final;
  void on_write(Gpa at, std::span<const std::byte> bytes) final;

 protected:
  // The outermost turn ends: gives out what is held back.
  void turn_ended();
  // Around a request that whoever derives from this makes, instead of hearing of its pieces: what
  // comes of it is an operation without an account of what it was.
  void begin_unheard();
  void end_unheard();
  // Gives out what is held back: a piece, until it is known that its answer was of use.
  void give_out();
  [[nodiscard]] bool inside() const { return depth_ != 0; }
  [[nodiscard]] TraceOperation& current() { return current_; }

 private:
  // An operation begins: its time.
  [[nodiscard]] virtual std::uint64_t started() = 0;
  // It is over and complete.
  virtual void collected(TraceOperation& operation) = 0;
  // Nothing more will come of it for now.
  virtual void stopped() {}
  // Memory of the operation under way; its reads before this one are counted.
  virtual void about_to_read(Gpa at) = 0;
  virtual void has_read(Gpa at, std::span<const std::byte> bytes) = 0;
  virtual void has_written(Gpa at, std::span<const std::byte> bytes) = 0;

  void start();
  void note(TraceEvent event);

  int depth_ = 0;
  bool deaf_ = false;
  bool held_back_ = false;  // current_ is a piece that nobody has been given yet
  TraceOperation current_;
  std::vector<TraceCall> inner_;  // under way inside current_
};

}  // namespace weir::replay
