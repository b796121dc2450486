// SPDX-License-Identifier: Apache-2.0
//
// The shape in which VMMs keep translations: a chained hash table behind one mutex, keys and values
// allocated one by one, the key made of page number, page size, requester and PASID, and a probe
// for every page size there is. How many probes a hit takes depends on the order:
// kLargestFirst asks for 1 GiB, 2 MiB, 4 KiB, so that the 4 KiB pages of the workload take all
// three; kSmallestFirst takes one.
//
// lookup: any thread. Construction: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "bench/baselines.h"
#include "bench/workload.h"

namespace weir::bench {

class VmmCache {
 public:
  enum class Order : std::uint8_t { kLargestFirst, kSmallestFirst };

  VmmCache(const Workload& workload, const pagetables::PhysicalMemory& memory, Order order);
  [[nodiscard]] std::uint64_t lookup(Requester requester, Iova iova) {
    return around_.answer(iova, Workload::kRequestBytes,
                          [&](iotlb::Tag, std::uint64_t, Iova at) { return find(requester, at); });
  }

 private:
  struct Key {
    std::uint64_t page = 0;
    std::uint32_t pasid = 0;
    std::uint16_t source = 0;
    std::uint8_t page_lg2 = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Value {
    std::uint64_t gpa = 0;
    std::uint64_t mask = 0;
    std::uint16_t domain = 0;
    std::uint8_t permissions = 0;
  };
  struct Node {
    std::unique_ptr<Key> key;
    std::unique_ptr<Value> value;
    std::unique_ptr<Node> next;
  };

  [[nodiscard]] static std::size_t hash(const Key& key);
  [[nodiscard]] const Value* find(const Key& key) const;

  [[nodiscard]] std::optional<CachedPage> find(Requester requester, Iova iova);

  Around around_;
  std::array<std::uint8_t, 3> sizes_;  // constant after construction, in the order of the probes
  std::mutex mutex_;
  std::vector<std::unique_ptr<Node>> buckets_;
};

// Requesters that the workload's pages are entered for.
inline constexpr std::array kVmmRequesters{Requester::from_bdf(0, 4, 0),
                                           Requester::from_bdf(0, 5, 0)};

}  // namespace weir::bench
