// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/unit.h"

#include <utility>

#include "vendors/common/register_access.h"
#include "vendors/vtd/commands.h"
#include "vendors/vtd/context.h"
#include "vendors/vtd/context_bits.h"
#include "vendors/vtd/interrupt_remapping.h"
#include "vendors/vtd/options_as_numbers.h"
#include "vendors/vtd/page_requests.h"
#include "vendors/vtd/queue.h"
#include "vendors/vtd/reading.h"
#include "vendors/vtd/shared.h"
#include "vendors/vtd/translate.h"
#include "vendors/vtd/walk_faults.h"

namespace weir::vtd {

struct Unit::State {
  State(UnitHost& host, const Options& options) : shared(host, options) {}

  [[nodiscard]] InterruptTable interrupt_table() {
    // Acquire: pairs with the release in Commands::take_up_interrupts.
    return {.state = shared.interrupts.load(std::memory_order_acquire),
            .capabilities = shared.capabilities,
            .entries = shared.interrupt_entries};
  }
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);
  // Becomes the runner, or leaves a note for whoever is.
  void run() {
    shared.turn.run([this] { pass(); });
  }
  void pass();
  [[nodiscard]] Result<pagetables::Leaf<Gpa>, Fault> identity(const iotlb::Context& context,
                                                              const Request& piece) const;

  Shared shared;
  // The runner's.
  Commands commands;
  Queue queue;
  std::uint64_t resets_seen = 0;
};

namespace {

// What a write has set off, under the lock. True: there is something for the runner.
[[nodiscard]] bool react(Shared& shared, Outbox& outbox, std::uint64_t offset, unsigned size,
                         std::uint64_t value) WEIR_REQUIRES(shared.mutex) {
  const auto touched = [offset, size, value](const reg::Register& r) {
    return RegisterFile::touched(r, offset, size, value);
  };
  RegisterFile& registers = shared.registers;
  bool work = false;
  if (const auto command = touched(reg::global::kCommand)) {
    accept_global_command(shared, command->value);
    work = true;
  }
  if (const auto command = touched(reg::ccmd::kRegister);
      command && reg::ccmd::kInvalidate.is_set(command->value)) {
    shared.requests.context = true;
    work = true;
  }
  if (const auto command = touched(reg::iotlb::kRegister);
      command && reg::iotlb::kInvalidate.is_set(command->value)) {
    shared.requests.iotlb = true;
    work = true;
  }
  if (touched(reg::pmen::kRegister) && shared.capabilities.options.protected_memory) {
    const bool wanted = reg::pmen::kEnable.is_set(registers.get(reg::pmen::kRegister));
    if (wanted != shared.protection_wanted) {
      shared.protection_wanted = wanted;
      shared.requests.protection = wanted;
      work = true;
    }
  }
  if (touched(reg::iqt::kRegister)) {
    outbox.add(accept_tail(shared));
    work = true;
  }
  if (touched(reg::fsts::kRegister) || registers.touches_records(offset)) {
    shared.faults.after_service(registers);
    work = true;  // the queue goes on when IQE is cleared
    std::uint64_t record = registers.get(reg::iqer::kRegister);
    const std::uint64_t status = registers.get(reg::fsts::kRegister);
    if (!reg::fsts::kQueueError.is_set(status)) record = reg::iqer::kInfo.with(record, 0);
    if (!reg::fsts::kTimeoutError.is_set(status))
      record = reg::iqer::kTimeoutSource.with(record, 0);
    registers.set(reg::iqer::kRegister, record);
  }
  if (touched(reg::ics::kRegister) &&
      !reg::ics::kWaitComplete.is_set(registers.get(reg::ics::kRegister)))
    lapse(registers, kCompletionEvent);
  if (touched(reg::pqa::kRegister) || touched(reg::pqt::kRegister)) restart_page_queue(shared);
  if (touched(reg::prs::kRegister) && registers.get(reg::prs::kRegister) == 0)
    lapse(registers, kPageRequestEvent);
  if (touched(reg::kPectl)) outbox.add(after_unmasking(registers, kPageRequestEvent));
  if (touched(reg::kFectl)) outbox.add(after_unmasking(registers, kFaultEvent));
  if (touched(reg::kIectl)) outbox.add(after_unmasking(registers, kCompletionEvent));
  return work;
}

}  // namespace

void Unit::State::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  Outbox outbox;
  bool work = false;
  {
    MutexLock lock(shared.mutex);
    if (command_pending(shared, offset)) return;
    shared.registers.write(offset, size, value);
    work = react(shared, outbox, offset, size, value);
  }
  outbox.send(shared.host);
  if (work) run();
}

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
    commands.forget();
    queue.forget();
    shared.interrupt_entries.drop(0, ~std::uint32_t{0});
    // Relaxed: remapping is off; SIRTP publishes the next table.
    shared.interrupts.store(0, std::memory_order_relaxed);
  }
  commands.take_up(shared, requests);
  queue.take_up(shared, requests);
  commands.finish(shared, resets);
  queue.run(shared, resets);
}

// Identity under protected memory: page by page, in the size that regions are aligned to.
Result<pagetables::Leaf<Gpa>, Fault> Unit::State::identity(const iotlb::Context& context,
                                                           const Request& piece) const {
  constexpr unsigned kRegionLg2 = reg::protected_region::kInside.kHigh + 1;
  if (context.input_bits < 64 && piece.iova.page_base(context.input_bits) != Iova(0))
    return Failure{make_fault(piece, reach_code(context), FaultReason::kBeyondInputWidth,
                              context.silence_faults)};
  const Gpa page(piece.iova.page_base(kRegionLg2).value());
  if (shared.protection.covers(page.value(), page.value())) return Failure{protected_fault(piece)};
  return pagetables::Leaf<Gpa>{
      .page = page, .page_lg2 = kRegionLg2, .permissions = Permissions::all()};
}

Unit::Unit(UnitHost& host, const Options& options)
    : state_(std::make_unique<State>(host, options)) {
  if (Recorder* recorder = host.recorder())
    recorder->on_unit(host.id(), host.register_base(), "vtd", numbers_of(options));
}

Unit::~Unit() = default;

std::uint64_t Unit::read_register(std::uint64_t offset, unsigned size) {
  if (!is_register_access(offset, size, kRegisterBytes)) return 0;
  MutexLock lock(state_->shared.mutex);
  return state_->shared.registers.read(offset, size);
}

void Unit::write_register(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (!is_register_access(offset, size, kRegisterBytes)) return;
  const RecordedScope scope(state_->shared.host.recorder(), {.what = RecordedCall::What::kFrontDoor,
                                                             .unit = state_->shared.host.id(),
                                                             .words = {0, offset, size, value}});
  state_->write(offset, size, value);
}

Result<iotlb::Context, Fault> Unit::read_context(const Request& request,
                                                 const pagetables::PhysicalMemory& memory) {
  pagetables::WordTrail nobody_asks;
  return trace_context(request, memory, nobody_asks);
}

Result<iotlb::Context, Fault> Unit::trace_context(const Request& request,
                                                  const pagetables::PhysicalMemory& memory,
                                                  pagetables::WordTrail& trail) {
  // Acquire: pairs with the release in Commands::take_up; the tables are read through it.
  const std::uint64_t root = state_->shared.root.load(std::memory_order_acquire);
  const Capabilities& capabilities = state_->shared.capabilities;
  const bool watched = state_->shared.protection.is_on();
  // Acquire: pairs with the release in Commands::take_up_modes.
  if (watched && !state_->shared.translating.load(std::memory_order_acquire)) {
    iotlb::Context identity;
    identity.input_bits = 64;
    trail.whole = false;
    ProtectedMemory::watch(identity);
    return identity;
  }
  auto context = read_any_context(request, memory, capabilities, root, trail);
  // Under CM the guest announces mappings as well (6.1), so that others can follow its tables; the
  // core keeps absent pages of second-stage tables only if it is to keep absent contexts too.
  if (context && capabilities.options.caching_mode)
    context->coherence = capabilities.options.strict_absent_contexts ? iotlb::Coherence::kCaching
                                                                     : iotlb::Coherence::kAnnounced;
  if (context && watched && context->kind == iotlb::ContextKind::kPassThrough)
    ProtectedMemory::watch(*context);
  if (!context && capabilities.options.strict_absent_contexts)
    if (const auto absent = absent_context(context.error())) return *absent;
  return context;
}

std::optional<Fault> Unit::check(const iotlb::Context& context, const Request& request) {
  if (request.address_type == AddressType::kTranslated && state_->shared.protection.blocks(request))
    return protected_fault(request);
  return check_request(context, request, state_->shared.capabilities);
}

Fault Unit::deny(const iotlb::Context& context, const Request& request, Denial denial) {
  return deny_request(context, request, denial);
}

Result<pagetables::Leaf<Gpa>, Fault> Unit::walk(const iotlb::Context& context, const Request& piece,
                                                const WalkScope& scope) {
  if (context_bits::kIdentity.is_set(context.vendor_bits)) return state_->identity(context, piece);
  return walk_context(context, piece, scope, state_->shared.capabilities);
}

Result<RemappedInterrupt, Fault> Unit::remap_interrupt(const Request& request, Msi msi,
                                                       const pagetables::PhysicalMemory& memory) {
  return remap(state_->interrupt_table(), request, msi, memory);
}

Result<std::optional<Msi>, Fault> Unit::post_interrupt(const Request& request,
                                                       const RemappedInterrupt& posted,
                                                       const pagetables::PhysicalMemory& memory) {
  return post(state_->interrupt_table(), request, posted, memory);
}

bool Unit::announces_mappings() const { return state_->shared.capabilities.options.caching_mode; }

std::optional<PageResponseCode> Unit::judge_page_request(const PageRequest& request,
                                                         const pagetables::PhysicalMemory& memory) {
  Shared& shared = state_->shared;
  if (!shared.capabilities.options.page_requests) return PageResponseCode::kInvalid;
  // Acquire: as in read_context.
  const std::uint64_t root = shared.root.load(std::memory_order_acquire);
  if (const auto fault = check_page_request(request, memory, shared.capabilities, root)) {
    record(*fault);
    return PageResponseCode::kInvalid;
  }
  return queue_page_request(shared, request);
}

void Unit::device_tlb_timed_out(Requester function, Ticket /*ticket*/) {
  Shared& shared = state_->shared;
  Outbox outbox;
  {
    MutexLock lock(shared.mutex);
    RegisterFile& registers = shared.registers;
    // The first source-id stays while the error is unserviced (10.4.29).
    if (!reg::fsts::kTimeoutError.is_set(registers.get(reg::fsts::kRegister)))
      registers.set(reg::iqer::kRegister, reg::iqer::kTimeoutSource.with(
                                              registers.get(reg::iqer::kRegister), function.bdf));
    outbox.add(set_fault_status(registers, reg::fsts::kTimeoutError.kMask));
    ++shared.timeouts;
  }
  outbox.send(shared.host);
  state_->run();
}

void Unit::record(const Fault& fault) {
  if (!fault.recorded || fault.code == 0) return;
  Shared& shared = state_->shared;
  Outbox outbox;
  {
    MutexLock lock(shared.mutex);
    outbox.add(shared.faults.record(shared.registers, shared.capabilities.options, fault));
  }
  outbox.send(shared.host);
}

void Unit::poll() {
  if (state_->shared.parking.can_go_on()) state_->run();
}

void Unit::reset() {
  Shared& shared = state_->shared;
  {
    MutexLock lock(shared.mutex);
    shared.registers = RegisterFile(shared.capabilities.options);
    shared.faults = FaultLog{};
    restart_page_queue(shared);
    // Through the runner, so that a pass under way cannot turn translation on again afterwards.
    shared.requests = Requests{};
    shared.requests.translation = false;
    shared.translation_wanted = false;
    shared.queue_wanted = false;
    shared.protection_wanted = false;
    shared.requests.protection = false;
    shared.requests.remapping = false;
    shared.requests.compatibility = false;
    shared.remapping_wanted = false;
    shared.compatibility_wanted = false;
    ++shared.resets;
    // Relaxed: translation is off; SRTP publishes the next root.
    shared.root.store(0, std::memory_order_relaxed);
  }
  state_->run();
}

}  // namespace weir::vtd
