// SPDX-License-Identifier: Apache-2.0
//
// What walks remember besides finished translations, for one unit:
//
//   stage1_tables   where the tables of guest stage 1 lie, by level and input prefix
//   stage2_tables   the same for guest stage 2, whether alone or below stage 1
//   stage2_pages    finished stage-2 translations (a nested TLB)
//
// Each is a small Iotlb of its own: an entry for a table covers what the table covers, so that
// tags, page sizes, exact invalidation and the refusal of overtaken fills (L2, L5) are the same
// code.
//
// Thread rules: those of Iotlb.
#pragma once

#include <cstddef>

#include "iotlb/entry.h"
#include "iotlb/iotlb.h"

namespace weir::iotlb {

// Entries of each; 0: that cache is off.
struct WalkCacheOptions {
  std::size_t stage1_tables = 64;
  std::size_t stage2_tables = 64;
  std::size_t stage2_pages = 1024;
};

class WalkCaches {
 public:
  explicit WalkCaches(const WalkCacheOptions& options)
      : stage1_tables({.entries = options.stage1_tables}),
        stage2_tables({.entries = options.stage2_tables}),
        stage2_pages({.entries = options.stage2_pages}) {}

  struct Tickets {
    FillTicket stage1_tables;
    FillTicket stage2_tables;
    FillTicket stage2_pages;
  };
  // Before the walk reads its first word.
  [[nodiscard]] Tickets begin_fill(DomainId domain) const;

  // A leaf-only hint keeps the tables of the stage that it speaks of; finished pages go. Gives the
  // number of entries removed.
  std::uint64_t invalidate(const Invalidation& what);

  Iotlb stage1_tables;
  Iotlb stage2_tables;
  Iotlb stage2_pages;
};

}  // namespace weir::iotlb
