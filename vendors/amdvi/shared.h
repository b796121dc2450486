// SPDX-License-Identifier: Apache-2.0
//
// What the parts of a unit share: the registers under one lock, the few of them that device threads
// read without it, the logs, the requests that register writes leave behind, and the list of
// tickets that something waits for.
//
// Register writes change bits and leave requests under the lock. One thread at a time, the runner
// (unit.cpp), takes the requests up with no lock held, because that means calling the core, writing
// guest memory and raising interrupts, all of which may call back. Whoever comes meanwhile leaves a
// note; the runner makes another pass for it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "iommu/unit.h"
#include "vendors/amdvi/capabilities.h"
#include "vendors/amdvi/events.h"
#include "vendors/amdvi/messages.h"
#include "vendors/amdvi/register_file.h"
#include "vendors/amdvi/ring_log.h"
#include "vendors/common/parking.h"
#include "vendors/common/turn.h"

namespace weir::amdvi {

// What registers have accepted and the runner has not taken up yet.
struct Requests {
  std::optional<bool> enable;  // Control.IommuEn
  bool settings = false;       // something that contexts and translations rest on has changed
};

// Where the runner can be held up.
enum class Place : std::uint8_t { kEnable, kCommands };
inline constexpr std::size_t kPlaces = 2;

// What device threads need of the registers, each written as one word.
struct LiveRegisters {
  std::atomic<std::uint64_t> control{0};
  std::atomic<std::uint64_t> device_table{0};
  std::atomic<std::uint64_t> exclusion_base{0};
  std::atomic<std::uint64_t> exclusion_limit{0};
};

// One bit per device-id: it has had its one page fault logged (DTE.SE).
class SeenDevices {
 public:
  // True for the first who asks since forget().
  [[nodiscard]] bool first(std::uint16_t device);
  void forget(std::uint16_t device);
  void forget_all();

 private:
  static constexpr std::size_t kBits = 64;
  std::array<std::atomic<std::uint64_t>, 65536 / kBits> words_{};
};

// Which command asked a device's TLB: what a time-out names.
class DeviceCommands {
 public:
  void add(Ticket ticket, Gpa command) {
    if (open_.size() == kMost) open_.pop_front();
    open_.push_back({ticket.serial, command});
  }
  [[nodiscard]] std::optional<Gpa> take(Ticket ticket);
  void forget() { open_.clear(); }

 private:
  static constexpr std::size_t kMost = 1024;
  struct One {
    std::uint64_t serial;
    Gpa command;
  };
  std::deque<One> open_;
};

enum class LogKind : std::uint8_t { kEvents, kRequests, kGuest };

struct Shared {
  Shared(UnitHost& unit_host, const Options& options)
      : host(unit_host), capabilities(options), registers(options) {}

  // Puts an entry into a log and writes what is to be written. False: there was no room for it.
  bool log_entry(LogKind kind, const RingLog::Entry& entry) WEIR_EXCLUDES(mutex);
  [[nodiscard]] RingLog& log_of(LogKind kind) WEIR_REQUIRES(mutex);
  // A status bit with its message.
  void signal(std::uint64_t status_bit, std::uint64_t interrupt_enable,
              const reg::Register& own_message) WEIR_EXCLUDES(mutex);
  [[nodiscard]] std::optional<Msi> message_for(const reg::Register& own) const
      WEIR_REQUIRES(mutex) {
    return own_message(registers, own, pci_msi);
  }

  // Constant after construction.
  UnitHost& host;
  const Capabilities capabilities;

  Parking<Place, kPlaces> parking{host};
  Turn turn;  // the runner's

  Mutex mutex;
  RegisterFile registers WEIR_GUARDED_BY(mutex);
  RingLog events WEIR_GUARDED_BY(mutex){event_log_shape()};
  RingLog requests_log WEIR_GUARDED_BY(mutex){request_log_shape()};
  RingLog guest_log WEIR_GUARDED_BY(mutex){guest_log_shape()};
  std::optional<Msi> pci_msi WEIR_GUARDED_BY(mutex);
  DeviceCommands device_commands WEIR_GUARDED_BY(mutex);
  Requests requests WEIR_GUARDED_BY(mutex);
  std::uint64_t resets WEIR_GUARDED_BY(mutex) = 0;  // power-on resets so far

  LiveRegisters live;
  SeenDevices faulted;
};

}  // namespace weir::amdvi
