// SPDX-License-Identifier: Apache-2.0
#include "iotlb/flush_tracker.h"

#include <algorithm>
#include <utility>

#include "base/bits.h"
#include "base/seam.h"

namespace weir::iotlb {
namespace {

constexpr Field<63, 16> kSerial{"serial"};
constexpr Field<15, 0> kUnit{"unit + 1", "0: the embedder's own change"};

}  // namespace

std::uint64_t FlushTracker::issue(std::optional<UnitId> unit, const Invalidation& what) {
  return issue(OpenTicket{.unit = unit}, {&what, 1});
}

std::uint64_t FlushTracker::issue_all(std::optional<UnitId> unit,
                                      std::span<const Invalidation> several) {
  return issue(OpenTicket{.unit = unit}, several);
}

std::uint64_t FlushTracker::issue_acknowledged(UnitId unit, const Invalidation& what) {
  return issue(OpenTicket{.unit = unit, .awaited = 1}, {&what, 1});
}

// What the device let through before it said so is waited for like anything that began earlier.
void FlushTracker::acknowledge(std::uint64_t serial) {
  const std::uint64_t epoch = bursts_.advance();
  note_newest(epoch);
  const MutexLock lock(mutex_);
  const auto ticket = find(serial);
  if (ticket == open_.end() || ticket->awaited == 0) return;
  --ticket->awaited;
  ticket->epoch = std::max(ticket->epoch, epoch);
}

std::uint64_t FlushTracker::issue_drain(UnitId unit) {
  return issue(OpenTicket{.unit = unit, .whole_unit = true}, {});
}

std::uint64_t FlushTracker::issue_quiesce(UnitId unit) {
  return issue(OpenTicket{.unit = unit, .bursts_only = true}, {});
}

std::uint64_t FlushTracker::issue(OpenTicket ticket, std::span<const Invalidation> what) {
  ticket.epoch = bursts_.advance();
  if (WEIR_BUG(kCompletedEarly)) return 0;
  // Mostly what is under way ends in a moment, and then nobody is told that somebody waits.
  // Acquire: pairs with remove_pin; pins of bursts that have ended are counted.
  if (ticket.awaited == 0 && bursts_.ended_soon(ticket.epoch) &&
      held_.load(std::memory_order_acquire) == 0)
    return 0;
  // Sequentially consistent, and before the scan: a burst that ends after the scan sees a waiter.
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  note_newest(ticket.epoch);
  ticket.what.assign(what.begin(), what.end());
  // Before the lock, under which nobody else's code runs.
  ticket.since = now();
  const MutexLock lock(mutex_);
  if (is_settled(ticket)) {
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
    return 0;
  }
  ticket.serial = ticket.first_serial = make_serial(ticket.unit);
  merge_if_many(ticket);
  const std::uint64_t serial = ticket.serial;
  open_.push_back(std::move(ticket));
  return serial;
}

void FlushTracker::note_newest(std::uint64_t epoch) {
  // Sequentially consistent, and before the scan: a burst that the scan still sees finds here, when
  // it ends, that somebody waits for bursts as old as itself.
  for (std::uint64_t seen = newest_.load(std::memory_order_seq_cst);
       seen < epoch && !newest_.compare_exchange_weak(seen, epoch, std::memory_order_seq_cst);) {
  }
}

// Serials grow; their low bits name the unit, so that a merged ticket stands only for its own.
std::uint64_t FlushTracker::make_serial(std::optional<UnitId> unit) {
  return kSerial.of(next_serial_++) | kUnit.of(unit ? unit->value + std::uint64_t{1} : 0);
}

void FlushTracker::merge_if_many(OpenTicket& ticket) {
  const auto same_unit = [&](const OpenTicket& open) { return open.unit == ticket.unit; };
  if (static_cast<std::size_t>(std::count_if(open_.begin(), open_.end(), same_unit)) < kOpenPerUnit)
    return;
  for (const OpenTicket& open : open_)
    if (same_unit(open)) {
      ticket.first_serial = std::min(ticket.first_serial, open.first_serial);
      ticket.since = std::min(ticket.since, open.since);
      ticket.awaited += open.awaited;
    }
  ticket.whole_unit = true;
  ticket.what.clear();
  const std::size_t merged = std::erase_if(open_, same_unit);
  // Sequentially consistent: keeps one order with issue() and waiting().
  waiting_.fetch_sub(merged, std::memory_order_seq_cst);
}

std::list<FlushTracker::OpenTicket>::iterator FlushTracker::find(std::uint64_t serial) {
  return std::find_if(open_.begin(), open_.end(), [&](const OpenTicket& open) {
    return open.first_serial <= serial && serial <= open.serial &&
           kUnit.get(open.serial) == kUnit.get(serial);
  });
}

bool FlushTracker::settled(std::uint64_t serial) {
  if (serial == 0) return true;
  const Clock::Duration time = now();
  const MutexLock lock(mutex_);
  const auto ticket = find(serial);
  if (ticket == open_.end()) return true;
  if (!is_settled(*ticket)) return false;
  count_wait(*ticket, time);
  open_.erase(ticket);
  // Sequentially consistent: keeps one order with issue() and waiting().
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
  return true;
}

void FlushTracker::collect() {
  const Clock::Duration time = now();
  const MutexLock lock(mutex_);
  const std::size_t closed =
      std::erase_if(open_, [&](const OpenTicket& ticket) WEIR_REQUIRES(mutex_) {
        if (!is_settled(ticket)) return false;
        count_wait(ticket, time);
        return true;
      });
  // Sequentially consistent: as in settled().
  if (closed != 0) waiting_.fetch_sub(closed, std::memory_order_seq_cst);
}

void FlushTracker::count_wait(const OpenTicket& ticket, Clock::Duration at) {
  const Clock::Duration waited = at - ticket.since;
  ++waits_.ended;
  waits_.together += waited;
  waits_.longest = std::max(waits_.longest, waited);
}

FlushTracker::Waits FlushTracker::waits() const {
  const MutexLock lock(mutex_);
  return waits_;
}

// Pins are looked at only once the bursts have ended: until then, one of them may still make a pin.
bool FlushTracker::is_settled(const OpenTicket& ticket) const {
  if (ticket.awaited != 0 || !bursts_.ended_before(ticket.epoch)) return false;
  return std::none_of(pins_.begin(), pins_.end(), [&](const auto& held) {
    return held.second.record.epoch < ticket.epoch && covers_pin(ticket, held.second.record);
  });
}

bool FlushTracker::covers_pin(const OpenTicket& ticket, const PinRecord& pin) {
  if (ticket.whole_unit) return !ticket.unit || ticket.unit == pin.unit;
  if (ticket.bursts_only) return false;
  return std::any_of(ticket.what.begin(), ticket.what.end(),
                     [&](const Invalidation& what) { return covers_pin(ticket.unit, what, pin); });
}

bool FlushTracker::covers_pin(std::optional<UnitId> unit, const Invalidation& what,
                              const PinRecord& pin) {
  const bool same_unit = !unit || unit == pin.unit;
  const bool same_domain = same_unit && (pin.several_tags || pin.tag.domain == what.domain);
  // What came with a translated address rests on the device's own TLB, of which a guest's flush of
  // the IOTLB does not speak, however wide it is; the one of the device TLB that must follow does
  // (kDeviceTlb). Drivers wait between the two, and a device may hold the pin until it is told by
  // the second: to wait here would be to wait for ever (L8).
  if (pin.translated && unit && what.scope <= Scope::kStage2Range) return false;
  const auto same_pasid = [&] { return pin.several_tags || pin.tag.pasid == what.pasid->value; };
  switch (what.scope) {
    case Scope::kHostRange:
      return std::any_of(pin.host_ranges.begin(), pin.host_ranges.end(),
                         [&](const auto& range) { return range.overlaps(what.host_range); });
    case Scope::kRequester:
      return pin.requester == what.requester;
    case Scope::kContextAll:
    case Scope::kAll:
      return same_unit;
    case Scope::kContextDomain:
    case Scope::kDomain:
      return same_domain;
    case Scope::kContextPasid:
      return same_domain && what.pasid && (pin.tag.pasid == Context::kNoPasid || same_pasid());
    case Scope::kContextDevice:
      return same_unit && what.matches(pin.requester);
    case Scope::kPasid:
      return same_domain && what.pasid && same_pasid();
    case Scope::kRange:
      return same_domain && (!what.pasid || same_pasid()) && pin.range.overlaps(what.range);
    case Scope::kStage2Range:
      return same_domain && (pin.several_tags || pin.tag.pasid != Context::kNoPasid ||
                             pin.range.overlaps(what.range));
    case Scope::kInterruptAll:
    case Scope::kInterruptRange:
    case Scope::kInterruptDevice:
      return false;
    case Scope::kDeviceTlb:
      return same_unit && pin.translated && pin.requester == what.requester;
  }
  return true;
}

std::uint64_t FlushTracker::add_pin(PinRecord pin) {
  const MutexLock lock(mutex_);
  const std::uint64_t id = next_pin_++;
  pins_.emplace(id, HeldPin{std::move(pin)});
  // Relaxed: seen by whoever sees the end of the burst that this is in.
  held_.store(pins_.size(), std::memory_order_relaxed);
  return id;
}

bool FlushTracker::remove_pin(std::uint64_t id) {
  const MutexLock lock(mutex_);
  const bool held = pins_.erase(id) != 0;
  // Release: pairs with issue(); all that was done through the pin is done.
  held_.store(pins_.size(), std::memory_order_release);
  return held;
}

std::vector<OverduePin> FlushTracker::take_overdue(Clock::Duration now, Clock::Duration limit) {
  std::vector<OverduePin> overdue;
  const MutexLock lock(mutex_);
  if (open_.empty()) return overdue;
  for (auto& [id, held] : pins_) {
    const PinRecord& pin = held.record;
    if (held.reported) continue;
    const bool too_long = std::any_of(open_.begin(), open_.end(), [&](const OpenTicket& ticket) {
      return pin.epoch < ticket.epoch && now - std::max(ticket.since, pin.since) >= limit &&
             covers_pin(ticket, pin);
    });
    if (!too_long) continue;
    held.reported = true;
    overdue.push_back({id, pin.requester, pin.range, now - pin.since});
  }
  return overdue;
}

}  // namespace weir::iotlb
