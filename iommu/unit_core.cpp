// SPDX-License-Identifier: Apache-2.0
#include "base/seam.h"
#include "iommu/core.h"

namespace weir::core {

UnitCore::UnitCore(IommuCore& core, UnitId id, std::uint64_t register_base,
                   const CacheOptions& caches)
    : iotlb({.entries = caches.entries,
             .reference = caches.organisation == CacheOptions::Organisation::kReference}),
      walk_caches(caches.walk),
      verified(caches.verified_entries),
      no_walk_caches({.stage1_tables = 0, .stage2_tables = 0, .stage2_pages = 0}),
      core_(core),
      id_(id),
      register_base_(register_base) {}

UnitCore::~UnitCore() = default;

// As the firmware table says; a unit that no table names serves segment 0.
std::uint16_t UnitCore::segment() const { return core_.routes.segment_of(register_base_); }

const Clock& UnitCore::clock() const { return core_.clock; }

Result<Done, FaultReason> UnitCore::read_memory(Gpa at, std::span<std::byte> to) {
  auto& slot = core_.bursts.slot();
  core_.bursts.enter(slot);
  const auto result = core_.memory().read(at, to);
  core_.leave(slot);
  return result;
}

Result<Done, FaultReason> UnitCore::write_memory(Gpa at, std::span<const std::byte> from) {
  auto& slot = core_.bursts.slot();
  core_.bursts.enter(slot);
  const auto result = core_.memory().write(at, from);
  core_.leave(slot);
  return result;
}

void UnitCore::set_mode(UnitMode mode) {
  // Sequentially consistent: before the epoch of the drain that follows, so that a burst of that
  // epoch sees it.
  mode_.store(mode, std::memory_order_seq_cst);
  // After the mode: bursts compare only this number, and then ask for the mode again.
  contexts.touch();
  core_.shadows.changed(*this, {.scope = iotlb::Scope::kAll});
}

void UnitCore::set_interrupt_mode(InterruptMode mode) {
  // Sequentially consistent: as above.
  if (interrupt_mode_.exchange(mode, std::memory_order_seq_cst) != mode)
    tell_interrupts_changed({.unit = id_});
}

void UnitCore::tell_interrupts_changed(const InterruptChange& change) const {
  if (InterruptChangeSink* sink = core_.sinks.interrupt_changes)
    sink->on_interrupts_changed(change);
}

void UnitCore::drop(const iotlb::Invalidation& what) {
  if (what.is_interrupt_scope()) {
    // Entries are read for every message; it is others that may have kept what they said.
    InterruptChange change{.unit = id_};
    if (what.scope == iotlb::Scope::kInterruptRange) {
      change.first_index = what.first_interrupt;
      change.last_index = what.last_interrupt;
    }
    if (what.scope == iotlb::Scope::kInterruptDevice) change.requester = what.requester;
    tell_interrupts_changed(change);
  }
  // Tables before translations: a walk that still starts from a forgotten table is refused its
  // fill.
  std::uint64_t walk_entries = 0;
  if (!what.is_context_scope() && !WEIR_BUG(kWalkCacheForgotten))
    walk_entries = walk_caches.invalidate(what);
  if (WEIR_BUG(kStage2RangeForgotten) && what.scope == iotlb::Scope::kStage2Range) return;
  const bool forgotten = WEIR_BUG(kPagesForgotten) && (what.scope == iotlb::Scope::kRange ||
                                                       what.scope == iotlb::Scope::kStage2Range);
  iotlb::Removed removed = what.is_context_scope() ? contexts.invalidate(what)
                           : forgotten             ? iotlb::Removed{}
                                                   : iotlb.invalidate(what);
  removed.walk_entries = walk_entries;
  core_.books.invalidation(what, removed);
  if (core_.recorder != nullptr) core_.recorder->on_invalidation(id_, what, removed);
  // Before the ticket is given: a completion says that they have heard of it (L1).
  if (what.is_translation_scope() || what.is_context_scope()) core_.shadows.changed(*this, what);
}

Ticket UnitCore::invalidate(const iotlb::Invalidation& what) {
  drop(what);
  return booked(core_.tracker.issue(id_, what));
}

Ticket UnitCore::invalidate_all(std::span<const iotlb::Invalidation> several) {
  for (const iotlb::Invalidation& what : several) drop(what);
  return cover(several);
}

Ticket UnitCore::cover(std::span<const iotlb::Invalidation> dropped) {
  if (dropped.empty()) return {};
  return booked(core_.tracker.issue_all(id_, dropped));
}

Ticket UnitCore::invalidate_device_tlb(const iotlb::Invalidation& what,
                                       std::optional<Clock::Duration> limit) {
  core_.books.invalidation(what, {});
  if (core_.recorder != nullptr) core_.recorder->on_invalidation(id_, what, {});
  return booked(core_.device_tlbs.invalidate(id_, what, limit.value_or(core_.device_tlb_limit)));
}

bool UnitCore::respond(Requester function, const PageResponse& response) {
  return core_.device_tlbs.respond(function, response);
}

Ticket UnitCore::drain() { return booked(core_.tracker.issue_drain(id_)); }

// No completion waits for it, so it is not booked as one.
Ticket UnitCore::quiesce() { return {core_.tracker.issue_quiesce(id_)}; }

Ticket UnitCore::booked(std::uint64_t serial) {
  if (serial != 0) core_.books.parked();
  return {serial};
}

bool UnitCore::settled(Ticket ticket) { return core_.tracker.settled(ticket.serial); }

void UnitCore::log(LogLevel level, LogTopic topic, std::string_view line) {
  core_.log.write(level, topic, [line] { return line; });
}

void UnitCore::raise(Msi msi) {
  if (core_.recorder != nullptr) core_.recorder->on_unit_msi(id_, msi);
  if (core_.sinks.interrupts != nullptr) core_.sinks.interrupts->on_unit_msi(id_, msi);
}

Recorder* UnitCore::recorder() { return core_.recorder; }

void UnitCore::forget_context(Requester function) {
  drop({.scope = iotlb::Scope::kContextDevice, .requester = function});
}

void UnitCore::reset() {
  set_mode(UnitMode::kOff);
  set_interrupt_mode(InterruptMode::kOff);
  (void)contexts.invalidate({.scope = iotlb::Scope::kContextAll});
  (void)walk_caches.invalidate({.scope = iotlb::Scope::kAll});
  (void)iotlb.invalidate({.scope = iotlb::Scope::kAll});
  unit->reset();
}

}  // namespace weir::core
