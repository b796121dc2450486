// SPDX-License-Identifier: Apache-2.0
//
// What hits are compared with: the least that a lookup can be (an array with a tag check), and the
// three ways in which programs usually share a cache of translations. Each is filled with the
// workload's pages and then only read, as a cache that always hits.
//
// lookup: any thread, but for DirectMapped and its like, which nothing writes any more. Everything
// else: one thread.
#pragma once

#include <benchmark/benchmark.h>
#include <tbb/concurrent_hash_map.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "bench/workload.h"
#include "iotlb/entry.h"
#include "pagetables/physical_memory.h"

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

// What a cache of translations gives for a page.
struct CachedPage {
  std::uint64_t gpa = 0;
  std::uint64_t generation = 0;  // of its tag when it was entered
  Permissions permissions{};
};

// A request around a cache that is not ours: what DmaPort asks of every request that hits, asked in
// the same order and as cheaply, so that baselines differ from it by the cache alone.
class Around {
 public:
  // Both must outlive it.
  Around(const pagetables::PhysicalMemory& memory, iotlb::Tag tag) : memory_(memory), tag_(tag) {}

  // `find(tag, generation, iova) -> optional<CachedPage>`, with the address of the page.
  template <typename Find>
  [[nodiscard]] std::uint64_t answer(Iova iova, std::uint64_t size, Find find) const {
    // Acquire, each: as the core does it.
    if (!bus_master_.load(std::memory_order_acquire) || kInterrupts.contains(iova) ||
        context_changes_ != changes_.load(std::memory_order_acquire) || iova > last_)
      return kNoAnswer;
    const std::optional<CachedPage> page =
        find(tag_, generation_.load(std::memory_order_acquire), iova);
    if (!page) return kNoAnswer;
    const Gpa gpa(page->gpa + iova.page_offset(kPageLg2));
    const auto* piece =
        memory_.find_bytes(gpa, std::min(size, kPageSize - iova.page_offset(kPageLg2)));
    if (piece == nullptr ||
        !(page->permissions & rights_ & piece->permissions).allows(Access::kRead))
      return kNoAnswer;
    benchmark::DoNotOptimize(piece->host + (gpa - piece->first));
    return gpa.value();
  }

 private:
  static constexpr AddressRange<Iova> kInterrupts{Iova(0xfee00000), Iova(0xfeefffff)};

  const pagetables::PhysicalMemory& memory_;
  iotlb::Tag tag_;
  Permissions rights_ = Permissions::read_write();
  Iova last_{0xffff'ffff'ffff};
  std::uint64_t context_changes_ = 1;
  std::atomic<std::uint64_t> changes_{1};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> bus_master_{true};
};

// By tag and page.
struct PageKey {
  std::uint64_t tag = 0;
  std::uint64_t page = 0;

  PageKey(iotlb::Tag of, Iova iova)
      : tag(std::uint64_t{of.domain.value} << 32 | of.pasid), page(iova.value() >> kPageLg2) {}
  friend bool operator==(const PageKey&, const PageKey&) = default;
};
// For both kinds of map.
struct HashOfPage {
  [[nodiscard]] std::size_t operator()(const PageKey& key) const {
    return key.page ^ key.tag * 0x9e3779b97f4a7c15;
  }
  [[nodiscard]] std::size_t hash(const PageKey& key) const { return (*this)(key); }
  [[nodiscard]] bool equal(const PageKey& a, const PageKey& b) const { return a == b; }
};

class LockedMap {
 public:
  LockedMap(const Workload& workload, const pagetables::PhysicalMemory& memory);
  [[nodiscard]] std::uint64_t lookup(Iova iova) {
    return around_.answer(
        iova, Workload::kRequestBytes,
        [this](iotlb::Tag tag, std::uint64_t generation, Iova at) -> std::optional<CachedPage> {
          const std::lock_guard lock(mutex_);
          const auto found = map_.find(PageKey(tag, at));
          if (found == map_.end() || found->second.generation != generation) return std::nullopt;
          return found->second;
        });
  }

 private:
  Around around_;
  std::mutex mutex_;
  std::unordered_map<PageKey, CachedPage, HashOfPage> map_;
};

class ConcurrentMap {
 public:
  ConcurrentMap(const Workload& workload, const pagetables::PhysicalMemory& memory);
  [[nodiscard]] std::uint64_t lookup(Iova iova) const {
    return around_.answer(
        iova, Workload::kRequestBytes,
        [this](iotlb::Tag tag, std::uint64_t generation, Iova at) -> std::optional<CachedPage> {
          Map::const_accessor found;
          if (!map_.find(found, PageKey(tag, at)) || found->second.generation != generation)
            return std::nullopt;
          return found->second;
        });
  }

 private:
  using Map = tbb::concurrent_hash_map<PageKey, CachedPage, HashOfPage>;
  Around around_;
  Map map_;
};

}  // namespace weir::bench
