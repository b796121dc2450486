// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/ring_log.h"

namespace weir::amdvi {
namespace {

namespace control = reg::control;
namespace status = reg::status;

inline constexpr std::uint64_t kLongEntry = 16;
inline constexpr std::uint64_t kShortEntry = 8;
inline constexpr unsigned kMostLength = 15;

constexpr LogShape kEvents{.base = reg::kEventBase,
                           .head = reg::kEventHead,
                           .tail = reg::kEventTail,
                           .entry_bytes = kLongEntry,
                           .enable = control::kEnable.kMask | control::kEventLog.kMask,
                           .interrupt_enable = control::kEventInterrupt.kMask,
                           .run = status::kEventRun.kMask,
                           .overflow = status::kEventOverflow.kMask,
                           .interrupt = status::kEventInterrupt.kMask,
                           .own_message = reg::xt::kEvent};
constexpr LogShape kRequests{
    .base = reg::kRequestBase,
    .head = reg::kRequestHead,
    .tail = reg::kRequestTail,
    .entry_bytes = kLongEntry,
    .enable = control::kEnable.kMask | control::kRequestLog.kMask | control::kPageRequests.kMask,
    .interrupt_enable = control::kRequestInterrupt.kMask,
    .run = status::kRequestRun.kMask,
    .overflow = status::kRequestOverflow.kMask,
    .interrupt = status::kRequestInterrupt.kMask,
    .own_message = reg::xt::kRequest};
constexpr LogShape kGuest{.base = reg::kGuestLogBase,
                          .head = reg::kGuestLogHead,
                          .tail = reg::kGuestLogTail,
                          .entry_bytes = kShortEntry,
                          .enable = control::kEnable.kMask | control::kGuestLog.kMask,
                          .interrupt_enable = control::kGuestInterrupt.kMask,
                          .run = status::kGuestRun.kMask,
                          .overflow = status::kGuestOverflow.kMask,
                          .interrupt = status::kGuestInterrupt.kMask,
                          .own_message = reg::xt::kGuest};

}  // namespace

const LogShape& event_log_shape() { return kEvents; }
const LogShape& request_log_shape() { return kRequests; }
const LogShape& guest_log_shape() { return kGuest; }

std::uint64_t ring_bytes(std::uint64_t base, std::uint64_t entry_bytes) {
  std::uint64_t length = reg::ring::kLength.get(base);
  // Lengths below 8 are reserved (3.4.1); they count as 8.
  if (length < reg::ring::kLeastLength) length = reg::ring::kLeastLength;
  static_assert(reg::ring::kLength.get(~std::uint64_t{0}) == kMostLength);
  std::uint64_t bytes = entry_bytes;
  for (std::uint64_t i = 0; i < length; ++i) bytes *= 2;
  return bytes;
}

bool set_status(RegisterFile& registers, std::uint64_t status_bit, std::uint64_t interrupt_enable) {
  const bool fresh = (registers.get(status::kRegister) & status_bit) == 0;
  registers.set_bits(status::kRegister, status_bit);
  return fresh && (registers.get(control::kRegister) & interrupt_enable) != 0;
}

RingLog::Added RingLog::add(RegisterFile& registers, const Entry& entry) {
  const std::uint64_t now = registers.get(status::kRegister);
  // 2.5.1: nothing is written while the overflow bit is set.
  if ((now & shape_->run) == 0 || (now & shape_->overflow) != 0) return {};
  const std::uint64_t base = registers.get(shape_->base);
  const std::uint64_t size = ring_bytes(base, shape_->entry_bytes);
  const std::uint64_t at = reserved_ % size;
  const std::uint64_t after = (at + shape_->entry_bytes) % size;
  if (after == registers.get(shape_->head) % size) {
    registers.clear_bits(status::kRegister, shape_->run);
    return {.message_due = set_status(registers, shape_->overflow, shape_->interrupt_enable)};
  }
  reserved_ = after;
  pending_.push_back({.at = Gpa(reg::ring::kBase.in_place(base)) + at,
                      .entry = entry,
                      .tail_after = after,
                      .generation = generation_});
  return {.taken = true};
}

void RingLog::restart(const RegisterFile& registers) {
  pending_.clear();
  ++generation_;
  reserved_ = registers.get(shape_->tail);
}

bool RingLog::begin_writing() {
  if (writing_ || pending_.empty()) return false;
  writing_ = true;
  return true;
}

std::optional<RingLog::Slot> RingLog::next() {
  if (pending_.empty()) {
    writing_ = false;
    return std::nullopt;
  }
  const Slot slot = pending_.front();
  pending_.pop_front();
  return slot;
}

bool RingLog::publish(RegisterFile& registers, const Slot& slot, bool written) {
  if (slot.generation != generation_) return false;
  if (!written) {
    // A log without memory behind it: nothing can be said of it but that it does not run.
    registers.clear_bits(status::kRegister, shape_->run);
    restart(registers);
    return false;
  }
  registers.set(shape_->tail, slot.tail_after);
  return set_status(registers, shape_->interrupt, shape_->interrupt_enable);
}

}  // namespace weir::amdvi
