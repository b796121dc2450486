// SPDX-License-Identifier: Apache-2.0
#include "tests/model/table_planter.h"

#include <algorithm>

#include "tests/model/entry_maker.h"

namespace weir::model {

std::optional<unsigned> TablePlanter::plant(std::uint64_t input, std::uint64_t output,
                                            unsigned at_most_lg2, Random& random) {
  const unsigned leaf_level = choose_leaf_level(at_most_lg2, random);
  Table table{root_, levels_of(format_)};
  for (;;) {
    const std::uint64_t at = entry_address(table.page * PagedImage::kPageBytes, input, table.level);
    if (const auto met = leaves_.find(at); met != leaves_.end()) return arrive(met->second, input);
    if (const auto met = tables_.find(at); met != tables_.end()) {
      table = met->second;
      continue;
    }
    if (table.level <= leaf_level) {
      std::vector<unsigned> sizes = leaf_sizes(format_, table.level);
      std::erase_if(sizes, [&](unsigned lg2) { return lg2 > at_most_lg2; });
      if (sizes.empty()) return std::nullopt;
      // Half of them of the level's own size, where there is a choice.
      const unsigned lg2 = random.chance(50) ? sizes.front() : random.pick(sizes);
      const Leaf leaf{lg2, output & ~bits(lg2 - 1, 0)};
      put_leaf(at, table.level, leaf);
      return arrive(leaf, input);
    }
    if (supply_.empty()) return std::nullopt;
    const Table next{supply_.take(), choose_next_level(input, table.level, leaf_level, random)};
    image_.store(at,
                 table_entry(format_, offset_ + next.page * PagedImage::kPageBytes, next.level));
    places_.push_back({at, stage_, table.level, false});
    pages_.push_back(next.page);
    tables_[at] = next;
    table = next;
  }
}

unsigned TablePlanter::choose_leaf_level(unsigned at_most_lg2, Random& random) const {
  unsigned highest = 1;
  while (highest < levels_of(format_) && !leaf_sizes(format_, highest + 1).empty() &&
         level_lg2(highest + 1) <= at_most_lg2)
    ++highest;
  return random.chance(40) ? 1 : random.between(1, highest);
}

// AMD-Vi v1 can go down more than one level where the input's bits between are zero (A7).
unsigned TablePlanter::choose_next_level(std::uint64_t input, unsigned level, unsigned leaf_level,
                                         Random& random) const {
  unsigned next = level - 1;
  if (!std::holds_alternative<AmdV1>(format_)) return next;
  while (next > leaf_level && random.chance(25) &&
         !has(input, bits(level_lg2(level) - 1, level_lg2(next))))
    --next;
  return next;
}

void TablePlanter::put_leaf(std::uint64_t at, unsigned level, Leaf leaf) {
  const std::uint64_t entry = leaf_entry(format_, level, leaf.page, leaf.lg2);
  const std::uint64_t replicas = leaf_replicas(level, leaf.lg2);
  const std::uint64_t first = at & ~(8 * replicas - 1);
  for (std::uint64_t n = 0; n < replicas; ++n) {
    const std::uint64_t replica = first + 8 * n;
    if (tables_.contains(replica) || leaves_.contains(replica)) continue;
    image_.store(replica, entry);
    leaves_[replica] = leaf;
  }
  places_.push_back({at, stage_, level, true});
}

unsigned TablePlanter::arrive(Leaf leaf, std::uint64_t input) {
  last_output_ = leaf.page | (input & bits(leaf.lg2 - 1, 0));
  return leaf.lg2;
}

}  // namespace weir::model
