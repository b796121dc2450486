// SPDX-License-Identifier: Apache-2.0
//
// A host map of one level: for each 1 GiB region of GPA space an array of one word per 4 KiB page.
// Any page can lie anywhere, and every lookup reads exactly one word, so that a nested 4-level walk
// costs 9 references without any cache.
//
// set and clear: any thread, one page at a time and atomically; whoever changes a page that devices
// may be using completes the change through Iommu::host_map_changed. lookup: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bits.h"
#include "pagetables/host_map.h"

namespace weir::pagetables {

class FlatHostMap final : public HostMap {
 public:
  static constexpr unsigned kRegionLg2 = 30;

  // Makes room for the regions that [first, first+size) touches; nothing is mapped yet. 2 MiB each.
  // Before use; one thread.
  void add_regions(Gpa first, std::uint64_t size);

  // REQUIRES: `page` lies in a region that was added; `page` and `to` are multiples of 4 KiB.
  void set(Gpa page, Hpa to, Permissions permissions);
  void clear(Gpa page);

  [[nodiscard]] Result<HostMapping, WalkFailure> lookup(Gpa at) const override;

 private:
  static constexpr std::size_t kPages = std::size_t{1} << (kRegionLg2 - kPageLg2);
  struct Region {
    std::uint64_t number = 0;  // GPA >> kRegionLg2
    std::unique_ptr<std::atomic<std::uint64_t>[]> pages;
  };

  [[nodiscard]] const Region* region_of(Gpa at) const;
  [[nodiscard]] std::atomic<std::uint64_t>& word_of(Gpa page);

  std::vector<Region> regions_;  // sorted; constant after the last add_regions
};

}  // namespace weir::pagetables
