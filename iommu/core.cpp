// SPDX-License-Identifier: Apache-2.0
#include "iommu/core.h"

#include <spdlog/fmt/fmt.h>
#include <tbb/concurrent_hash_map.h>

#include <algorithm>
#include <iterator>

#include "base/seam.h"
#include "iommu/cached_host_map.h"

namespace weir::core {
namespace {

class NoClock final : public Clock {
 public:
  [[nodiscard]] Duration now() const override { return Duration::zero(); }
};
const NoClock no_clock;

}  // namespace

std::string name_of(Requester r) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", r.segment, r.bus(), r.device(), r.function());
}

std::string to_words(const Route& route) {
  switch (route.kind) {
    case Route::Kind::kBypass:
      return " bypasses";
    case Route::Kind::kWindow:
      return fmt::format(" has a window from {:#x} to {:#x}", route.window.range.first.value(),
                         route.window.range.last.value());
    case Route::Kind::kUnit:
      return fmt::format(" is behind unit {}", route.unit->id().value);
    case Route::Kind::kNone:
      return " reaches nothing";
  }
  return " is nowhere";
}

struct IommuCore::Ports {
  tbb::concurrent_hash_map<std::uint32_t, Port*> table;

  [[nodiscard]] static std::uint32_t key_of(Requester r) {
    return std::uint32_t{r.segment} << 16 | r.bdf;
  }
};

IommuCore::IommuCore(IommuConfig config)
    : clock(config.clock != nullptr ? *config.clock : no_clock),
      sinks(config.sinks),
      caches(config.caches),
      pin_limit(config.pin_limit),
      device_tlb_limit(config.device_tlb_limit),
      recorder(config.recorder),
      log(config.sinks.log),
      ports_(std::make_unique<Ports>()) {
  if (recorder != nullptr) recorder->on_config(config);
  const MutexLock lock(memory_change_);
  // Relaxed: nobody else is here yet.
  memory_.store(snapshot(std::move(config.memory), std::move(config.host_map)).release(),
                std::memory_order_relaxed);
  if (recorder != nullptr) recorder->on_memory(memory());
}

IommuCore::~IommuCore() {
  // Relaxed: nobody else is here any more.
  delete memory_.load(std::memory_order_relaxed);
}

std::unique_ptr<const pagetables::PhysicalMemory> IommuCore::snapshot(
    std::shared_ptr<const GuestMemory> memory,
    std::shared_ptr<const pagetables::HostMap> host_map) const {
  const bool reads_tables = host_map != nullptr &&
                            dynamic_cast<const pagetables::MemorySlots*>(host_map.get()) == nullptr;
  if (reads_tables && caches.host_map_entries != 0)
    host_map = std::make_shared<CachedHostMap>(std::move(host_map), caches.host_map_entries);
  return std::make_unique<const pagetables::PhysicalMemory>(std::move(memory), std::move(host_map),
                                                            sinks.dirty, private_pages_, recorder);
}

std::uint64_t IommuCore::host_map_changed(AddressRange<Gpa> range) {
  const iotlb::Invalidation what{.scope = iotlb::Scope::kHostRange, .host_range = range};
  auto& slot = bursts.slot();
  bursts.enter(slot);
  if (!WEIR_BUG(kHostRangeForgotten)) memory().host_map().forget(range);
  leave(slot);
  shadows.host_changed(range);
  books.invalidation(what, {});
  return tracker.issue(std::nullopt, what);
}

std::uint64_t IommuCore::change_memory(std::shared_ptr<const GuestMemory> memory,
                                       std::shared_ptr<const pagetables::HostMap> host_map) {
  std::unique_ptr<const pagetables::PhysicalMemory> old;
  {
    const MutexLock lock(memory_change_);
    auto next = snapshot(std::move(memory), std::move(host_map));
    if (recorder != nullptr) recorder->on_memory(*next);
    // Acquire-release: pairs with memory(); what the new snapshot points to is complete.
    old.reset(memory_.exchange(next.release(), std::memory_order_acq_rel));
  }
  const iotlb::Invalidation what{.scope = iotlb::Scope::kHostRange};
  // The caches hold guest-physical answers, which a new host map does not touch.
  shadows.host_changed(what.host_range);
  books.invalidation(what, {});
  const std::uint64_t serial = tracker.issue(std::nullopt, what);
  retire(serial, {.memory = std::move(old)});
  return serial;
}

// Only the first time takes another snapshot, one that asks; afterwards bits are enough. The caches
// hold guest-physical answers, which are asked about anew wherever they land.
std::unique_ptr<const pagetables::PhysicalMemory> IommuCore::turn_pages(
    std::span<const AddressRange<Gpa>> made_private,
    std::span<const AddressRange<Gpa>> made_shared) {
  const MutexLock lock(memory_change_);
  const bool first = private_pages_ == nullptr && !made_private.empty();
  if (first) private_pages_ = std::make_shared<pagetables::PrivatePages>();
  if (private_pages_ == nullptr) return nullptr;
  for (const auto& range : made_private) private_pages_->set_private(range);
  for (const auto& range : made_shared) private_pages_->set_shared(range);
  if (!first) return nullptr;
  // Relaxed: replaced under the lock only.
  auto next = std::make_unique<const pagetables::PhysicalMemory>(
      *memory_.load(std::memory_order_relaxed), private_pages_);
  // Acquire-release: as in change_memory().
  return std::unique_ptr<const pagetables::PhysicalMemory>(
      memory_.exchange(next.release(), std::memory_order_acq_rel));
}

void IommuCore::free_retired() {
  std::vector<Retired> gone;  // destroyed without the lock: host maps are the embedder's code
  const MutexLock lock(mutex_);
  const auto settled = std::partition(retired_.begin(), retired_.end(),
                                      [&](const Retired& r) { return !tracker.settled(r.serial); });
  gone.assign(std::make_move_iterator(settled), std::make_move_iterator(retired_.end()));
  retired_.erase(settled, retired_.end());
}

void IommuCore::leave(iotlb::BurstRegistry::Slot& slot) {
  const std::uint64_t oldest = bursts.leave(slot);
  WEIR_SEAM(kBurstLeft);
  if (tracker.held_up_by(oldest)) [[unlikely]] {
    const RecordedScope scope(recorder, {.what = RecordedCall::What::kPoll});
    poll();
  }
}

// One thread at a time does the work; another's request is noted and makes the first go round
// again. Acquire-release: a request counted by the runner's subtraction happened before its next
// round.
void IommuCore::poll() {
  std::uint64_t seen = poll_requests_.fetch_add(1, std::memory_order_acq_rel) + 1;
  if (seen != 1) return;
  while (seen != 0) {
    poll_once();
    seen = poll_requests_.fetch_sub(seen, std::memory_order_acq_rel) - seen;
  }
}

// Units hear of a silent device before its ticket settles: they have an error to show first.
void IommuCore::end_silent_waits() {
  for (const DeviceTlbs::Silent& silent : device_tlbs.take_silent(clock.now())) {
    log.write(LogLevel::kWarning, LogTopic::kDeviceTlb, [&] {
      return name_of(silent.function) + " has not acknowledged an invalidation of its TLB in time";
    });
    books.device_tlb_timeout();
    units[silent.unit.value]->unit->device_tlb_timed_out(silent.function, {silent.serial});
    device_tlbs.end_wait(silent);
  }
}

void IommuCore::poll_once() {
  end_silent_waits();
  // Before the units are asked: a ticket that is closed here no longer makes the end of its last
  // burst poll, so its unit must be asked after.
  if (!WEIR_BUG(kCollectedLate)) tracker.collect();
  for (const auto& unit : units)
    if (unit->unit != nullptr) unit->unit->poll();
  WEIR_SEAM(kUnitsPolled);
  if (WEIR_BUG(kCollectedLate)) tracker.collect();
  free_retired();
  const auto overdue = tracker.take_overdue(clock.now(), pin_limit);
  for (const iotlb::OverduePin& pin : overdue) {
    log.write(LogLevel::kWarning, LogTopic::kPin, [&] {
      return fmt::format("{} holds pin {} for {} ms while a completion waits",
                         name_of(pin.requester), pin.id, pin.age / std::chrono::milliseconds(1));
    });
    if (sinks.pins != nullptr)
      sinks.pins->on_stuck_pin(pin.id, {pin.requester, pin.range, pin.age});
  }
}

bool IommuCore::end_pin(std::uint64_t id) {
  const bool ended = tracker.remove_pin(id);
  if (ended && tracker.waiting()) poll();
  return ended;
}

void IommuCore::report(UnitCore* unit, const Fault& fault) {
  if (unit != nullptr && fault.recorded) unit->unit->record(fault);
  books.fault(fault);
  if (sinks.faults != nullptr) sinks.faults->on_fault(fault);
}

std::uint64_t IommuCore::forget_context(Requester function) {
  const Port* port = find_port(function);
  if (port == nullptr) return 0;
  auto& slot = bursts.slot();
  bursts.enter(slot);
  UnitCore* const unit = port->route().unit;
  leave(slot);
  if (unit == nullptr) return 0;
  unit->forget_context(requester_of(function));
  return device_tlbs.invalidate(
      unit->id(),
      {.scope = iotlb::Scope::kDeviceTlb, .requester = function, .all_pasids = true},
      device_tlb_limit);
}

Port* IommuCore::find_port(Requester function) {
  decltype(Ports::table)::const_accessor found;
  return ports_->table.find(found, Ports::key_of(function)) ? found->second : nullptr;
}

Requester IommuCore::requester_of(Requester function) {
  const Port* port = find_port(function);
  if (port == nullptr) return function;
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const Requester requester = port->route().requester;
  leave(slot);
  return requester;
}

RouteView IommuCore::view(const Port& port) {
  auto& slot = bursts.slot();
  bursts.enter(slot);
  const Route& route = port.route();
  RouteView view;
  switch (route.kind) {
    case Route::Kind::kBypass:
      break;
    case Route::Kind::kWindow:
      view = {.kind = RouteView::Kind::kWindow, .window = route.window};
      break;
    case Route::Kind::kUnit:
      view = {.kind = RouteView::Kind::kUnit, .unit = route.unit->id()};
      break;
    case Route::Kind::kNone:
      view.kind = RouteView::Kind::kNone;
      break;
  }
  leave(slot);
  return view;
}

bool IommuCore::add_port(Port& port) {
  return ports_->table.insert({Ports::key_of(port.number()), &port});
}

bool IommuCore::remove_port(Port& port) {
  decltype(Ports::table)::accessor found;
  // A port that was refused because another has its place must not take that one away.
  return ports_->table.find(found, Ports::key_of(port.number())) && found->second == &port &&
         ports_->table.erase(found);
}

void IommuCore::retire(std::uint64_t serial, Gone gone) {
  if (serial == 0) return;
  const MutexLock lock(mutex_);
  retired_.push_back({serial, std::move(gone)});
}

}  // namespace weir::core
