// SPDX-License-Identifier: Apache-2.0
//
// What every virtio device has whatever its type and its transport: feature negotiation, status,
// the registers of its queues, its interrupts (virtio 1.4, 2.1, 2.2, 3.1). A type of device stands
// behind it as a DeviceType; a transport (mmio.h, pci.h) in front of it turns register accesses
// into these calls.
//
// All members: any thread. The registers are behind one lock, which is never held while the type or
// the interrupt sink is called; no call waits for a device. A reset that must wait for what is in
// flight shows in the status, which then keeps what it was until the type says reset_done().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/mutex.h"
#include "iommu/recorder.h"
#include "vendors/common/virtio/features.h"
#include "vendors/common/virtio/queue_error.h"

namespace weir::virtio {

struct Interrupt {
  enum class Cause : std::uint8_t { kQueue, kConfig };
  Cause cause = Cause::kQueue;
  std::uint16_t queue = 0;           // kQueue
  std::uint16_t vector = kNoVector;  // the MSI-X table entry that the driver chose for it
};

class InterruptSink {
 public:
  virtual ~InterruptSink() = default;
  // Each one, for message-signalled interrupts. kNoVector: the driver wants none.
  virtual void on_interrupt(const Interrupt& interrupt) = 0;
  // The interrupt line, for transports and guests without messages.
  virtual void on_line(bool /*asserted*/) {}
};

// What a driver does through Device's members that change anything, as a recording numbers it
// (words[0] of RecordedCall::What::kFrontDoor); operands follow in the order of the arguments.
enum class DriverCall : std::uint8_t {
  kFeatures,
  kStatus,
  kQueueSize,
  kQueueArea,
  kQueueVector,
  kEnableQueue,
  kDisableQueue,
  kKick,
  kConfigVector,
  kWriteConfig,
  kAcknowledge,
};

// One type of device. Called without any lock of Device, from whichever thread wrote the register.
class DeviceType {
 public:
  virtual ~DeviceType() = default;

  [[nodiscard]] virtual std::uint16_t device_id() const = 0;
  [[nodiscard]] virtual std::uint64_t offered_features() const = 0;
  [[nodiscard]] virtual std::vector<std::uint16_t> queue_sizes() const = 0;  // the largest of each

  // Device-specific configuration, beginning at `offset`; what lies beyond it reads 0 and ignores
  // writes.
  virtual void read_config(std::uint64_t offset, std::span<std::byte> to) = 0;
  virtual void write_config(std::uint64_t offset, std::span<const std::byte> from) = 0;

  // The driver has accepted `features` (FEATURES_OK).
  virtual void features_accepted(std::uint64_t features) = 0;
  // A queue may be used from now on: DRIVER_OK is set and the queue is enabled.
  virtual void start_queue(std::uint16_t queue, const QueueConfig& config) = 0;
  // It must not be touched any more; the type says queue_stopped() when that is so.
  virtual void stop_queue(std::uint16_t queue) = 0;
  virtual void kick(std::uint16_t queue) = 0;
  // Device reset. The type says reset_done() once nothing rests on what was before, at once or
  // later.
  virtual void reset() = 0;
};

// One queue's registers as the driver sees them.
struct QueueRegisters {
  std::uint16_t max_size = 0;  // constant
  std::uint16_t size = 0;
  std::uint16_t vector = kNoVector;
  bool enabled = false;
  bool started = false;  // the type knows of it
  Gpa descriptors;
  Gpa driver;
  Gpa device;
};

class Device {
 public:
  enum class Area : std::uint8_t { kDescriptors, kDriver, kDevice };

  // `sink` may be null; both must outlive the device. The type must not be called before its own
  // construction is over, so nothing is called from here but what is const.
  Device(DeviceType& type, InterruptSink* sink);
  // From now on `recorder` hears of every DriverCall. Before the device is used.
  void record_with(Recorder& recorder, UnitId unit);

  // --- the driver's side
  [[nodiscard]] std::uint16_t device_id() const { return device_id_; }
  [[nodiscard]] std::uint64_t offered_features() const { return offered_; }
  [[nodiscard]] std::uint64_t driver_features() const;
  // Ignored once FEATURES_OK is set (3.1.1).
  void set_driver_features(std::uint64_t features);
  [[nodiscard]] std::uint8_t status() const;
  void write_status(std::uint8_t value);

  [[nodiscard]] std::uint16_t queue_count() const { return queue_count_; }
  // Of a queue that does not exist, all zero.
  [[nodiscard]] QueueRegisters queue(std::uint16_t index) const;
  // Ignored while the queue is enabled.
  void set_queue_size(std::uint16_t index, std::uint16_t size);
  void set_queue_area(std::uint16_t index, Area area, Gpa at);
  void set_queue_vector(std::uint16_t index, std::uint16_t vector);
  void enable_queue(std::uint16_t index);
  void disable_queue(std::uint16_t index);
  void kick(std::uint16_t index);

  [[nodiscard]] std::uint16_t config_vector() const;
  void set_config_vector(std::uint16_t vector);
  void read_config(std::uint64_t offset, std::span<std::byte> to);
  void write_config(std::uint64_t offset, std::span<const std::byte> from);
  [[nodiscard]] std::uint8_t config_generation();

  // Why interrupts were raised since it was acknowledged last.
  [[nodiscard]] std::uint8_t interrupt_status() const;
  void acknowledge(std::uint8_t causes);

  // --- the device type's side
  // Chains were returned and the driver wants to hear of it.
  void interrupt(std::uint16_t queue);
  // The type's configuration changed.
  void config_changed();
  // The driver broke the protocol: nothing goes on before a reset (2.1.2).
  void needs_reset();
  void reset_done();
  void queue_stopped(std::uint16_t index);

  // Power-on state, without asking the driver. The type resets itself.
  void power_on();

 private:
  static constexpr std::size_t kMostQueues = 8;

  [[nodiscard]] QueueConfig config_of(const QueueRegisters& queue) const WEIR_REQUIRES(mutex_);
  void forget() WEIR_REQUIRES(mutex_);
  // Queues that have become usable; the caller starts them without the lock.
  [[nodiscard]] std::vector<std::uint16_t> startable() WEIR_REQUIRES(mutex_);
  void start(const std::vector<std::uint16_t>& queues) WEIR_EXCLUDES(mutex_);
  void raise(Interrupt interrupt, std::uint64_t cause) WEIR_EXCLUDES(mutex_);

  [[nodiscard]] RecordedScope recorded(DriverCall call, std::uint64_t a, std::uint64_t b = 0,
                                       std::uint64_t c = 0,
                                       std::span<const std::byte> data = {}) const;

  // Constant before use.
  Recorder* recorder_ = nullptr;
  UnitId unit_{};
  // Constant after construction.
  DeviceType& type_;
  InterruptSink* const sink_;
  const std::uint16_t device_id_;
  const std::uint64_t offered_;
  std::uint16_t queue_count_ = 0;

  mutable Mutex mutex_;
  std::array<QueueRegisters, kMostQueues> queues_ WEIR_GUARDED_BY(mutex_);
  std::uint64_t driver_features_ WEIR_GUARDED_BY(mutex_) = 0;
  std::uint8_t status_ WEIR_GUARDED_BY(mutex_) = 0;
  std::uint8_t resetting_from_ WEIR_GUARDED_BY(mutex_) = 0;  // shown until the reset is over
  bool resetting_ WEIR_GUARDED_BY(mutex_) = false;
  std::uint16_t config_vector_ WEIR_GUARDED_BY(mutex_) = kNoVector;
  std::uint8_t interrupt_status_ WEIR_GUARDED_BY(mutex_) = 0;
  std::uint8_t generation_ WEIR_GUARDED_BY(mutex_) = 0;
  bool config_seen_ WEIR_GUARDED_BY(mutex_) = false;  // read since generation_ moved
};

}  // namespace weir::virtio
