// SPDX-License-Identifier: Apache-2.0
#include "vendors/common/virtio/device.h"

#include <algorithm>

namespace weir::virtio {
namespace {

[[nodiscard]] bool has(std::uint64_t features, std::uint64_t mask) {
  return (features & mask) == mask;
}

[[nodiscard]] std::uint8_t with_bits(std::uint8_t value, std::uint64_t mask) {
  return static_cast<std::uint8_t>(value | mask);
}
[[nodiscard]] std::uint8_t without_bits(std::uint8_t value, std::uint64_t mask) {
  return static_cast<std::uint8_t>(value & ~mask);
}

}  // namespace

Device::Device(DeviceType& type, InterruptSink* sink)
    : type_(type), sink_(sink), device_id_(type.device_id()), offered_(type.offered_features()) {
  const auto sizes = type.queue_sizes();
  queue_count_ = static_cast<std::uint16_t>(std::min(sizes.size(), kMostQueues));
  const MutexLock lock(mutex_);
  for (std::uint16_t i = 0; i < queue_count_; ++i) queues_[i].max_size = sizes[i];
  forget();
}

void Device::record_with(Recorder& recorder, UnitId unit) {
  recorder_ = &recorder;
  unit_ = unit;
}

RecordedScope Device::recorded(DriverCall call, std::uint64_t a, std::uint64_t b, std::uint64_t c,
                               std::span<const std::byte> data) const {
  return {recorder_,
          {.what = RecordedCall::What::kFrontDoor,
           .unit = unit_,
           .words = {static_cast<std::uint64_t>(call), a, b, c},
           .data = data}};
}

void Device::forget() {
  for (QueueRegisters& queue : queues_)
    queue = {.max_size = queue.max_size,
             .size = queue.max_size,
             .descriptors = {},
             .driver = {},
             .device = {}};
  driver_features_ = 0;
  status_ = 0;
  config_vector_ = kNoVector;
  interrupt_status_ = 0;
}

std::uint64_t Device::driver_features() const {
  const MutexLock lock(mutex_);
  return driver_features_;
}

void Device::set_driver_features(std::uint64_t features) {
  const RecordedScope scope = recorded(DriverCall::kFeatures, features);
  const MutexLock lock(mutex_);
  if (!status::kFeaturesOk.is_set(status_)) driver_features_ = features;
}

std::uint8_t Device::status() const {
  const MutexLock lock(mutex_);
  return resetting_ && status_ == 0 ? resetting_from_ : status_;
}

void Device::write_status(std::uint8_t value) {
  const RecordedScope scope = recorded(DriverCall::kStatus, value);
  bool reset = false;
  bool accepted = false;
  std::uint64_t features = 0;
  std::vector<std::uint16_t> ready;
  {
    const MutexLock lock(mutex_);
    if (value == 0) {
      reset = true;
      if (!resetting_ || status_ != 0) resetting_from_ = status_;
      resetting_ = true;
      forget();
    } else {
      const bool was_ok = status::kFeaturesOk.is_set(status_);
      features = driver_features_;
      // 3.1.1: a device refuses what it did not offer, and a legacy driver, by not keeping the bit.
      const bool acceptable =
          (features & ~offered_) == 0 && has(features, feature::kVersion1.kMask);
      std::uint8_t next = static_cast<std::uint8_t>(value & status::kLayout.defined);
      if (!was_ok && !acceptable) next = without_bits(next, status::kFeaturesOk.kMask);
      accepted = !was_ok && status::kFeaturesOk.is_set(next);
      // The device's own bit: the driver cannot take it away.
      next = without_bits(next, status::kNeedsReset.kMask);
      status_ = with_bits(next, status::kNeedsReset.in_place(status_));
      ready = startable();
    }
  }
  if (reset) {
    if (sink_ != nullptr) sink_->on_line(false);
    type_.reset();
    return;
  }
  if (accepted) type_.features_accepted(features);
  start(ready);
}

QueueRegisters Device::queue(std::uint16_t index) const {
  if (index >= queue_count_) return {.descriptors = {}, .driver = {}, .device = {}};
  const MutexLock lock(mutex_);
  return queues_[index];
}

void Device::set_queue_size(std::uint16_t index, std::uint16_t size) {
  const RecordedScope scope = recorded(DriverCall::kQueueSize, index, size);
  if (index >= queue_count_) return;
  const MutexLock lock(mutex_);
  if (!queues_[index].enabled) queues_[index].size = size;
}

void Device::set_queue_area(std::uint16_t index, Area area, Gpa at) {
  const RecordedScope scope =
      recorded(DriverCall::kQueueArea, index, static_cast<std::uint64_t>(area), at.value());
  if (index >= queue_count_) return;
  const MutexLock lock(mutex_);
  QueueRegisters& queue = queues_[index];
  if (queue.enabled) return;
  switch (area) {
    case Area::kDescriptors:
      queue.descriptors = at;
      break;
    case Area::kDriver:
      queue.driver = at;
      break;
    case Area::kDevice:
      queue.device = at;
      break;
  }
}

void Device::set_queue_vector(std::uint16_t index, std::uint16_t vector) {
  const RecordedScope scope = recorded(DriverCall::kQueueVector, index, vector);
  if (index >= queue_count_) return;
  const MutexLock lock(mutex_);
  queues_[index].vector = vector;
}

QueueConfig Device::config_of(const QueueRegisters& queue) const {
  return {.size = queue.size,
          .descriptors = queue.descriptors,
          .driver = queue.driver,
          .device = queue.device,
          .packed = feature::kPackedRing.is_set(driver_features_),
          .indirect = feature::kIndirect.is_set(driver_features_),
          .event_index = feature::kEventIndex.is_set(driver_features_)};
}

std::vector<std::uint16_t> Device::startable() {
  std::vector<std::uint16_t> ready;
  if (!status::kDriverOk.is_set(status_) || !status::kFeaturesOk.is_set(status_) ||
      status::kNeedsReset.is_set(status_))
    return ready;
  for (std::uint16_t i = 0; i < queue_count_; ++i) {
    QueueRegisters& queue = queues_[i];
    if (!queue.enabled || queue.started) continue;
    queue.started = true;
    ready.push_back(i);
  }
  return ready;
}

void Device::start(const std::vector<std::uint16_t>& queues) {
  for (const std::uint16_t i : queues) {
    QueueConfig config;
    bool good = false;
    {
      const MutexLock lock(mutex_);
      config = config_of(queues_[i]);
      good = config.size <= queues_[i].max_size;
    }
    if (good)
      type_.start_queue(i, config);
    else
      needs_reset();
  }
}

void Device::enable_queue(std::uint16_t index) {
  const RecordedScope scope = recorded(DriverCall::kEnableQueue, index);
  if (index >= queue_count_) return;
  std::vector<std::uint16_t> ready;
  {
    const MutexLock lock(mutex_);
    queues_[index].enabled = true;
    ready = startable();
  }
  start(ready);
}

void Device::disable_queue(std::uint16_t index) {
  const RecordedScope scope = recorded(DriverCall::kDisableQueue, index);
  if (index >= queue_count_) return;
  {
    const MutexLock lock(mutex_);
    if (!queues_[index].enabled) return;
    if (!queues_[index].started) {
      queues_[index].enabled = false;
      return;
    }
  }
  type_.stop_queue(index);
}

void Device::queue_stopped(std::uint16_t index) {
  if (index >= queue_count_) return;
  const MutexLock lock(mutex_);
  queues_[index].enabled = false;
  queues_[index].started = false;
}

void Device::kick(std::uint16_t index) {
  const RecordedScope scope = recorded(DriverCall::kKick, index);
  {
    const MutexLock lock(mutex_);
    if (index >= queue_count_ || !queues_[index].started || status::kNeedsReset.is_set(status_))
      return;
  }
  type_.kick(index);
}

std::uint16_t Device::config_vector() const {
  const MutexLock lock(mutex_);
  return config_vector_;
}

void Device::set_config_vector(std::uint16_t vector) {
  const RecordedScope scope = recorded(DriverCall::kConfigVector, vector);
  const MutexLock lock(mutex_);
  config_vector_ = vector;
}

void Device::read_config(std::uint64_t offset, std::span<std::byte> to) {
  {
    const MutexLock lock(mutex_);
    config_seen_ = true;
  }
  type_.read_config(offset, to);
}

void Device::write_config(std::uint64_t offset, std::span<const std::byte> from) {
  const RecordedScope scope = recorded(DriverCall::kWriteConfig, offset, 0, 0, from);
  type_.write_config(offset, from);
}

std::uint8_t Device::config_generation() {
  const MutexLock lock(mutex_);
  return generation_;
}

std::uint8_t Device::interrupt_status() const {
  const MutexLock lock(mutex_);
  return interrupt_status_;
}

void Device::acknowledge(std::uint8_t causes) {
  const RecordedScope scope = recorded(DriverCall::kAcknowledge, causes);
  bool quiet = false;
  {
    const MutexLock lock(mutex_);
    const bool was = interrupt_status_ != 0;
    interrupt_status_ = without_bits(interrupt_status_, causes);
    quiet = was && interrupt_status_ == 0;
  }
  if (quiet && sink_ != nullptr) sink_->on_line(false);
}

void Device::raise(Interrupt interrupt, std::uint64_t cause) {
  {
    const MutexLock lock(mutex_);
    interrupt_status_ = with_bits(interrupt_status_, cause);
    interrupt.vector = interrupt.cause == Interrupt::Cause::kQueue ? queues_[interrupt.queue].vector
                                                                   : config_vector_;
  }
  if (sink_ == nullptr) return;
  sink_->on_interrupt(interrupt);
  sink_->on_line(true);
}

void Device::interrupt(std::uint16_t queue) {
  if (queue < queue_count_) raise({.queue = queue}, isr::kQueue.kMask);
}

void Device::config_changed() {
  {
    const MutexLock lock(mutex_);
    // 4.1.4.3.1: another number only if somebody has seen what it numbered, lest it wraps unseen.
    if (config_seen_) ++generation_;
    config_seen_ = false;
    if (!status::kDriverOk.is_set(status_)) return;
  }
  raise({.cause = Interrupt::Cause::kConfig}, isr::kConfig.kMask);
}

void Device::needs_reset() {
  {
    const MutexLock lock(mutex_);
    if (status_ == 0 || status::kNeedsReset.is_set(status_)) return;
    status_ = with_bits(status_, status::kNeedsReset.kMask);
    if (!status::kDriverOk.is_set(status_)) return;
  }
  raise({.cause = Interrupt::Cause::kConfig}, isr::kConfig.kMask);
}

void Device::reset_done() {
  const MutexLock lock(mutex_);
  resetting_ = false;
}

void Device::power_on() {
  {
    const MutexLock lock(mutex_);
    forget();
    resetting_ = false;
  }
  if (sink_ != nullptr) sink_->on_line(false);
}

}  // namespace weir::virtio
