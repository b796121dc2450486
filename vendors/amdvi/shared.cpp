// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/shared.h"

namespace weir::amdvi {

bool SeenDevices::first(std::uint16_t device) {
  const std::uint64_t bit = std::uint64_t{1} << device % kBits;
  // Relaxed: the bit orders nothing; exactly one caller sees it clear.
  return (words_[device / kBits].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void SeenDevices::forget(std::uint16_t device) {
  // Relaxed: as above.
  words_[device / kBits].fetch_and(~(std::uint64_t{1} << device % kBits),
                                   std::memory_order_relaxed);
}

void SeenDevices::forget_all() {
  // Relaxed: as above.
  for (auto& word : words_) word.store(0, std::memory_order_relaxed);
}

std::optional<Gpa> DeviceCommands::take(Ticket ticket) {
  for (const One& one : open_)
    if (one.serial == ticket.serial) return one.command;
  return std::nullopt;
}

RingLog& Shared::log_of(LogKind kind) {
  switch (kind) {
    case LogKind::kEvents:
      return events;
    case LogKind::kRequests:
      return requests_log;
    case LogKind::kGuest:
      return guest_log;
  }
  return events;
}

bool Shared::log_entry(LogKind kind, const RingLog::Entry& entry) {
  Outbox outbox;
  bool writer = false;
  bool taken = false;
  std::uint64_t entry_bytes = 0;
  {
    MutexLock lock(mutex);
    RingLog& log = log_of(kind);
    entry_bytes = log.shape().entry_bytes;
    const RingLog::Added added = log.add(registers, entry);
    taken = added.taken;
    if (added.message_due) outbox.add(message_for(log.shape().own_message));
    writer = log.begin_writing();
  }
  outbox.send(host);
  while (writer) {
    std::optional<RingLog::Slot> slot;
    {
      MutexLock lock(mutex);
      slot = log_of(kind).next();
    }
    if (!slot) break;
    // In memory first, then the tail, then the interrupt.
    const auto bytes = std::as_bytes(std::span(slot->entry)).first(entry_bytes);
    const bool written = host.write_memory(slot->at, bytes).ok();
    Outbox told;
    {
      MutexLock lock(mutex);
      RingLog& log = log_of(kind);
      if (log.publish(registers, *slot, written)) told.add(message_for(log.shape().own_message));
    }
    told.send(host);
    if (!written)
      host.log(LogLevel::kWarning, LogTopic::kGuestError,
               "AMD-Vi: a log lies where no memory is, and was stopped");
  }
  return taken;
}

void Shared::signal(std::uint64_t status_bit, std::uint64_t interrupt_enable,
                    const reg::Register& own) {
  Outbox outbox;
  {
    MutexLock lock(mutex);
    if (set_status(registers, status_bit, interrupt_enable)) outbox.add(message_for(own));
  }
  outbox.send(host);
}

}  // namespace weir::amdvi
