// SPDX-License-Identifier: Apache-2.0
//
// What the embedder hears from weir. Sinks are called from whichever thread caused the event, with
// no weir lock held, and may call back into weir. They must outlive the Iommu. A null sink means
// that nobody listens.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/clock.h"
#include "base/dirty_sink.h"
#include "base/fault.h"
#include "base/ids.h"
#include "iommu/interrupts.h"
#include "iommu/log.h"
#include "iommu/transition.h"

namespace weir {

class InterruptSink {
 public:
  virtual ~InterruptSink() = default;
  // From a device function, remapped where a unit remaps; `requester` is always the true one.
  virtual void on_device_msi(Requester requester, Msi msi) = 0;
  // The same with all that is known of it. For a posted one, which is in memory by now, `msi` is
  // its notification.
  virtual void on_device_interrupt(Requester requester, const RemappedInterrupt& interrupt) {
    on_device_msi(requester, interrupt.msi);
  }
  // From a unit itself: its fault event, its invalidation completion event.
  virtual void on_unit_msi(UnitId unit, Msi msi) = 0;
};

class InterruptChangeSink {
 public:
  virtual ~InterruptChangeSink() = default;
  // What Iommu::resolve_msi said before may no longer be so. The change completes when this
  // returns, and not before: drop or renew what was cached, under the lock under which it was
  // resolved and cached.
  virtual void on_interrupts_changed(const InterruptChange& change) = 0;
};

class FaultSink {
 public:
  virtual ~FaultSink() = default;
  // Every fault, recorded for the guest or not.
  virtual void on_fault(const Fault& fault) = 0;
};

struct StuckPin {
  Requester requester;
  AddressRange<Iova> range;
  Clock::Duration age;
};

class PinSink {
 public:
  virtual ~PinSink() = default;
  // Said once per pin, from poll(): a completion has waited for this pin beyond the limit. The
  // completion stays pending; Iommu::revoke ends it once the device is stopped.
  virtual void on_stuck_pin(std::uint64_t pin, const StuckPin& what) = 0;
};

struct Sinks {
  InterruptSink* interrupts = nullptr;
  InterruptChangeSink* interrupt_changes = nullptr;
  FaultSink* faults = nullptr;
  DirtySink* dirty = nullptr;
  PinSink* pins = nullptr;
  LogSink* log = nullptr;
  TransitionSink* transitions = nullptr;
};

}  // namespace weir
