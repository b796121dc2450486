// SPDX-License-Identifier: Apache-2.0
//
// The inside of an Iommu: what the public headers only name. Private to this room.
//
//   IommuCore   the machine: memory snapshot, units, ports, bursts, completions
//   UnitCore    one unit: its caches, its mode, and the vendor's Unit behind it
//   Port        one function, and its route
//
// Thread rules stand with each member.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "iommu/books.h"
#include "iommu/device_tlbs.h"
#include "iommu/dma_port.h"
#include "iommu/iommu.h"
#include "iommu/log.h"
#include "iommu/recorder.h"
#include "iommu/route.h"
#include "iommu/routes.h"
#include "iommu/shadows.h"
#include "iotlb/bursts.h"
#include "iotlb/context_cache.h"
#include "iotlb/flush_tracker.h"
#include "iotlb/iotlb.h"
#include "iotlb/verified_tlb.h"
#include "iotlb/walk_caches.h"
#include "pagetables/physical_memory.h"

namespace weir::core {

class IommuCore;

class UnitCore final : public UnitHost {
 public:
  UnitCore(IommuCore& core, UnitId id, std::uint64_t register_base, const CacheOptions& caches);
  ~UnitCore() override;

  [[nodiscard]] UnitId id() const override { return id_; }
  [[nodiscard]] std::uint16_t segment() const override;
  [[nodiscard]] const Clock& clock() const override;
  [[nodiscard]] Result<Done, FaultReason> read_memory(Gpa at, std::span<std::byte> to) override;
  [[nodiscard]] Result<Done, FaultReason> write_memory(Gpa at,
                                                       std::span<const std::byte> from) override;
  void set_mode(UnitMode mode) override;
  void set_interrupt_mode(InterruptMode mode) override;
  Ticket invalidate(const iotlb::Invalidation& what) override;
  Ticket invalidate_all(std::span<const iotlb::Invalidation> several) override;
  void drop(const iotlb::Invalidation& what) override;
  Ticket cover(std::span<const iotlb::Invalidation> dropped) override;
  Ticket invalidate_device_tlb(const iotlb::Invalidation& what,
                               std::optional<Clock::Duration> limit) override;
  bool respond(Requester function, const PageResponse& response) override;
  Ticket drain() override;
  Ticket quiesce() override;
  [[nodiscard]] bool settled(Ticket ticket) override;
  void log(LogLevel level, LogTopic topic, std::string_view line) override;
  void raise(Msi msi) override;
  [[nodiscard]] Recorder* recorder() override;

  [[nodiscard]] std::uint64_t register_base() const override { return register_base_; }
  [[nodiscard]] UnitMode mode() const {
    // Acquire: pairs with set_mode; who sees translation on sees the root it was turned on with.
    return mode_.load(std::memory_order_acquire);
  }
  [[nodiscard]] InterruptMode interrupt_mode() const {
    // Acquire: as mode(), for the table of interrupt entries.
    return interrupt_mode_.load(std::memory_order_acquire);
  }
  void forget_context(Requester function);
  void reset();

  iotlb::Iotlb iotlb;
  iotlb::WalkCaches walk_caches;
  iotlb::ContextCache contexts;
  iotlb::VerifiedTlb verified;
  iotlb::WalkCaches no_walk_caches;  // for walks whose every word must be known
  std::unique_ptr<Unit> unit;        // constant after install

 private:
  Ticket booked(std::uint64_t serial);
  void tell_interrupts_changed(const InterruptChange& change) const;

  IommuCore& core_;
  const UnitId id_;
  const std::uint64_t register_base_;
  std::atomic<UnitMode> mode_{UnitMode::kOff};
  std::atomic<InterruptMode> interrupt_mode_{InterruptMode::kOff};
};

class Port {
 public:
  Port(IommuCore& core_of_port, const Location& location_of_port);
  ~Port();

  // Valid inside a burst, for the rest of it.
  [[nodiscard]] const Route& route() const {
    // Acquire: pairs with replace_route.
    return *route_.load(std::memory_order_acquire);
  }
  // What it is called on the bus at this moment; any time. Its requests may bear another number,
  // which is that of the route.
  [[nodiscard]] Requester number() const {
    // Relaxed: a name, which orders nothing.
    return number_.load(std::memory_order_relaxed);
  }
  void renumber(Requester to) {
    // Relaxed: as in number().
    number_.store(to, std::memory_order_relaxed);
  }
  // Gives the old one, which bursts may still use. Under the lock of Routes.
  [[nodiscard]] std::unique_ptr<const Route> replace_route(std::unique_ptr<const Route> next);

  // Constant after construction.
  IommuCore& core;
  const bool recorded;  // every piece

  // Atomic.
  std::atomic<bool> bus_master{true};
  std::atomic<bool> open;  // bus master, and no piece is recorded: the short way may be taken
  // Translated requests are refused: the function owes an acknowledgement. Shared with DeviceTlbs.
  const std::shared_ptr<DeviceTlbs::Blocked> untrusted{
      std::make_shared<DeviceTlbs::Blocked>(false)};

  // Guarded by the lock of Routes.
  Location location;
  std::optional<PoolId> pool{};
  std::optional<PoolId> declared_pool{};  // where a reset puts it
  std::optional<FunctionId> followed{};   // of the topology that it follows

 private:
  std::atomic<const Route*> route_{nullptr};
  std::atomic<Requester> number_;
};

class IommuCore {
 public:
  explicit IommuCore(IommuConfig config);
  ~IommuCore();

  // Valid inside a burst, for the rest of it.
  [[nodiscard]] const pagetables::PhysicalMemory& memory() const {
    // Acquire: pairs with the exchange in change_memory.
    return *memory_.load(std::memory_order_acquire);
  }
  [[nodiscard]] const std::atomic<const pagetables::PhysicalMemory*>& memory_word() const {
    return memory_;
  }
  [[nodiscard]] std::uint64_t change_memory(std::shared_ptr<const GuestMemory> memory,
                                            std::shared_ptr<const pagetables::HostMap> host_map);
  [[nodiscard]] std::uint64_t host_map_changed(AddressRange<Gpa> range);
  // Takes hold for requests that begin afterwards. Gives the snapshot that has gone out of use, to
  // be kept until the completion (null: none has).
  [[nodiscard]] std::unique_ptr<const pagetables::PhysicalMemory> turn_pages(
      std::span<const AddressRange<Gpa>> made_private,
      std::span<const AddressRange<Gpa>> made_shared) WEIR_EXCLUDES(memory_change_);

  // Ends the calling thread's burst, and polls if somebody may have waited for it.
  void leave(iotlb::BurstRegistry::Slot& slot);
  void poll();

  // False: no such pin (any more). Polls if somebody waited for it.
  bool end_pin(std::uint64_t id);

  // A fault on its way out: recorded by the unit if it has one and wants to, booked, told.
  void report(UnitCore* unit, const Fault& fault);

  // Drops the context of a function behind a unit, and what its own TLB holds. Gives what must have
  // settled besides the requests of the function.
  [[nodiscard]] std::uint64_t forget_context(Requester function);

  [[nodiscard]] Port* find_port(Requester function);
  // What the requests of a function bear; for one that is not attached, its own number.
  [[nodiscard]] Requester requester_of(Requester function);
  [[nodiscard]] RouteView view(const Port& port);
  [[nodiscard]] bool add_port(Port& port);
  // False: it had no place of its own.
  bool remove_port(Port& port);
  // Keeps it until `serial` tells that nothing rests on it (0: now).
  void retire(std::uint64_t serial, Gone gone);

  // Constant after construction.
  const Clock& clock;
  const Sinks sinks;
  const CacheOptions caches;
  const Clock::Duration pin_limit;
  const Clock::Duration device_tlb_limit;
  Recorder* const recorder;

  iotlb::BurstRegistry bursts;
  iotlb::FlushTracker tracker{bursts, &clock};
  DeviceTlbs device_tlbs{tracker, clock};
  Shadows shadows;
  RareBooks books;
  Log log;

  // Changed only while machines are put together (see Iommu's thread rules).
  std::vector<std::unique_ptr<UnitCore>> units;
  Routes routes{*this};

 private:
  struct Ports;
  struct Retired {
    std::uint64_t serial = 0;
    Gone gone;
  };

  [[nodiscard]] std::unique_ptr<const pagetables::PhysicalMemory> snapshot(
      std::shared_ptr<const GuestMemory> memory,
      std::shared_ptr<const pagetables::HostMap> host_map) const WEIR_REQUIRES(memory_change_);
  void poll_once();
  void end_silent_waits();
  void free_retired();

  std::unique_ptr<Ports> ports_;  // constant after construction
  // Read by every request: what polls write has other lines.
  alignas(64) std::atomic<const pagetables::PhysicalMemory*> memory_{nullptr};
  alignas(64) std::atomic<std::uint64_t> poll_requests_{0};

  Mutex memory_change_;  // of those who replace the snapshot
  std::shared_ptr<pagetables::PrivatePages> private_pages_ WEIR_GUARDED_BY(memory_change_);

  Mutex mutex_;
  std::vector<Retired> retired_ WEIR_GUARDED_BY(mutex_);
};

// As people write a function: segment:bus:device.function.
[[nodiscard]] std::string name_of(Requester requester);
// What becomes of a function's requests; behind its name.
[[nodiscard]] std::string to_words(const Route& route);

[[nodiscard]] inline Request make_request(const Route& route, Iova iova, std::uint64_t size,
                                          Access access, const DmaAttributes& attributes) {
  return {.requester = route.requester,
          .pasid = attributes.pasid,
          .iova = iova,
          .size = size,
          .access = access,
          .address_type = attributes.address_type,
          .privileged = attributes.privileged,
          .execute = attributes.execute};
}

// The piece of a transfer that is about to be asked for, for whoever records it.
inline void note_form(DmaPort::Burst::State& burst, PieceForm form) {
  if (burst.recorder != nullptr) [[unlikely]]
    burst.form = form;
}

// For a burst that has not met its context yet, or not since it changed: takes over the route's own
// copy, if that is still good. False: plain requests cannot be answered with it at once.
bool make_ready(DmaPort::Burst::State& burst);
// The way of a request (translate.cpp): the numbered steps.
[[nodiscard]] Result<Translation, Fault> translate(DmaPort::Burst::State& burst,
                                                   const Request& request);
// The same without a trace: no fault, no fill, no count.
[[nodiscard]] std::optional<Translation> peek(DmaPort::Burst::State& burst, const Request& request);
// Delivers a write into the interrupt range, which translate() has booked as one (interrupts.cpp).
[[nodiscard]] Result<Done, Fault> deliver_interrupt(DmaPort::Burst::State& burst,
                                                    const Request& request,
                                                    std::span<const std::byte> data);
// What such a message would become; nothing is delivered, recorded or booked.
[[nodiscard]] Result<RemappedInterrupt, Fault> resolve_interrupt(const Port& port, Msi msi);
// The function's own write of a message.
[[nodiscard]] Result<Done, Fault> send_interrupt(Port& port, Msi msi);
// An ATS translation request (ats.cpp).
[[nodiscard]] AtsTranslation translate_for_device(DmaPort::Burst::State& burst,
                                                  const AtsRequest& attributes, Iova iova);
// The same for a page request.
void send_page_request(DmaPort::Burst::State& burst, const PageRequest& request);
// A piece that was translated, and booked as `booked`, did not come to an end after all: booked as
// a fault instead (L9), and told.
[[nodiscard]] Fault refuse(DmaPort::Burst::State& burst, const Request& request, Outcome booked,
                           FaultReason reason = FaultReason::kHostMapPermission);
// A fault that the vendor found, booked, recorded and told.
[[nodiscard]] Fault give_up(DmaPort::Burst::State& burst, Fault fault);
// A fault that the core itself found, booked and told.
[[nodiscard]] Fault fail(DmaPort::Burst::State& burst, const Request& request, FaultReason reason,
                         Stage stage = Stage::kNone);

}  // namespace weir::core
