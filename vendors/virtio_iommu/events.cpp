// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/events.h"

#include <utility>

#include "vendors/virtio_iommu/fields.h"

namespace weir::virtio_iommu {

FaultReport report_of(const Fault& what, std::uint32_t endpoint) {
  const Access access = what.request.access;
  const std::uint64_t flags = fault::kAddressValid.of(1) |
                              fault::kRead.of(access != Access::kWrite ? 1 : 0) |
                              fault::kWrite.of(writes(access) ? 1 : 0);
  FaultReport report{};
  put(report, fault::kReason, static_cast<std::uint8_t>(what.code));
  put(report, fault::kFlags, static_cast<std::uint32_t>(flags));
  put(report, fault::kEndpoint, endpoint);
  put(report, fault::kAddress, what.request.iova.value());
  return report;
}

void Events::report(const FaultReport& report) {
  {
    const MutexLock lock(mutex_);
    if (!started_ || waiting_.size() >= kMostWaiting) {
      ++counts_.dropped;
      return;
    }
    waiting_.push_back(report);
  }
  run();
}

void Events::start(const virtio::QueueConfig& config) {
  {
    const MutexLock lock(mutex_);
    orders_.start = config;
    started_ = true;
  }
  run();
}

void Events::stop() {
  {
    const MutexLock lock(mutex_);
    orders_.start.reset();
    orders_.stop = true;
    started_ = false;
  }
  run();
}

void Events::reset(std::uint64_t number) {
  {
    const MutexLock lock(mutex_);
    orders_ = {.forget = number};
    started_ = false;
    waiting_.clear();
  }
  run();
}

EventCounts Events::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

void Events::fail(virtio::QueueError) {
  queue_.reset();
  device_.needs_reset();
}

void Events::obey(const Orders& orders) {
  if (orders.forget || orders.stop) queue_.reset();
  if (orders.forget) forgotten_(*orders.forget);
  if (orders.stop) device_.queue_stopped(kEventQueue);
  if (!orders.start) return;
  auto made = virtio::Queue::create(*orders.start, memory_);
  if (made)
    queue_ = std::move(made).value();
  else
    fail(made.error());
}

std::optional<FaultReport> Events::next() {
  const MutexLock lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front();
}

void Events::pass() {
  Orders orders;
  {
    const MutexLock lock(mutex_);
    orders = std::exchange(orders_, Orders{});
  }
  obey(orders);
  while (queue_) {
    const auto report = next();
    if (!report || !deliver(*report)) break;
    const MutexLock lock(mutex_);
    // A reset may have taken it meanwhile.
    if (!waiting_.empty()) waiting_.pop_front();
  }
  if (!queue_) return;
  const auto wanted = queue_->interrupt_wanted();
  if (!wanted) return fail(wanted.error());
  if (*wanted) device_.interrupt(kEventQueue);
}

// 5.13.6.9: without a buffer the fault waits, and the driver is asked to say when it has given one.
bool Events::take_buffer() {
  auto popped = queue_->pop(chain_);
  if (popped && !*popped) {
    popped = queue_->want_kicks();
    if (popped && *popped) popped = queue_->pop(chain_);
  }
  if (!popped) fail(popped.error());
  return popped && *popped;
}

bool Events::deliver(const FaultReport& report) {
  if (!take_buffer()) return false;
  // A buffer that is too small is returned as it is: a report is never spread over several.
  const bool written = chain_.writable_bytes >= report.size() &&
                       virtio::copy_to(memory_, chain_.writable, 0, report);
  const virtio::Used used{.id = chain_.id,
                          .slots = chain_.slots,
                          .written = written ? static_cast<std::uint32_t>(report.size()) : 0};
  if (const auto returned = queue_->use({&used, 1}); !returned) {
    fail(returned.error());
    return false;
  }
  const MutexLock lock(mutex_);
  ++(written ? counts_.reported : counts_.dropped);
  return true;
}

}  // namespace weir::virtio_iommu
