// SPDX-License-Identifier: Apache-2.0
//
// What walks remember besides finished translations, for one unit:
//
//   stage1_tables   where the tables of guest stage 1 lie, by level and input prefix; below stage 2
//                   also where stage 2 puts them, so that reading one takes no second lookup
//   stage2_tables   the same for guest stage 2, whether alone or below stage 1
//   stage2_pages    finished stage-2 translations (a nested TLB); they have no PASID
//
// An entry for a table covers what the table covers. Where stage 2 puts a table is a finished
// stage-2 translation of its own: it is good as long as nothing was invalidated that any of the
// domain's could be covered by, after which stage2_pages is asked again, which knows exactly (L7).
//
// Thread rules: those of WalkCache.
#pragma once

#include <cstddef>

#include "iotlb/entry.h"
#include "iotlb/walk_cache.h"

namespace weir::iotlb {

using TableCache = WalkCache<Keeps::kPointersToo>;
using PageCache = WalkCache<Keeps::kOutputs>;

// Entries of each; 0: that cache is off.
struct WalkCacheOptions {
  std::size_t stage1_tables = 64;
  std::size_t stage2_tables = 64;
  std::size_t stage2_pages = 1024;
};

class WalkCaches {
 public:
  explicit WalkCaches(const WalkCacheOptions& options)
      : stage1_tables(options.stage1_tables),
        stage2_tables(options.stage2_tables),
        stage2_pages(options.stage2_pages) {}

  struct Tickets {
    FillTicket stage1_tables;
    FillTicket stage2_tables;
    FillTicket stage2_pages;
  };
  // Before the walk reads its first word.
  [[nodiscard]] Tickets begin_fill(DomainId domain) const {
    return {stage1_tables.begin_fill(domain), stage2_tables.begin_fill(domain),
            stage2_pages.begin_fill(domain)};
  }

  // Nothing is ever remembered.
  [[nodiscard]] bool off() const {
    return stage1_tables.off() && stage2_tables.off() && stage2_pages.off();
  }

  // A leaf-only hint keeps the tables of the stage that it speaks of; finished pages go. Gives the
  // number of entries removed.
  std::uint64_t invalidate(const Invalidation& what);

  TableCache stage1_tables;
  TableCache stage2_tables;  // without pointers: there is no stage further down
  PageCache stage2_pages;
};

}  // namespace weir::iotlb
