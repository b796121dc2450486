// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/command_queue.h"

#include <array>
#include <chrono>
#include <span>

namespace weir::amdvi {
namespace {

namespace control = reg::control;
namespace status = reg::status;

using iotlb::Invalidation;
using iotlb::Scope;

[[nodiscard]] bool runs(const Shared& shared) WEIR_REQUIRES(shared.mutex) {
  constexpr std::uint64_t kNeeded = control::kEnable.kMask | control::kCommands.kMask;
  return (shared.registers.get(control::kRegister) & kNeeded) == kNeeded &&
         status::kCommandRun.is_set(shared.registers.get(status::kRegister));
}

// What INVALIDATE_IOMMU_PAGES covers. GN = 0 names addresses of the host tables: of guest tables
// over them, everything may have come through what changed (L7), the guest CR3 table too. GN = 1 of
// a directory reaches up to that table: what the PASID led to is read again.
[[nodiscard]] std::array<Invalidation, 2> pages_invalidations(const ForgetPages& pages) {
  Invalidation translations;
  translations.domain = pages.domain;
  translations.pasid = pages.pasid;
  // All of a domain is all that was made through it, directories of the guest among it.
  translations.leaf_only = !pages.tables_too && (pages.pasid || !pages.everything);
  translations.range = pages.range;
  if (pages.everything)
    translations.scope = pages.pasid ? Scope::kPasid : Scope::kDomain;
  else
    translations.scope = pages.pasid ? Scope::kRange : Scope::kStage2Range;
  return {translations,
          {.scope = pages.pasid ? Scope::kContextPasid : Scope::kContextDomain,
           .domain = pages.domain,
           .pasid = pages.pasid}};
}

[[nodiscard]] bool guest_tables_are_on(Shared& shared) WEIR_EXCLUDES(shared.mutex) {
  MutexLock lock(shared.mutex);
  return control::kGuestTables.is_set(shared.registers.get(control::kRegister));
}

// Control.InvTimeOut. None: a device may take as long as it likes.
[[nodiscard]] Clock::Duration limit_of(std::uint64_t timeout) {
  using std::chrono::milliseconds;
  constexpr std::array kLimits = {milliseconds(0),     milliseconds(1),    milliseconds(10),
                                  milliseconds(100),   milliseconds(1000), milliseconds(10000),
                                  milliseconds(100000)};
  constexpr Clock::Duration kNever = std::chrono::hours(24 * 365);
  return timeout == 0 || timeout >= kLimits.size() ? kNever : Clock::Duration(kLimits[timeout]);
}

}  // namespace

void CommandQueue::run(Shared& shared, std::uint64_t resets) {
  while (step(shared, resets)) {
  }
  outstanding_.cover(shared.host);
}

std::optional<CommandQueue::Position> CommandQueue::next(Shared& shared) {
  MutexLock lock(shared.mutex);
  if (!runs(shared)) return std::nullopt;
  const std::uint64_t base = shared.registers.get(reg::kCommandBase);
  const std::uint64_t size = ring_bytes(base, kCommandBytes);
  // A pointer beyond the buffer is undefined (3.4.15); here it wraps, so that the head meets it.
  const std::uint64_t head = shared.registers.get(reg::kCommandHead) % size;
  if (head == shared.registers.get(reg::kCommandTail) % size) return std::nullopt;
  return Position{.at = Gpa(reg::ring::kBase.in_place(base)) + head,
                  .head_after = (head + kCommandBytes) % size};
}

bool CommandQueue::step(Shared& shared, std::uint64_t resets) {
  const auto position = next(shared);
  if (!position) return false;
  CommandWords words{};
  if (!shared.host.read_memory(position->at, std::as_writable_bytes(std::span(words)))) {
    stop(shared, EventCode::kCommandError, position->at, resets);
    return false;
  }
  const auto command = decode_command(words, shared.capabilities.options, shared.host.segment());
  if (!command) {
    stop(shared, EventCode::kIllegalCommand, position->at, resets);
    return false;
  }
  if (!carry_out(shared, *command, *position, resets)) return false;
  MutexLock lock(shared.mutex);
  if (shared.resets != resets) return false;
  shared.registers.set(reg::kCommandHead, position->head_after);
  return true;
}

bool CommandQueue::carry_out(Shared& shared, const Command& command, const Position& position,
                             std::uint64_t resets) {
  if (const auto* wait = std::get_if<CompletionWait>(&command)) {
    if (!outstanding_.settle(shared.host, shared.parking, Place::kCommands)) return false;
    if (complete(shared, *wait, resets)) return true;
    if (wait->store_at) stop(shared, EventCode::kCommandError, *wait->store_at, resets);
    return false;
  }
  if (const auto* device = std::get_if<ForgetDevice>(&command)) {
    shared.faulted.forget(device->device.bdf);
    const std::array what = {
        Invalidation{.scope = Scope::kContextDevice, .requester = device->device},
        Invalidation{.scope = Scope::kInterruptDevice, .requester = device->device}};
    return invalidate(shared, what);
  }
  if (const auto* pages = std::get_if<ForgetPages>(&command)) {
    const std::array what = pages_invalidations(*pages);
    const bool contexts_too =
        pages->pasid ? pages->tables_too || pages->everything : guest_tables_are_on(shared);
    return invalidate(shared, std::span(what).first(contexts_too ? 2 : 1));
  }
  if (const auto* device = std::get_if<ForgetInterrupts>(&command)) {
    const std::array what = {
        Invalidation{.scope = Scope::kInterruptDevice, .requester = device->device}};
    return invalidate(shared, what);
  }
  if (std::holds_alternative<ForgetAll>(command)) {
    shared.faulted.forget_all();
    constexpr std::array kEverything = {Invalidation{.scope = Scope::kContextAll},
                                        Invalidation{.scope = Scope::kAll},
                                        Invalidation{.scope = Scope::kInterruptAll}};
    return invalidate(shared, kEverything);
  }
  if (const auto* pages = std::get_if<ForgetInDevice>(&command))
    return ask_device(shared, *pages, position.at);
  if (const auto* answer = std::get_if<AnswerRequest>(&command)) {
    // Nobody there to hear it is no error of the command.
    (void)shared.host.respond(answer->device,
                              {.pasid = answer->pasid,
                               .group = answer->tag,
                               .code = static_cast<PageResponseCode>(answer->status)});
    return true;
  }
  if (const auto* prefetch = std::get_if<Prefetch>(&command))
    return forget_first(shared, *prefetch);
  return true;
}

// A prefetch is a hint, but what it says to forget is forgotten. It names a device instead of a
// domain: what is wider is allowed.
bool CommandQueue::forget_first(Shared& shared, const Prefetch& prefetch) {
  if (!prefetch.forget) return true;
  constexpr std::array kEverything = {Invalidation{.scope = Scope::kAll}};
  return invalidate(shared, kEverything);
}

bool CommandQueue::ask_device(Shared& shared, const ForgetInDevice& what, Gpa command) {
  if (!outstanding_.make_room(shared.parking, Place::kCommands)) return false;
  std::uint64_t timeout = 0;
  {
    MutexLock lock(shared.mutex);
    timeout = control::kTimeout.get(shared.registers.get(control::kRegister));
  }
  const Ticket ticket = shared.host.invalidate_device_tlb({.scope = Scope::kDeviceTlb,
                                                           .pasid = what.pasid,
                                                           .requester = what.device,
                                                           .range = what.range},
                                                          limit_of(timeout));
  if (ticket.serial == 0) return true;
  {
    MutexLock lock(shared.mutex);
    shared.device_commands.add(ticket, command);
  }
  outstanding_.add(ticket);
  return true;
}

bool CommandQueue::invalidate(Shared& shared, std::span<const Invalidation> what) {
  if (!outstanding_.make_room(shared.parking, Place::kCommands)) return false;
  for (const Invalidation& one : what) outstanding_.drop(shared.host, one);
  return true;
}

bool CommandQueue::complete(Shared& shared, const CompletionWait& wait, std::uint64_t resets) {
  {
    // Software may have stopped the buffer while the wait was parked.
    MutexLock lock(shared.mutex);
    if (shared.resets != resets || !runs(shared)) return true;
  }
  if (wait.store_at &&
      !shared.host.write_memory(*wait.store_at, std::as_bytes(std::span(&wait.data, 1))))
    return false;
  if (wait.interrupt)
    shared.signal(status::kWaitInterrupt.kMask, control::kWaitInterrupt.kMask, reg::xt::kEvent);
  return true;
}

void CommandQueue::stop(Shared& shared, EventCode code, Gpa at, std::uint64_t resets) {
  {
    MutexLock lock(shared.mutex);
    if (shared.resets != resets) return;
    shared.registers.clear_bits(status::kRegister, status::kCommandRun.kMask);
  }
  (void)shared.log_entry(LogKind::kEvents, make_command_event(code, at));
  shared.host.log(
      LogLevel::kWarning, LogTopic::kGuestError,
      "AMD-Vi: the command buffer stopped at a command that is illegal or out of reach");
}

}  // namespace weir::amdvi
