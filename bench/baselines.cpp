// SPDX-License-Identifier: Apache-2.0
#include "bench/baselines.h"

#include <bit>

namespace weir::bench {

DirectMapped::DirectMapped(const Workload& workload)
    : mask_(std::bit_ceil(workload.pages()) - 1), lines_(mask_ + 1) {
  for (std::size_t i = 0; i < workload.pages(); ++i) {
    const std::uint64_t page = workload.page(i).value() >> kPageLg2;
    lines_[page & mask_] = {page, workload.gpa_of_page(i).value()};
  }
}

LockedMap::LockedMap(const Workload& workload) {
  for (std::size_t i = 0; i < workload.pages(); ++i)
    map_.emplace(workload.page(i).value() >> kPageLg2, workload.gpa_of_page(i).value());
}

ConcurrentMap::ConcurrentMap(const Workload& workload) {
  for (std::size_t i = 0; i < workload.pages(); ++i)
    map_.insert({workload.page(i).value() >> kPageLg2, workload.gpa_of_page(i).value()});
}

}  // namespace weir::bench
