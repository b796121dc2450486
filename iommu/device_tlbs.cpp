// SPDX-License-Identifier: Apache-2.0
#include "iommu/device_tlbs.h"

#include <algorithm>
#include <utility>

namespace weir::core {
namespace {

[[nodiscard]] AtsInvalidation message_of(std::uint32_t id, const iotlb::Invalidation& what) {
  return {.id = id, .pasid = what.pasid, .all_pasids = what.all_pasids, .range = what.range};
}

}  // namespace

void DeviceTlbs::attach(Requester function, std::shared_ptr<AtsDevice> device,
                        std::shared_ptr<Blocked> blocked) {
  detach(function);
  if (device == nullptr) return;
  const MutexLock lock(mutex_);
  Function& made = functions_[key_of(function)];
  made.device = std::move(device);
  made.blocked = std::move(blocked);
}

// Gives whose wait ends; to be told to the tracker without the lock.
void DeviceTlbs::forget_debts(Function& function, std::vector<std::uint64_t>& serials) {
  for (const Sent& sent : function.sent)
    if (!sent.late) serials.push_back(sent.serial);
  if (function.queued && !function.queued->late) serials.push_back(function.queued->serial);
  function.sent.clear();
  function.queued.reset();
  // Sequentially consistent: keeps one order with take_silent().
  function.blocked->store(false, std::memory_order_seq_cst);
}

void DeviceTlbs::detach(Requester function) {
  std::vector<std::uint64_t> serials;
  std::shared_ptr<AtsDevice> gone;  // ends without the lock
  {
    const MutexLock lock(mutex_);
    const auto found = functions_.find(key_of(function));
    if (found == functions_.end()) return;
    forget_debts(found->second, serials);
    gone = std::move(found->second.device);
    functions_.erase(found);
  }
  for (const std::uint64_t serial : serials) tracker_.acknowledge(serial);
}

void DeviceTlbs::reset(Requester function) {
  std::vector<std::uint64_t> serials;
  {
    const MutexLock lock(mutex_);
    const auto found = functions_.find(key_of(function));
    if (found == functions_.end()) return;
    forget_debts(found->second, serials);
  }
  for (const std::uint64_t serial : serials) tracker_.acknowledge(serial);
}

void DeviceTlbs::reset_all() {
  std::vector<std::uint64_t> serials;
  {
    const MutexLock lock(mutex_);
    for (auto& [key, function] : functions_) forget_debts(function, serials);
  }
  for (const std::uint64_t serial : serials) tracker_.acknowledge(serial);
}

void DeviceTlbs::rename(std::span<const std::pair<Requester, Requester>> names) {
  const MutexLock lock(mutex_);
  std::vector<decltype(functions_)::node_type> taken;
  for (const auto& [from, to] : names) {
    taken.push_back(functions_.extract(key_of(from)));
    if (!taken.back().empty()) taken.back().key() = key_of(to);
  }
  for (auto& node : taken)
    if (!node.empty()) functions_.insert(std::move(node));
}

std::uint64_t DeviceTlbs::invalidate(UnitId unit, const iotlb::Invalidation& what,
                                     Clock::Duration limit) {
  const Clock::Duration now = clock_.now();
  Message message;
  std::uint64_t serial = 0;
  {
    const MutexLock lock(mutex_);
    const auto found = functions_.find(key_of(what.requester));
    if (found == functions_.end()) return tracker_.issue(unit, what);
    Function& function = found->second;
    // One that waits to be sent names everything, and so this as well.
    if (function.queued && !function.queued->late) return function.queued->serial;
    serial = tracker_.issue_acknowledged(unit, what);
    Sent sent{.unit = unit, .serial = serial, .until = now + limit};
    if (function.sent.size() >= kOutstanding) {
      function.queued = sent;
      return serial;
    }
    sent.id = function.next_id++;
    function.sent.push_back(sent);
    message = {function.device, message_of(sent.id, what)};
  }
  message.device->on_invalidate(message.what);
  return tracker_.settled(serial) ? 0 : serial;
}

bool DeviceTlbs::acknowledge(Requester requester, std::uint32_t id) {
  std::optional<std::uint64_t> serial;
  std::optional<Message> next;
  {
    const MutexLock lock(mutex_);
    const auto found = functions_.find(key_of(requester));
    if (found == functions_.end()) return false;
    Function& function = found->second;
    const auto sent = std::find_if(function.sent.begin(), function.sent.end(),
                                   [id](const Sent& one) { return one.id == id; });
    if (sent == function.sent.end()) return false;
    if (!sent->late) serial = sent->serial;
    function.sent.erase(sent);
    if (function.queued) {
      Sent wide = *std::exchange(function.queued, std::nullopt);
      wide.id = function.next_id++;
      function.sent.push_back(wide);
      next = Message{function.device, {.id = wide.id, .all_pasids = true}};
    }
    const bool caught_up = std::none_of(function.sent.begin(), function.sent.end(),
                                        [](const Sent& one) { return one.late; });
    // Sequentially consistent: as in forget_debts().
    if (caught_up) function.blocked->store(false, std::memory_order_seq_cst);
  }
  if (serial) tracker_.acknowledge(*serial);
  if (next) next->device->on_invalidate(next->what);
  return true;
}

bool DeviceTlbs::respond(Requester requester, const PageResponse& response) {
  std::shared_ptr<AtsDevice> device;
  {
    const MutexLock lock(mutex_);
    const auto found = functions_.find(key_of(requester));
    if (found == functions_.end()) return false;
    device = found->second.device;
  }
  device->on_page_response(response);
  return true;
}

std::vector<DeviceTlbs::Silent> DeviceTlbs::take_silent(Clock::Duration now) {
  std::vector<Silent> silent;
  const MutexLock lock(mutex_);
  for (auto& [key, function] : functions_) {
    const Requester requester{static_cast<std::uint16_t>(key >> 16),
                              static_cast<std::uint16_t>(key)};
    const auto look_at = [&, blocked = function.blocked.get()](Sent& sent) {
      if (sent.late || now < sent.until) return;
      sent.late = true;
      // Sequentially consistent: before the epoch that end_wait() begins, so that a burst of that
      // epoch sees it.
      blocked->store(true, std::memory_order_seq_cst);
      silent.push_back({sent.unit, requester, sent.serial});
    };
    for (Sent& sent : function.sent) look_at(sent);
    if (function.queued) look_at(*function.queued);
  }
  return silent;
}

void DeviceTlbs::end_wait(const Silent& silent) { tracker_.acknowledge(silent.serial); }

}  // namespace weir::core
