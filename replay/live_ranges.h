// SPDX-License-Identifier: Apache-2.0
//
// Which ranges of one address space are mapped, as a trace's maps and unmaps leave them. Work goes
// by how many ranges there are and never by how long they are, so that a trace cannot ask for more
// than it is long.
//
// For one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

#include "base/address.h"

namespace weir::replay {

class LiveRanges {
 public:
  using Range = AddressRange<Iova>;

  [[nodiscard]] bool contains(Iova at) const {
    const auto after = last_by_first_.upper_bound(at.value());
    return after != last_by_first_.begin() && std::prev(after)->second >= at.value();
  }

  // REQUIRES: nothing in `range` is mapped.
  void add(const Range& range) { last_by_first_[range.first.value()] = range.last.value(); }

  // Takes away what is mapped in `range`, and gives it in the order of addresses.
  std::vector<Range> take(const Range& range) {
    std::vector<Range> taken;
    const std::uint64_t first = range.first.value();
    const std::uint64_t last = range.last.value();
    auto at = last_by_first_.upper_bound(first);
    if (at != last_by_first_.begin() && std::prev(at)->second >= first) --at;
    while (at != last_by_first_.end() && at->first <= last) {
      const auto [from, to] = *at;
      at = last_by_first_.erase(at);
      taken.push_back({Iova(std::max(from, first)), Iova(std::min(to, last))});
      if (from < first) last_by_first_[from] = first - 1;
      if (to > last) last_by_first_[last + 1] = to;
    }
    return taken;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> last_by_first_;
};

}  // namespace weir::replay
