// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/queue.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace weir::vtd {
namespace {

using descriptor::Error;

namespace fsts = reg::fsts;
namespace global = reg::global;

[[nodiscard]] std::optional<Msi> stop_with(Shared& shared, Error error)
    WEIR_REQUIRES(shared.mutex) {
  const std::uint64_t record = shared.registers.get(reg::iqer::kRegister);
  shared.registers.set(reg::iqer::kRegister,
                       reg::iqer::kInfo.with(record, static_cast<std::uint64_t>(error)));
  return set_fault_status(shared.registers, fsts::kQueueError.kMask);
}

void stop(Shared& shared, Error error, std::uint64_t resets) WEIR_EXCLUDES(shared.mutex) {
  Outbox outbox;
  {
    MutexLock lock(shared.mutex);
    if (shared.resets == resets) outbox.add(stop_with(shared, error));
  }
  outbox.send(shared.host);
  shared.host.log(LogLevel::kWarning, LogTopic::kGuestError,
                  "VT-d: the invalidation queue stopped at a descriptor (IQE), error information " +
                      std::to_string(static_cast<unsigned>(error)));
}

[[nodiscard]] bool stopped(const Shared& shared) WEIR_REQUIRES(shared.mutex) {
  return (shared.registers.get(fsts::kRegister) &
          (fsts::kQueueError.kMask | fsts::kTimeoutError.kMask)) != 0;
}
[[nodiscard]] bool has_wide_descriptors(const Options& options) {
  return options.scalable || options.abort_dma;
}
[[nodiscard]] bool enabled(const Shared& shared) WEIR_REQUIRES(shared.mutex) {
  return global::kQueue.is_set(shared.registers.get(global::kStatus));
}

}  // namespace

std::optional<Msi> accept_tail(Shared& shared) {
  RegisterFile& registers = shared.registers;
  const std::uint64_t tail = registers.get(reg::iqt::kRegister);
  const bool wide = reg::iqa::kWide.is_set(registers.get(reg::iqa::kRegister));
  if (!enabled(shared) || !wide || !reg::iqt::kWideMisaligned.is_set(tail)) return std::nullopt;
  // The bit counts as zero (10.4.22).
  registers.set(reg::iqt::kRegister, reg::iqt::kWideMisaligned.with(tail, 0));
  return stop_with(shared, Error::kTailMisaligned);
}

void Queue::take_up(Shared& shared, const Requests& requests) {
  if (!requests.queue) return;
  disabling_ = !*requests.queue;
  MutexLock lock(shared.mutex);
  if (disabling_ || enabled(shared)) return;
  const std::uint64_t address = shared.registers.get(reg::iqa::kRegister);
  base_ = Gpa(reg::iqa::kBase.in_place(address));
  wide_ = reg::iqa::kWide.is_set(address);
  bytes_ = kPageSize;
  for (std::uint64_t i = 0; i < reg::iqa::kSize.get(address); ++i) bytes_ *= 2;
  // A tail written beforehand stands: some drivers queue first and enable then.
  shared.registers.set(reg::iqh::kRegister, 0);
  shared.registers.set_bits(global::kStatus, global::kQueue.kMask);
}

// A device-TLB stayed silent: what was waited for is given up, and a wait that was pending is
// aborted, which is to say passed without being completed (6.5.2.10).
void Queue::abort_after_timeout(Shared& shared, std::uint64_t resets) {
  MutexLock lock(shared.mutex);
  if (shared.timeouts == timeouts_seen_) return;
  timeouts_seen_ = shared.timeouts;
  outstanding_.give_up();
  if (!std::exchange(waiting_, false) || shared.resets != resets) return;
  const std::uint64_t at = shared.registers.get(reg::iqh::kRegister);
  shared.registers.set(reg::iqh::kRegister, (at + descriptor_bytes()) % bytes_);
}

void Queue::run(Shared& shared, std::uint64_t resets) {
  abort_after_timeout(shared, resets);
  while (step(shared, resets)) {
  }
  outstanding_.cover(shared.host);
  if (disabling_) finish_disabling(shared, resets);
}

// The head, if there is a descriptor to be fetched.
std::optional<std::uint64_t> Queue::next_head(Shared& shared) {
  Outbox outbox;
  std::optional<std::uint64_t> head;
  {
    MutexLock lock(shared.mutex);
    if (!enabled(shared) || stopped(shared)) return std::nullopt;
    const std::uint64_t at = shared.registers.get(reg::iqh::kRegister);
    const std::uint64_t tail = shared.registers.get(reg::iqt::kRegister);
    if (at == tail) return std::nullopt;
    if (tail >= bytes_)
      outbox.add(stop_with(shared, Error::kTailOutside));
    else if (wide_ && !has_wide_descriptors(shared.capabilities.options))
      // 256-bit descriptors came with scalable mode (10.4.23).
      outbox.add(stop_with(shared, Error::kWidth));
    else
      head = at;
  }
  outbox.send(shared.host);
  return head;
}

bool Queue::step(Shared& shared, std::uint64_t resets) {
  const auto head = next_head(shared);
  if (!head) return false;
  descriptor::Words words;
  static_assert(sizeof words == descriptor::kWideBytes);
  const auto width = wide_ ? descriptor::Width::k256 : descriptor::Width::k128;
  const std::uint64_t size = descriptor_bytes();
  const auto bytes = std::as_writable_bytes(std::span(&words, 1)).first(size);
  if (!shared.host.read_memory(base_ + *head, bytes)) {
    stop(shared, Error::kFetch, resets);
    return false;
  }
  const auto command =
      descriptor::decode(words, width, shared.capabilities.options, shared.host.segment());
  if (!command) {
    stop(shared, command.error(), resets);
    return false;
  }
  if (!carry_out(shared, *command, resets)) return false;
  MutexLock lock(shared.mutex);
  if (shared.resets != resets) return false;
  shared.registers.set(reg::iqh::kRegister, (*head + size) % bytes_);
  return true;
}

bool Queue::carry_out(Shared& shared, const descriptor::Command& command, std::uint64_t resets) {
  if (const auto* invalidation = std::get_if<iotlb::Invalidation>(&command)) {
    if (!outstanding_.make_room(shared.parking, Place::kQueue)) return false;
    // DW and DR are not looked at: every completion drains (VER_REG, L1).
    if (invalidation->is_interrupt_scope())
      shared.interrupt_entries.drop(invalidation->first_interrupt, invalidation->last_interrupt);
    if (invalidation->scope == iotlb::Scope::kDeviceTlb) {
      outstanding_.add(shared.host.invalidate_device_tlb(*invalidation));
    } else {
      outstanding_.drop(shared.host, *invalidation);
    }
    return true;
  }
  if (const auto* wait = std::get_if<descriptor::Wait>(&command)) {
    waiting_ = !outstanding_.settle(shared.host, shared.parking, Place::kQueue);
    if (waiting_) return false;
    complete(shared, *wait, resets);
  }
  if (const auto* answer = std::get_if<descriptor::Respond>(&command))
    (void)shared.host.respond(answer->function, answer->response);
  return true;
}

void Queue::complete(Shared& shared, const descriptor::Wait& wait, std::uint64_t resets) {
  // A status address without memory behind it is a posted write to nowhere: lost, and no queue
  // error, since IQERCD_REG knows none for it.
  if (wait.status_at)
    (void)shared.host.write_memory(*wait.status_at, std::as_bytes(std::span(&wait.status, 1)));
  if (!wait.interrupt) return;
  Outbox outbox;
  {
    MutexLock lock(shared.mutex);
    RegisterFile& registers = shared.registers;
    // IWC still set from an earlier wait: no new interrupt condition (10.4.24).
    const bool fresh = !reg::ics::kWaitComplete.is_set(registers.get(reg::ics::kRegister));
    if (shared.resets == resets && fresh) {
      registers.set_bits(reg::ics::kRegister, reg::ics::kWaitComplete.kMask);
      outbox.add(signal(registers, kCompletionEvent));
    }
  }
  outbox.send(shared.host);
}

// QIES goes once the queue is empty, or stopped by an error, and everything it started has ended.
void Queue::finish_disabling(Shared& shared, std::uint64_t resets) {
  {
    MutexLock lock(shared.mutex);
    const bool empty =
        shared.registers.get(reg::iqh::kRegister) == shared.registers.get(reg::iqt::kRegister);
    if (!empty && !stopped(shared)) return;
  }
  if (!outstanding_.settle(shared.host, shared.parking, Place::kQueue)) return;
  disabling_ = false;
  MutexLock lock(shared.mutex);
  if (shared.resets != resets) return;
  shared.registers.clear_bits(global::kStatus, global::kQueue.kMask);
  shared.registers.set(reg::iqh::kRegister, 0);  // IQH reads 0 while QIES is 0 (10.4.21)
}

}  // namespace weir::vtd
