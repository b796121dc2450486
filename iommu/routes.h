// SPDX-License-Identifier: Apache-2.0
//
// Who goes where: the parse of the tables that the guest reads, the windows that were declared, and
// the functions that are attached. A route follows from these and from nothing else: covered by a
// unit: that unit; else a declared window; else bypass.
//
// Private to this room. Any thread, but for use_tables, attach and the units' being added (see
// Iommu's thread rules). Nothing here is on the way of a request: ports have their routes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/route.h"
#include "iommu/topology.h"
#include "iommu/transition.h"
#include "iommu/window.h"
#include "iotlb/invalidation.h"
#include "pagetables/physical_memory.h"

namespace weir::core {

class IommuCore;
class Port;

// What has gone out of use, and may still be used by bursts that began before.
struct Gone {
  std::unique_ptr<const pagetables::PhysicalMemory> memory{};
  std::vector<std::unique_ptr<const Route>> routes{};
};

class Routes {
 public:
  explicit Routes(IommuCore& core) : core_(core) {}

  // Adds what the table says to what others have said.
  void use(Coverage coverage) WEIR_EXCLUDES(mutex_);
  // As the tables say; 0 for a unit that none names.
  [[nodiscard]] std::uint16_t segment_of(std::uint64_t register_base) const WEIR_EXCLUDES(mutex_);
  // The pool is at this window from now on, or nowhere. Before anything is attached to it.
  void declare(PoolId pool, const Window& window) WEIR_EXCLUDES(mutex_);

  // Gives the port with its route, or why it has none.
  [[nodiscard]] Result<std::unique_ptr<Port>, std::string> attach(const Location& location,
                                                                  std::optional<PoolId> pool,
                                                                  std::optional<FunctionId> followed)
      WEIR_EXCLUDES(mutex_);
  // The same for a function of a topology, which its route then follows; refused also where the
  // tables say something else than what is wished of it.
  [[nodiscard]] Result<std::unique_ptr<Port>, std::string> attach(const Topology& topology,
                                                                  FunctionId function)
      WEIR_EXCLUDES(mutex_);
  // False: it was refused, and had no place.
  bool remove(Port& port) WEIR_EXCLUDES(mutex_);

  // All of it or nothing, and why not. Gives what must have settled before it is complete.
  using Serials = std::vector<std::uint64_t>;
  [[nodiscard]] Result<Serials, std::string> apply(const Transition& transition)
      WEIR_EXCLUDES(mutex_);
  // What the topology says of functions that follow it, and of windows. `refused` gets a sentence
  // for each that has no place any more.
  [[nodiscard]] Serials follow(const Topology& topology, std::vector<std::string>& refused)
      WEIR_EXCLUDES(mutex_);
  // Back to what was declared, by these tables (none: by those that are there). Gives what has gone
  // out of use, for the completion of the reset.
  [[nodiscard]] Gone reset(std::optional<Coverage> tables) WEIR_EXCLUDES(mutex_);

 private:
  // What changes hands when routes are replaced.
  struct Replaced {
    std::vector<Port*> ports;  // names, no more: they may be gone by now
    std::vector<std::unique_ptr<const Route>> routes;
    std::vector<iotlb::Invalidation> covers;
  };
  using Pools = std::map<PoolId, std::optional<Window>>;  // empty: nowhere at this moment

  [[nodiscard]] std::optional<std::string> why_not(const Transition& transition) const
      WEIR_REQUIRES(mutex_);
  [[nodiscard]] std::optional<std::string> why_not(const Transition::GroupTurn& turn) const;
  void replace(Port& port, Replaced& replaced) WEIR_REQUIRES(mutex_);
  void swap(Port& port, std::unique_ptr<const Route> next, Replaced& replaced)
      WEIR_REQUIRES(mutex_);
  // Waits for what was replaced, once all listeners have heard of it.
  void settle(Replaced replaced, Gone gone, Serials& serials);
  void renumber(std::span<Port* const> ports, std::vector<std::string>& refused)
      WEIR_REQUIRES(mutex_);
  [[nodiscard]] Result<std::unique_ptr<const Route>, std::string> resolve(
      const Location& location, std::optional<PoolId> pool) const WEIR_REQUIRES(mutex_);

  IommuCore& core_;

  mutable Mutex mutex_;
  Coverage coverage_ WEIR_GUARDED_BY(mutex_);
  Pools pools_ WEIR_GUARDED_BY(mutex_);
  Pools declared_ WEIR_GUARDED_BY(mutex_);  // where a reset puts them
  std::set<Port*> ports_ WEIR_GUARDED_BY(mutex_);
  std::uint64_t transitions_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::core
