// SPDX-License-Identifier: Apache-2.0
//
// What the unit's runner is held up by: one ticket for each place where it can be. Whoever hears
// that a ticket may have settled asks here whether the runner would get further.
//
// await: the runner; can_go_on: any thread. Neither waits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "iommu/unit.h"

namespace weir::virtio_iommu {

enum class Place : std::uint8_t { kReset, kBypass, kBatch, kGraveyard };
inline constexpr std::size_t kPlaces = 4;

class Parking {
 public:
  explicit Parking(UnitHost& host) : host_(host) {}

  // Has everything that the ticket stands for ended? If not, the place counts as parked until a
  // later call for it says yes.
  [[nodiscard]] bool await(Place place, Ticket ticket) WEIR_EXCLUDES(mutex_);
  void leave(Place place) WEIR_EXCLUDES(mutex_);
  [[nodiscard]] bool can_go_on() WEIR_EXCLUDES(mutex_);

 private:
  UnitHost& host_;
  Mutex mutex_;
  std::array<Ticket, kPlaces> parked_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::virtio_iommu
