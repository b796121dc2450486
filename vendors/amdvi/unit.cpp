// SPDX-License-Identifier: Apache-2.0
#include "vendors/amdvi/unit.h"

#include <utility>

#include "vendors/amdvi/command_queue.h"
#include "vendors/amdvi/control.h"
#include "vendors/amdvi/device_table.h"
#include "vendors/amdvi/guest_apic.h"
#include "vendors/amdvi/interrupts.h"
#include "vendors/amdvi/options_as_numbers.h"
#include "vendors/amdvi/page_requests.h"
#include "vendors/amdvi/shared.h"
#include "vendors/amdvi/translate.h"
#include "vendors/common/register_access.h"

namespace weir::amdvi {

struct Unit::State {
  State(UnitHost& host, const Options& options) : shared(host, options) {}

  // Becomes the runner, or leaves a note for whoever is.
  void run() {
    shared.turn.run([this] { pass(); });
  }
  void pass();

  Shared shared;
  // The runner's.
  Settling settling;
  CommandQueue commands;
  std::uint64_t resets_seen = 0;
};

void Unit::State::pass() {
  Requests requests;
  std::uint64_t resets = 0;
  {
    MutexLock lock(shared.mutex);
    requests = std::exchange(shared.requests, Requests{});
    resets = shared.resets;
  }
  if (std::exchange(resets_seen, resets) != resets) {
    shared.parking.leave_all();
    settling.forget();
    commands.forget();
  }
  settling.take_up(shared, requests);
  settling.finish(shared, resets);
  commands.run(shared, resets);
}

Unit::Unit(UnitHost& host, const Options& options)
    : state_(std::make_unique<State>(host, options)) {
  static_assert(kRegisterBytes == RegisterFile::kBytes);
  if (Recorder* recorder = host.recorder())
    recorder->on_unit(host.id(), host.register_base(), "amdvi", numbers_of(options));
}

Unit::~Unit() = default;

std::uint64_t Unit::read_register(std::uint64_t offset, unsigned size) {
  if (!is_register_access(offset, size, kRegisterBytes)) return 0;
  MutexLock lock(state_->shared.mutex);
  return state_->shared.registers.read(offset, size);
}

void Unit::write_register(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (!is_register_access(offset, size, kRegisterBytes)) return;
  Shared& shared = state_->shared;
  const RecordedScope scope(shared.host.recorder(), {.what = RecordedCall::What::kFrontDoor,
                                                     .unit = shared.host.id(),
                                                     .words = {0, offset, size, value}});
  Outbox outbox;
  bool work = false;
  {
    MutexLock lock(shared.mutex);
    work = accept_write(shared, outbox, offset, size, value);
  }
  outbox.send(shared.host);
  if (work) state_->run();
}

void Unit::set_msi(std::optional<Msi> msi) {
  const Msi known = msi.value_or(Msi{});
  const RecordedScope scope(state_->shared.host.recorder(),
                            {.what = RecordedCall::What::kFrontDoor,
                             .unit = state_->shared.host.id(),
                             .words = {1, msi.has_value(), known.address, known.data}});
  MutexLock lock(state_->shared.mutex);
  state_->shared.pci_msi = msi;
}

Result<iotlb::Context, Fault> Unit::read_context(const Request& request,
                                                 const pagetables::PhysicalMemory& memory) {
  return amdvi::read_context(request, memory, state_->shared.capabilities,
                             Settings::of(state_->shared.live));
}

std::optional<Fault> Unit::check(const iotlb::Context& context, const Request& request) {
  return check_request(context, request);
}

Result<pagetables::Leaf<Gpa>, Fault> Unit::walk(const iotlb::Context& context, const Request& piece,
                                                const WalkScope& scope) {
  return walk_tables(context, piece, scope, state_->shared.capabilities,
                     Settings::of(state_->shared.live));
}

Fault Unit::deny(const iotlb::Context& context, const Request& request, Denial denial) {
  return denied(context, request, weir::Unit::deny(context, request, denial).reason);
}

Result<RemappedInterrupt, Fault> Unit::remap_interrupt(const Request& request, Msi msi,
                                                       const pagetables::PhysicalMemory& memory) {
  return amdvi::remap_interrupt(request, msi, memory, state_->shared.capabilities,
                                Settings::of(state_->shared.live));
}

Result<std::optional<Msi>, Fault> Unit::post_interrupt(const Request& request,
                                                       const RemappedInterrupt& posted,
                                                       const pagetables::PhysicalMemory& memory) {
  return amdvi::post_interrupt(state_->shared, request, posted, memory);
}

std::optional<PageResponseCode> Unit::take_page_request(const PageRequest& request) {
  return amdvi::take_page_request(state_->shared, request);
}

// IOTLB_INV_TIMEOUT; the command counts as carried out.
void Unit::device_tlb_timed_out(Requester function, Ticket ticket) {
  Shared& shared = state_->shared;
  std::optional<Gpa> command;
  {
    MutexLock lock(shared.mutex);
    command = shared.device_commands.take(ticket);
  }
  if (command) (void)shared.log_entry(LogKind::kEvents, make_timeout_event(function, *command));
}

void Unit::record(const Fault& fault) {
  if (!fault.recorded || fault.code == 0) return;
  Shared& shared = state_->shared;
  if (fault_detail::kOnlyFirst.is_set(fault.vendor_detail) &&
      !shared.faulted.first(fault.request.requester.bdf))
    return;
  (void)shared.log_entry(LogKind::kEvents, make_event(fault));
}

bool Unit::announces_mappings() const { return state_->shared.capabilities.options.caching_mode; }

void Unit::poll() {
  if (state_->shared.parking.can_go_on()) state_->run();
}

void Unit::reset() {
  Shared& shared = state_->shared;
  {
    MutexLock lock(shared.mutex);
    shared.registers = RegisterFile(shared.capabilities.options);
    restart_logs(shared);
    shared.device_commands.forget();
    // Through the runner, so that a pass under way cannot turn translation on again afterwards.
    shared.requests = Requests{};
    shared.requests.enable = false;
    ++shared.resets;
    publish(shared);
  }
  shared.faulted.forget_all();
  state_->run();
}

}  // namespace weir::amdvi
