// SPDX-License-Identifier: Apache-2.0
//
// Start here. An Iommu is the set of remapping units of one machine, the routes from its functions
// to them, and the caches between. The embedder builds it from guest memory, a clock, sinks and the
// bytes of the firmware tables that the guest reads; adds the units those tables name; attaches a
// DmaPort for every device function; and calls poll() now and then.
//
//   Iommu iommu({.memory = memory, .clock = &clock, .sinks = sinks});
//   iommu.use_tables(vtd::dmar_parser(), dmar_bytes);
//   vtd::Unit& unit = iommu.add_unit<vtd::Unit>(register_base, vtd::Options{});
//   auto port = iommu.attach({.function = Requester::from_bdf(0, 4, 0)});
//
// Thread rules: construction, use_tables, add_unit, attach and destruction on one thread at a time,
// and destruction after every port, pin and burst is gone. Everything else from any thread. No call
// blocks on a pin or a burst; what must wait is answered with a Change. Nothing here throws (but
// for std::bad_alloc), prints, or exits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/guest_memory.h"
#include "base/ids.h"
#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/dma_port.h"
#include "iommu/interrupts.h"
#include "iommu/recorder.h"
#include "iommu/sinks.h"
#include "iommu/stats.h"
#include "iommu/topology.h"
#include "iommu/transition.h"
#include "iommu/unit.h"
#include "iommu/window.h"
#include "iotlb/walk_caches.h"
#include "pagetables/host_map.h"

namespace weir {

namespace core {
class IommuCore;
}

// How a unit's IOTLB is organised. The reference organisation is exact LRU over all entries behind
// a lock: slow, and what the other is measured against.
struct CacheOptions {
  enum class Organisation : std::uint8_t { kSetAssociative, kReference };
  Organisation organisation = Organisation::kSetAssociative;
  // Rounded up to a power of two; 0: no IOTLB. kReference: 0 is no limit.
  std::size_t entries = 4096;
  iotlb::WalkCacheOptions walk{};
  // The guest's flushes never reach the units, as beside a vIOMMU that hardware runs: every context
  // is iotlb::Coherence::kVerified. What is cached is then compared with memory at each use and
  // nothing can be pinned; how many accesses rest on a comparison is Stats::exposed.
  bool verified = false;
  std::size_t verified_entries = 256;  // of at most 512 bytes each
  // For the answers of a host map that reads tables; memory slots need none.
  std::size_t host_map_entries = 1024;
};

struct IommuConfig {
  std::shared_ptr<const GuestMemory> memory;                      // required
  std::shared_ptr<const pagetables::HostMap> host_map = nullptr;  // null: identity memory slots
  const Clock* clock = nullptr;                                   // null: time stands still
  Sinks sinks{};
  CacheOptions caches{};
  Clock::Duration pin_limit = std::chrono::seconds(5);  // L8: then PinSink hears of it
  // How long a function may be silent about an invalidation of its own TLB, where its unit says
  // nothing else. PCIe lets hardware take a minute; a device in software has no reason to.
  Clock::Duration device_tlb_limit = std::chrono::seconds(1);
  Recorder* recorder = nullptr;  // iommu/recorder.h; the host map is memory slots then
};

// A firmware table as the guest reads it.
struct FirmwareTable {
  const TableParser* parser = nullptr;
  std::span<const std::byte> bytes{};
};

// Where the requests of a function go at this moment.
struct RouteView {
  enum class Kind : std::uint8_t { kBypass, kWindow, kUnit, kNone };
  Kind kind = Kind::kBypass;
  std::optional<UnitId> unit{};      // kUnit
  std::optional<Window> window{};    // kWindow

  friend bool operator==(const RouteView&, const RouteView&) = default;
};

// A change that is complete once everything before it has drained (L1). Cheap to copy.
class [[nodiscard]] Change {
 public:
  // True once nothing rests on the old state any more. Asks, never waits.
  [[nodiscard]] bool complete() const;

 private:
  friend class Iommu;
  std::function<bool()> settled_;
};

class Iommu {
 public:
  explicit Iommu(IommuConfig config);
  ~Iommu();
  Iommu(const Iommu&) = delete;
  Iommu& operator=(const Iommu&) = delete;

  // Takes the routes from a firmware table, once for each table that the guest will read, before
  // any attach. Without any, every function bypasses.
  [[nodiscard]] Result<Done, TableError> use_tables(const TableParser& parser,
                                                    std::span<const std::byte> table);

  // Makes a unit of vendor type `U`, constructed as U(UnitHost&, args...), and answers for the
  // table entry that names `register_base`. The Iommu owns it.
  template <typename U, typename... Args>
  U& add_unit(std::uint64_t register_base, Args&&... args) {
    UnitHost& host = prepare_unit(register_base);
    auto unit = std::make_unique<U>(host, std::forward<Args>(args)...);
    U& made = *unit;
    install_unit(host, std::move(unit));
    return made;
  }

  // A window that functions can be confined to, where the tables cover them with no unit. Several
  // functions may name one. Refuses, in one sentence, what is no window.
  [[nodiscard]] Result<Done, std::string> declare_pool(PoolId pool, const Window& window);

  // Attaches a function; its route is fixed here, from the tables: the unit that covers it, else
  // the window of `pool` if it has one, else bypass. Refuses, in one sentence: a function that is
  // attached already, is covered twice, is covered by a unit that was not added, or is covered and
  // has a window.
  [[nodiscard]] Result<std::unique_ptr<DmaPort>, std::string> attach(
      const Location& location, std::optional<PoolId> pool = std::nullopt);

  // The same for a function of a topology, whose route then follows it (see follow). A wish for a
  // window is one for the pool of that number. Refused also: an empty slot, and a function for which
  // the tables say something else than what is wished.
  [[nodiscard]] Result<std::unique_ptr<DmaPort>, std::string> attach(const Topology& topology,
                                                                     FunctionId function);

  // Goes on with what was parked, reports pins that are held too long. Call it whenever convenient;
  // nothing depends on how often, because whoever ends the last burst or pin polls as well.
  void poll();

  // The embedder's own changes. Each holds for requests that begin after the call.
  Change change_memory(std::shared_ptr<const GuestMemory> memory,
                       std::shared_ptr<const pagetables::HostMap> host_map = nullptr);
  // The tables behind a flat or radix host map changed inside `range`. Complete once nothing rests
  // on what they said before.
  Change host_map_changed(AddressRange<Gpa> range);
  Change set_bus_master(Requester function, bool on);
  // Function-level reset: whatever the function has in flight ends; its routes and rights stay. Its
  // own TLB, if it has one, has been emptied by the device.
  Change reset_function(Requester function);
  // Who reaches what, from now on; see there. Refuses, in one sentence, what would reach further or
  // contradicts the tables, and then changes nothing. Any thread, while requests are under way.
  [[nodiscard]] Result<Change, std::string> apply(const Transition& transition);
  // The machine itself has changed: buses were renumbered, BARs moved or switched off, functions
  // plugged or pulled. Functions that follow the topology get what the tables say of them now, and
  // windows that lie in a BAR are where it is. Complete once nothing rests on the old ways.
  // `refused`, if given, gets a sentence for each function that has no place any more (it reaches
  // nothing).
  Change follow(const Topology& topology, std::vector<std::string>* refused = nullptr);
  // Machine reset: every unit to power-on state, caches empty, windows as they were declared; pages
  // stay private. REQUIRES: devices stopped.
  Change reset();
  // The same with other tables in the guest's memory: the one time when a function may come under a
  // unit or leave it. What they have no place for (covered twice, by a unit that was not added, or
  // beside a window) reaches nothing; route_of tells. Fails if one of them cannot be read.
  [[nodiscard]] Result<Change, TableError> reset(std::span<const FirmwareTable> tables);
  [[nodiscard]] RouteView route_of(const DmaPort& port) const;
  // Ends a pin from the outside, once its device is stopped. False: no such pin (any more).
  bool revoke(std::uint64_t pin);

  // What a message of an attached function (or interrupt controller) would become now, for those
  // who keep it (a route of an irqfd). Leaves no trace: a fault is not recorded. What is kept must
  // be resolved and kept under the lock that Sinks::interrupt_changes takes, or a change that comes
  // between is missed. Fails with kDetached for a function that is not attached.
  [[nodiscard]] Result<RemappedInterrupt, Fault> resolve_msi(Requester requester,
                                                             std::uint64_t address,
                                                             std::uint32_t data);
  // Sends the message of a function that has no DmaPort at hand: as its DMA write would, with
  // whatever becomes of it, the record of a fault included.
  [[nodiscard]] Result<Done, Fault> send_msi(Requester requester, Msi msi);

  // A sum of the per-thread books at this moment; exact when no request is under way.
  [[nodiscard]] Stats stats() const;

 private:
  UnitHost& prepare_unit(std::uint64_t register_base);
  void install_unit(UnitHost& host, std::unique_ptr<Unit> unit);
  Change change_for(std::vector<std::uint64_t> serials);
  Change reset_to(std::optional<Coverage> tables);
  Result<std::unique_ptr<DmaPort>, std::string> attached(
      Result<std::unique_ptr<core::Port>, std::string> port);
  Change end_requests(Requester function);

  std::unique_ptr<core::IommuCore> core_;
};

}  // namespace weir
