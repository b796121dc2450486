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

#include "base/mutex.h"
#include "base/result.h"
#include "iommu/coverage.h"
#include "iommu/route.h"
#include "iommu/window.h"

namespace weir::core {

class IommuCore;
class Port;

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
                                                                  std::optional<PoolId> pool)
      WEIR_EXCLUDES(mutex_);
  void remove(Port& port) WEIR_EXCLUDES(mutex_);

 private:
  [[nodiscard]] Result<std::unique_ptr<const Route>, std::string> resolve(
      const Location& location, std::optional<PoolId> pool) const WEIR_REQUIRES(mutex_);

  IommuCore& core_;

  mutable Mutex mutex_;
  Coverage coverage_ WEIR_GUARDED_BY(mutex_);
  // Empty: nowhere at this moment.
  std::map<PoolId, std::optional<Window>> pools_ WEIR_GUARDED_BY(mutex_);
  std::set<Port*> ports_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::core
