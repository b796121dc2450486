// SPDX-License-Identifier: Apache-2.0
#include "vendors/vtd/commands.h"

#include "base/seam.h"
#include "vendors/vtd/interrupt_remapping.h"
#include "vendors/vtd/invalidations.h"

namespace weir::vtd {
namespace {

namespace ccmd = reg::ccmd;
namespace global = reg::global;

// While queued invalidation is on, software must not use the invalidation registers and nothing
// says what then happens; here such a command does nothing, reports that (granularity 0) and ends.
[[nodiscard]] bool queue_is_on(const Shared& shared) WEIR_REQUIRES(shared.mutex) {
  return global::kQueue.is_set(shared.registers.get(global::kStatus));
}

}  // namespace

void accept_global_command(Shared& shared, std::uint64_t value) {
  // SFL, EAFL and WBF command what is not advertised: their status stays 0.
  if (global::kRootPointer.is_set(value)) {
    shared.registers.clear_bits(global::kStatus, global::kRootPointer.kMask);
    shared.requests.root = shared.registers.get(reg::rtaddr::kRegister);
  }
  if (const bool wanted = global::kTranslation.is_set(value); wanted != shared.translation_wanted) {
    shared.translation_wanted = wanted;
    shared.requests.translation = wanted;
  }
  if (const bool wanted = global::kQueue.is_set(value); wanted != shared.queue_wanted) {
    shared.queue_wanted = wanted;
    shared.requests.queue = wanted;
  }
  if (!shared.capabilities.options.interrupt_remapping) return;
  if (global::kInterruptTable.is_set(value)) {
    shared.registers.clear_bits(global::kStatus, global::kInterruptTable.kMask);
    shared.requests.interrupt_table = shared.registers.get(reg::irta::kRegister);
  }
  if (const bool wanted = global::kInterrupts.is_set(value); wanted != shared.remapping_wanted) {
    shared.remapping_wanted = wanted;
    shared.requests.remapping = wanted;
  }
  if (const bool wanted = global::kCompatibility.is_set(value);
      wanted != shared.compatibility_wanted) {
    shared.compatibility_wanted = wanted;
    shared.requests.compatibility = wanted;
  }
}

bool command_pending(const Shared& shared, std::uint64_t offset) {
  const RegisterFile& registers = shared.registers;
  const auto within = [offset](const reg::Register& r) {
    return offset >= r.offset && offset < r.offset + std::uint64_t{r.bits} / 8;
  };
  if (within(ccmd::kRegister)) return ccmd::kInvalidate.is_set(registers.get(ccmd::kRegister));
  if (within(reg::iotlb::kRegister) || within(reg::iva::kRegister))
    return reg::iotlb::kInvalidate.is_set(registers.get(reg::iotlb::kRegister));
  return false;
}

void Commands::take_up(Shared& shared, const Requests& requests) {
  if (requests.root) {
    // Release: the tables under the new root were written before SRTP was; pairs with the acquire
    // in Unit::read_context. Stored before the invalidations, so that what is read after them is
    // new.
    shared.root.store(*requests.root, std::memory_order_release);
    // CAP.ESRTPS: setting the root pointer invalidates contexts and translations globally (10.4.4).
    root_ = PendingRoot{.contexts = shared.host.invalidate({.scope = iotlb::Scope::kContextAll}),
                        .translations = shared.host.invalidate({.scope = iotlb::Scope::kAll})};
  }
  take_up_modes(shared, requests);
  take_up_interrupts(shared, requests);
  if (requests.context) context_ = start_context_command(shared);
  if (requests.iotlb) iotlb_ = start_iotlb_command(shared);
}

void Commands::take_up_modes(Shared& shared, const Requests& requests) {
  if (!requests.translation && !requests.protection) return;
  const bool watched = shared.protection.is_on() || requests.protection;
  // Release: pairs with the acquire in Unit::read_context.
  if (requests.translation)
    shared.translating.store(*requests.translation, std::memory_order_release);
  if (requests.protection) {
    MutexLock lock(shared.mutex);
    shared.protection.store(shared.registers, *requests.protection);
  }
  // Relaxed: the runner alone stores it.
  const bool translating = shared.translating.load(std::memory_order_relaxed);
  const bool asked = translating || shared.protection.is_on();
  shared.host.set_mode(asked ? UnitMode::kTranslating : UnitMode::kOff);
  if (watched) {
    // Contexts of identity become others; the drain below stands for what is in flight.
    (void)shared.host.invalidate({.scope = iotlb::Scope::kContextAll});
    (void)shared.host.invalidate(
        {.scope = iotlb::Scope::kDomain, .domain = ProtectedMemory::kIdentityDomain});
  }
  // In-flight requests drain before TES and PRS change (10.4.4, 10.4.16).
  const Ticket ticket = WEIR_BUG(kModeShownEarly) ? Ticket{} : shared.host.drain();
  if (requests.translation)
    translation_ =
        Pending{.ticket = ticket, .outcome = global::kTranslation.of(*requests.translation)};
  if (requests.protection)
    protection_ = Pending{.ticket = ticket, .outcome = reg::pmen::kStatus.of(*requests.protection)};
}

// What messages meet is stored before the invalidation, whose ticket stands for those that have met
// what was there before; CAP.ESIRTPS: a new table drops cached entries.
void Commands::take_up_interrupts(Shared& shared, const Requests& requests) {
  namespace state = interrupt_state;
  // Relaxed: the runner alone stores it.
  std::uint64_t meets = shared.interrupts.load(std::memory_order_relaxed);
  if (requests.interrupt_table)
    meets = *requests.interrupt_table | state::kCompatibility.in_place(meets);
  if (requests.compatibility)
    meets = state::kCompatibility.with(meets, *requests.compatibility ? 1 : 0);
  if (requests.interrupt_table || requests.compatibility) {
    // Release: the table was written before SIRTP was; pairs with the acquire in
    // Unit::remap_interrupt.
    shared.interrupts.store(meets, std::memory_order_release);
    const iotlb::Invalidation everything{.scope = iotlb::Scope::kInterruptAll};
    shared.interrupt_entries.drop(everything.first_interrupt, everything.last_interrupt);
    const Ticket ticket = shared.host.invalidate(everything);
    if (requests.interrupt_table) interrupt_table_ = ticket;
    if (requests.compatibility)
      compatibility_ =
          Pending{.ticket = ticket, .outcome = global::kCompatibility.of(*requests.compatibility)};
  }
  if (requests.remapping) {
    shared.host.set_interrupt_mode(*requests.remapping ? InterruptMode::kRemapping
                                                       : InterruptMode::kOff);
    remapping_ = Pending{.ticket = shared.host.drain(),
                         .outcome = global::kInterrupts.of(*requests.remapping)};
  }
}

void Commands::finish_interrupts(Shared& shared, std::uint64_t resets) {
  const auto publish = [&shared, resets](std::uint64_t mask, std::uint64_t bits) {
    MutexLock lock(shared.mutex);
    if (shared.resets != resets) return;
    shared.registers.clear_bits(global::kStatus, mask);
    shared.registers.set_bits(global::kStatus, bits);
  };
  if (interrupt_table_ && shared.parking.await(Place::kInterruptTable, *interrupt_table_)) {
    interrupt_table_.reset();
    MutexLock lock(shared.mutex);
    if (shared.resets == resets && !shared.requests.interrupt_table)
      shared.registers.set_bits(global::kStatus, global::kInterruptTable.kMask);
  }
  if (compatibility_ && shared.parking.await(Place::kCompatibility, compatibility_->ticket)) {
    publish(global::kCompatibility.kMask, compatibility_->outcome);
    compatibility_.reset();
  }
  if (remapping_ && shared.parking.await(Place::kRemapping, remapping_->ticket)) {
    publish(global::kInterrupts.kMask, remapping_->outcome);
    remapping_.reset();
  }
}

Commands::Pending Commands::start_context_command(Shared& shared) {
  std::uint64_t command = 0;
  std::optional<Granularity> granularity;
  {
    MutexLock lock(shared.mutex);
    command = shared.registers.get(ccmd::kRegister);
    if (!queue_is_on(shared)) granularity = decode_granularity(ccmd::kRequested.get(command));
  }
  Pending pending{.outcome = ccmd::kActual.with(ccmd::kInvalidate.with(command, 0), 0)};
  if (!granularity) return pending;
  pending.outcome = ccmd::kActual.with(pending.outcome, ccmd::kRequested.get(command));
  pending.ticket = shared.host.invalidate(
      context_invalidation(*granularity, {.domain = ccmd::kDomain.get(command),
                                          .source = ccmd::kSource.get(command),
                                          .function_mask = ccmd::kFunctionMask.get(command),
                                          .segment = shared.host.segment()}));
  return pending;
}

Commands::Pending Commands::start_iotlb_command(Shared& shared) {
  namespace command_register = reg::iotlb;
  std::uint64_t command = 0;
  std::uint64_t address = 0;
  std::optional<Granularity> granularity;
  {
    MutexLock lock(shared.mutex);
    command = shared.registers.get(command_register::kRegister);
    address = shared.registers.get(reg::iva::kRegister);
    if (!queue_is_on(shared))
      granularity = decode_granularity(command_register::kRequested.get(command));
  }
  const std::uint64_t ended = command_register::kInvalidate.with(command, 0);
  Pending pending{.outcome = command_register::kActual.with(ended, 0)};
  if (!granularity) return pending;
  const auto invalidation = iotlb_invalidation(*granularity,
                                               {.domain = command_register::kDomain.get(command),
                                                .address = reg::iva::kAddress.in_place(address),
                                                .mask = reg::iva::kMask.get(address),
                                                .leaf_only = reg::iva::kHint.is_set(address)},
                                               shared.capabilities.options);
  // An address mask beyond CAP.MAMV: ignored, IAIG says so (10.4.8.1).
  if (!invalidation) return pending;
  pending.outcome =
      command_register::kActual.with(ended, command_register::kRequested.get(command));
  pending.ticket = shared.host.invalidate(*invalidation);
  return pending;
}

void Commands::finish(Shared& shared, std::uint64_t resets) {
  const auto publish = [&shared, resets](const reg::Register& r, std::uint64_t mask,
                                         std::uint64_t bits) {
    MutexLock lock(shared.mutex);
    if (shared.resets != resets) return;
    shared.registers.set(r, (shared.registers.get(r) & ~mask) | bits);
  };
  if (root_ && shared.parking.await(Place::kRootContexts, root_->contexts) &&
      shared.parking.await(Place::kRootTranslations, root_->translations)) {
    root_.reset();
    // A later SRTP that is still to be taken up has cleared RTPS for itself.
    MutexLock lock(shared.mutex);
    if (shared.resets == resets && !shared.requests.root)
      shared.registers.set_bits(global::kStatus, global::kRootPointer.kMask);
  }
  if (translation_ && shared.parking.await(Place::kTranslation, translation_->ticket)) {
    publish(global::kStatus, global::kTranslation.kMask, translation_->outcome);
    translation_.reset();
  }
  finish_interrupts(shared, resets);
  if (protection_ && shared.parking.await(Place::kProtection, protection_->ticket)) {
    publish(reg::pmen::kRegister, reg::pmen::kStatus.kMask, protection_->outcome);
    protection_.reset();
  }
  if (context_ && shared.parking.await(Place::kContextCommand, context_->ticket)) {
    publish(ccmd::kRegister, ccmd::kLayout.defined, context_->outcome);
    context_.reset();
  }
  if (iotlb_ && shared.parking.await(Place::kIotlbCommand, iotlb_->ticket)) {
    publish(reg::iotlb::kRegister, reg::iotlb::kLayout.defined, iotlb_->outcome);
    iotlb_.reset();
  }
}

}  // namespace weir::vtd
