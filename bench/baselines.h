// SPDX-License-Identifier: Apache-2.0
//
// What hits are compared with: the least that a lookup can be (an array with a tag check), and the
// three ways in which programs usually share a cache of translations. Each is filled with the
// workload's pages and then only read, as a cache that always hits.
//
// lookup: any thread, but for DirectMapped and its like, which nothing writes any more. Everything
// else: one thread.
#pragma once

#include <tbb/concurrent_hash_map.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "bench/workload.h"

namespace weir::bench {

// A wrong answer on purpose: no page of the workload lies there.
inline constexpr std::uint64_t kNoAnswer = ~std::uint64_t{0};

class DirectMapped {
 public:
  explicit DirectMapped(const Workload& workload);
  [[nodiscard]] std::uint64_t lookup(Iova iova) const {
    const std::uint64_t page = iova.value() >> kPageLg2;
    const Line& line = lines_[page & mask_];
    return line.page == page ? line.gpa + iova.page_offset(kPageLg2) : kNoAnswer;
  }

 private:
  struct Line {
    std::uint64_t page = 0;
    std::uint64_t gpa = 0;
  };
  std::uint64_t mask_;
  std::vector<Line> lines_;
};

class LockedMap {
 public:
  explicit LockedMap(const Workload& workload);
  [[nodiscard]] std::uint64_t lookup(Iova iova) {
    const std::lock_guard lock(mutex_);
    const auto found = map_.find(iova.value() >> kPageLg2);
    return found == map_.end() ? kNoAnswer : found->second + iova.page_offset(kPageLg2);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::uint64_t> map_;
};

class ConcurrentMap {
 public:
  explicit ConcurrentMap(const Workload& workload);
  [[nodiscard]] std::uint64_t lookup(Iova iova) const {
    Map::const_accessor found;
    return map_.find(found, iova.value() >> kPageLg2) ? found->second + iova.page_offset(kPageLg2)
                                                      : kNoAnswer;
  }

 private:
  using Map = tbb::concurrent_hash_map<std::uint64_t, std::uint64_t>;
  Map map_;
};

}  // namespace weir::bench
