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

namespace {

constexpr iotlb::Tag kTag{.domain = {1}};

template <typename Map>
void enter(const Workload& workload, Map& map) {
  for (std::size_t i = 0; i < workload.pages(); ++i)
    map.insert(
        {PageKey(kTag, workload.page(i)),
         {.gpa = workload.gpa_of_page(i).value(), .permissions = Permissions::read_write()}});
}

}  // namespace

LockedMap::LockedMap(const Workload& workload, const pagetables::PhysicalMemory& memory)
    : around_(memory, kTag) {
  enter(workload, map_);
}

ConcurrentMap::ConcurrentMap(const Workload& workload, const pagetables::PhysicalMemory& memory)
    : around_(memory, kTag) {
  enter(workload, map_);
}

}  // namespace weir::bench
