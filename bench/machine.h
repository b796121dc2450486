// SPDX-License-Identifier: Apache-2.0
//
// A machine to measure: guest memory in three slots, one unit with the workload mapped for one
// domain, two functions behind it and one beside it. The IOTLB holds the whole workload once
// warm_up() has been through it.
//
// Construction and warm_up: one thread. The ports: as DmaPort says.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "bench/workload.h"
#include "iommu/iommu.h"

namespace weir::bench {

class Machine {
 public:
  static constexpr std::size_t kTranslated = 2;

  // `verified`: as if the guest's flushes were not heard of (G13).
  Machine(const Workload& workload, std::size_t entries, bool verified = false);
  ~Machine();

  // Function `index` behind the unit, 0…kTranslated-1; and the one that no unit covers.
  [[nodiscard]] DmaPort& translated(std::size_t index) { return *translated_[index]; }
  [[nodiscard]] DmaPort& bypassing() { return *bypassing_; }
  [[nodiscard]] Stats stats() const { return iommu_->stats(); }

  // Asks every port for every page and compares all of the answer. Says what was wrong.
  [[nodiscard]] std::optional<std::string> warm_up(const Workload& workload);

 private:
  struct Ram;

  std::unique_ptr<Ram> ram_;
  std::unique_ptr<Iommu> iommu_;
  std::unique_ptr<DmaPort> translated_[kTranslated];
  std::unique_ptr<DmaPort> bypassing_;
};

}  // namespace weir::bench
