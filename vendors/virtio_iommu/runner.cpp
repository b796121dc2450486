// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/runner.h"

#include <array>
#include <utility>

#include "vendors/virtio_iommu/layout.h"

namespace weir::virtio_iommu {

Runner::Runner(UnitHost& host, const Options& options, Structures& structures, ConfigSpace& config,
               virtio::Device& device, std::function<void(std::uint64_t)> settled_reset)
    : host_(host),
      options_(options),
      structures_(structures),
      config_(config),
      device_(device),
      settled_reset_(std::move(settled_reset)),
      bypass_(options.bypass == BypassControl::kConfig && options.boot_bypass),
      parking_(host),
      queue_(host, options, structures, device) {}

void Runner::reset(ResetKind kind, std::uint64_t number) {
  order([kind, number](Orders& orders) {
    const bool machine = kind == ResetKind::kMachine || orders.reset == ResetKind::kMachine;
    // A bypass byte that was written before stays written (5.13.4.2).
    const std::optional<bool> bypass = machine ? std::nullopt : orders.bypass;
    orders = {.reset = machine ? ResetKind::kMachine : ResetKind::kDevice,
              .reset_number = number,
              .bypass = bypass};
  });
}

void Runner::accept_features(std::uint64_t features) {
  order([features](Orders& orders) { orders.features = features; });
}

void Runner::set_bypass(bool on) {
  order([on](Orders& orders) { orders.bypass = on; });
}

void Runner::start(const virtio::QueueConfig& queue) {
  order([&queue](Orders& orders) { orders.start = queue; });
}

void Runner::stop() {
  order([](Orders& orders) {
    orders.start.reset();
    orders.stop = true;
  });
}

RequestCounts Runner::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

void Runner::pass() {
  Orders orders;
  {
    const MutexLock lock(mutex_);
    orders = std::exchange(orders_, Orders{});
  }
  obey(orders);
  settle();
  queue_.run(parking_);
  settle();
  const MutexLock lock(mutex_);
  counts_ = queue_.counts();
}

void Runner::obey(const Orders& orders) {
  if (orders.reset) obey_reset(*orders.reset, orders.reset_number);
  if (orders.features) {
    queue_.set_features(*orders.features);
    if (options_.bypass == BypassControl::kFeature)
      apply_bypass(feature::kBypass.is_set(*orders.features));
  }
  if (orders.bypass) apply_bypass(*orders.bypass);
  if (orders.stop) {
    queue_.drop(parking_);
    device_.queue_stopped(kRequestQueue);
  }
  if (orders.start) queue_.start(*orders.start);
}

void Runner::obey_reset(ResetKind kind, std::uint64_t number) {
  queue_.drop(parking_);
  queue_.set_features(0);
  bool on = bypass();
  if (options_.bypass == BypassControl::kFeature) on = false;  // nothing is negotiated any more
  if (kind == ResetKind::kMachine) {
    on = options_.bypass == BypassControl::kConfig && options_.boot_bypass;
    pending_bypass_.reset();
    parking_.leave(Place::kBypass);
    config_.show_bypass(on);
  }
  // Release: as in apply_bypass.
  bypass_.store(on, std::memory_order_release);
  {
    const MutexLock lock(structures_.mutex);
    structures_.domains.detach_all();
    (void)structures_.domains.take_drops();  // all of it goes, below
  }
  constexpr std::array kEverything = {iotlb::Invalidation{.scope = iotlb::Scope::kContextAll},
                                      iotlb::Invalidation{.scope = iotlb::Scope::kAll}};
  const Ticket ticket = host_.invalidate_all(kEverything);
  pending_reset_ = PendingReset{ticket, number};
  const MutexLock lock(structures_.mutex);
  structures_.graveyard.put_under(ticket);
}

void Runner::apply_bypass(bool on) {
  if (bypass() == on && !pending_bypass_) {
    config_.show_bypass(on && options_.bypass == BypassControl::kConfig);
    return;
  }
  // Release: pairs with bypass(); the contexts that rest on the old value go next.
  bypass_.store(on, std::memory_order_release);
  Drops drops;
  {
    const MutexLock lock(structures_.mutex);
    structures_.domains.drop_unattached();
    drops = structures_.domains.take_drops();
  }
  Ticket ticket = host_.invalidate_all(drops.what);
  if (ticket.serial == 0 && pending_bypass_) ticket = pending_bypass_->ticket;
  pending_bypass_ = PendingBypass{ticket, on};
}

void Runner::settle() {
  if (pending_reset_ && parking_.await(Place::kReset, pending_reset_->ticket)) {
    settled_reset_(std::exchange(pending_reset_, std::nullopt)->number);
  }
  if (pending_bypass_ && parking_.await(Place::kBypass, pending_bypass_->ticket)) {
    if (options_.bypass == BypassControl::kConfig) config_.show_bypass(pending_bypass_->on);
    pending_bypass_.reset();
  }
  Ticket oldest;
  {
    const MutexLock lock(structures_.mutex);
    oldest = structures_.graveyard.clean_up(host_);
  }
  // Listed, so that somebody comes back for the rest.
  (void)parking_.await(Place::kGraveyard, oldest);
}

}  // namespace weir::virtio_iommu
