// SPDX-License-Identifier: Apache-2.0
#include "iotlb/flush_tracker.h"

#include <algorithm>

namespace weir::iotlb {

std::uint64_t FlushTracker::issue(std::optional<UnitId> unit, const Invalidation& what) {
  return issue(OpenTicket{.unit = unit, .what = what});
}

std::uint64_t FlushTracker::issue_drain(UnitId unit) {
  return issue(OpenTicket{.unit = unit, .whole_unit = true, .what = {}});
}

std::uint64_t FlushTracker::issue(OpenTicket ticket) {
  // Sequentially consistent, and before the scan: a burst that ends after the scan sees a waiter.
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  ticket.epoch = bursts_.advance();
  const MutexLock lock(mutex_);
  if (is_settled(ticket)) {
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
    return 0;
  }
  ticket.serial = next_serial_++;
  open_.push_back(ticket);
  return ticket.serial;
}

bool FlushTracker::settled(std::uint64_t serial) {
  if (serial == 0) return true;
  const MutexLock lock(mutex_);
  const auto ticket = std::find_if(open_.begin(), open_.end(),
                                   [&](const OpenTicket& t) { return t.serial == serial; });
  if (ticket == open_.end()) return true;
  if (!is_settled(*ticket)) return false;
  open_.erase(ticket);
  // Sequentially consistent: keeps one order with issue() and waiting().
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
  return true;
}

// Pins are looked at only once the bursts have ended: until then, one of them may still make a pin.
bool FlushTracker::is_settled(const OpenTicket& ticket) const {
  if (!bursts_.ended_before(ticket.epoch)) return false;
  return std::none_of(pins_.begin(), pins_.end(), [&](const auto& held) {
    return held.second.record.epoch < ticket.epoch && covers_pin(ticket, held.second.record);
  });
}

bool FlushTracker::covers_pin(const OpenTicket& ticket, const PinRecord& pin) {
  const Invalidation& what = ticket.what;
  const bool same_unit = !ticket.unit || ticket.unit == pin.unit;
  if (ticket.whole_unit) return same_unit;
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
      return same_unit && pin.tag.domain == what.domain;
    case Scope::kContextDevice:
      return same_unit && what.matches(pin.requester);
    case Scope::kPasid:
      return same_unit && pin.tag.domain == what.domain && what.pasid &&
             pin.tag.pasid == what.pasid->value;
    case Scope::kRange:
      return same_unit && pin.tag.domain == what.domain &&
             (!what.pasid || pin.tag.pasid == what.pasid->value) && pin.range.overlaps(what.range);
  }
  return true;
}

std::uint64_t FlushTracker::add_pin(PinRecord pin) {
  const MutexLock lock(mutex_);
  const std::uint64_t id = next_pin_++;
  pins_.emplace(id, HeldPin{std::move(pin)});
  return id;
}

bool FlushTracker::remove_pin(std::uint64_t id) {
  const MutexLock lock(mutex_);
  return pins_.erase(id) != 0;
}

std::vector<OverduePin> FlushTracker::take_overdue(Clock::Duration now, Clock::Duration limit) {
  std::vector<OverduePin> overdue;
  const MutexLock lock(mutex_);
  if (open_.empty()) return overdue;
  for (auto& [id, held] : pins_) {
    const PinRecord& pin = held.record;
    if (held.reported || now - pin.since < limit) continue;
    const bool awaited = std::any_of(open_.begin(), open_.end(), [&](const OpenTicket& ticket) {
      return pin.epoch < ticket.epoch && covers_pin(ticket, pin);
    });
    if (!awaited) continue;
    held.reported = true;
    overdue.push_back({id, pin.requester, pin.range, now - pin.since});
  }
  return overdue;
}

}  // namespace weir::iotlb
