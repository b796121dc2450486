// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/control.h"

#include <array>

namespace weir::amdvi {
namespace {

namespace control = reg::control;
namespace status = reg::status;

// Control bits that contexts, translations and messages are made under.
constexpr std::uint64_t kSettings = control::kEnable.kMask | control::kPageRequests.kMask |
                                    control::kGuestTables.kMask | control::kEnhancedRequests.kMask |
                                    control::kWideInterrupts.kMask | control::kGuestApicMode.kMask |
                                    control::kX2apic.kMask | control::kGcr3RootMode.kMask;
constexpr std::uint64_t kCommandEnable = control::kEnable.kMask | control::kCommands.kMask;

[[nodiscard]] bool is(const reg::Register* r, const reg::Register& other) {
  return r->offset == other.offset;
}
[[nodiscard]] bool is_base_of(const reg::Register* r, const LogShape& shape) {
  return is(r, shape.base);
}

[[nodiscard]] bool all(std::uint64_t word, std::uint64_t bits) { return (word & bits) == bits; }

// What belongs to the unit while a ring runs: writing it is undefined (3.4.1, 3.4.15), and ignored.
[[nodiscard]] bool belongs_to_unit(const Shared& shared, const reg::Register* r)
    WEIR_REQUIRES(shared.mutex) {
  const std::uint64_t now = shared.registers.get(control::kRegister);
  if (all(now, kCommandEnable) && (is(r, reg::kCommandBase) || is(r, reg::kCommandHead)))
    return true;
  for (const LogShape* shape : {&event_log_shape(), &request_log_shape(), &guest_log_shape()})
    if (all(now, shape->enable) && (is_base_of(r, *shape) || is(r, shape->tail))) return true;
  return false;
}

// One log's run bit follows its enable bits; a log begins where its tail register says.
void follow_enable(Shared& shared, RingLog& log, std::uint64_t before, std::uint64_t now)
    WEIR_REQUIRES(shared.mutex) {
  const LogShape& shape = log.shape();
  if (all(before, shape.enable) == all(now, shape.enable)) return;
  log.restart(shared.registers);
  if (all(now, shape.enable)) {
    shared.registers.set_bits(status::kRegister, shape.run);
  } else if (control::kEnable.is_set(now)) {
    // With IommuEn off as well, the run bits go when everything has ended (Settling).
    shared.registers.clear_bits(status::kRegister, shape.run);
  }
}

// An interrupt that software had switched off becomes due when it is switched on (its status bit is
// still set).
void tell_pending(Shared& shared, Outbox& outbox, std::uint64_t before, std::uint64_t now)
    WEIR_REQUIRES(shared.mutex) {
  struct Cause {
    std::uint64_t enable;
    std::uint64_t status_bits;
    const reg::Register& message;
  };
  const std::array causes = {
      Cause{control::kEventInterrupt.kMask,
            status::kEventInterrupt.kMask | status::kEventOverflow.kMask, reg::xt::kEvent},
      Cause{control::kWaitInterrupt.kMask, status::kWaitInterrupt.kMask, reg::xt::kEvent},
      Cause{control::kRequestInterrupt.kMask,
            status::kRequestInterrupt.kMask | status::kRequestOverflow.kMask, reg::xt::kRequest},
      Cause{control::kGuestInterrupt.kMask,
            status::kGuestInterrupt.kMask | status::kGuestOverflow.kMask, reg::xt::kGuest}};
  for (const Cause& cause : causes) {
    const bool turned_on = (now & ~before & cause.enable) != 0;
    if (turned_on && (shared.registers.get(status::kRegister) & cause.status_bits) != 0)
      outbox.add(shared.message_for(cause.message));
  }
}

[[nodiscard]] bool after_control(Shared& shared, Outbox& outbox, std::uint64_t before)
    WEIR_REQUIRES(shared.mutex) {
  const std::uint64_t now = shared.registers.get(control::kRegister);
  for (RingLog* log : {&shared.events, &shared.requests_log, &shared.guest_log})
    follow_enable(shared, *log, before, now);
  if (all(now, kCommandEnable) && !all(before, kCommandEnable))
    shared.registers.set_bits(status::kRegister, status::kCommandRun.kMask);
  else if (!control::kCommands.is_set(now))
    shared.registers.clear_bits(status::kRegister, status::kCommandRun.kMask);
  tell_pending(shared, outbox, before, now);
  if (((before ^ now) & kSettings) != 0) shared.requests.settings = true;
  if (((before ^ now) & control::kEnable.kMask) != 0)
    shared.requests.enable = control::kEnable.is_set(now);
  return before != now;
}

}  // namespace

void publish(Shared& shared) {
  // Release: what the guest wrote before it wrote the register is seen by who sees the register;
  // pairs with the acquire in Settings::of, which reads control first.
  const auto store = [&shared](std::atomic<std::uint64_t>& to, const reg::Register& r)
                         WEIR_REQUIRES(shared.mutex) {
                           to.store(shared.registers.get(r), std::memory_order_release);
                         };
  store(shared.live.device_table, reg::device_table::kRegister);
  store(shared.live.exclusion_base, reg::exclusion::kBase);
  store(shared.live.exclusion_limit, reg::exclusion::kLimit);
  store(shared.live.control, control::kRegister);
}

void restart_logs(Shared& shared) {
  for (RingLog* log : {&shared.events, &shared.requests_log, &shared.guest_log})
    log->restart(shared.registers);
}

bool accept_write(Shared& shared, Outbox& outbox, std::uint64_t offset, unsigned size,
                  std::uint64_t value) {
  const reg::Register* r = shared.registers.find(offset);
  if (r == nullptr || belongs_to_unit(shared, r)) return false;
  const std::uint64_t before = shared.registers.get(*r);
  shared.registers.write(offset, size, value);
  if (is(r, control::kRegister)) {
    const bool work = after_control(shared, outbox, before);
    publish(shared);
    return work;
  }
  if (is(r, reg::kCommandBase)) {
    shared.registers.set(reg::kCommandHead, 0);
    shared.registers.set(reg::kCommandTail, 0);
    return false;
  }
  for (const LogShape* shape : {&event_log_shape(), &request_log_shape(), &guest_log_shape()}) {
    if (!is_base_of(r, *shape)) continue;
    shared.registers.set(shape->head, 0);
    shared.registers.set(shape->tail, 0);
    return false;
  }
  if (is(r, reg::kCommandTail)) return true;
  if (is(r, reg::device_table::kRegister) || is(r, reg::exclusion::kBase) ||
      is(r, reg::exclusion::kLimit)) {
    publish(shared);
    shared.requests.settings = true;
    return true;
  }
  return false;
}

void Settling::take_up(Shared& shared, const Requests& requests) {
  if (requests.enable) {
    const bool on = *requests.enable;
    shared.host.set_mode(on ? UnitMode::kTranslating : UnitMode::kOff);
    shared.host.set_interrupt_mode(on ? InterruptMode::kRemapping : InterruptMode::kOff);
    turning_off_.reset();
  }
  if (requests.settings) {
    // What was read under the old settings is forgotten, its rights too; nobody waits for it.
    constexpr std::array kEverything = {iotlb::Invalidation{.scope = iotlb::Scope::kContextAll},
                                        iotlb::Invalidation{.scope = iotlb::Scope::kAll},
                                        iotlb::Invalidation{.scope = iotlb::Scope::kInterruptAll}};
    (void)shared.host.invalidate_all(kEverything);
  }
  if (requests.enable && !*requests.enable) turning_off_ = shared.host.drain();
}

void Settling::finish(Shared& shared, std::uint64_t resets) {
  if (!turning_off_ || !shared.parking.await(Place::kEnable, *turning_off_)) return;
  turning_off_.reset();
  MutexLock lock(shared.mutex);
  if (shared.resets != resets || control::kEnable.is_set(shared.registers.get(control::kRegister)))
    return;
  shared.registers.clear_bits(status::kRegister, status::kRuns);
}

}  // namespace weir::amdvi
