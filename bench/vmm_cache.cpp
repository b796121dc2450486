// SPDX-License-Identifier: Apache-2.0
#include "bench/vmm_cache.h"

#include <bit>

namespace weir::bench {

VmmCache::VmmCache(const Workload& workload, const pagetables::PhysicalMemory& memory, Order order)
    : around_(memory, {.domain = {1}}),
      sizes_(order == Order::kLargestFirst ? std::array<std::uint8_t, 3>{30, 21, 12}
                                           : std::array<std::uint8_t, 3>{12, 21, 30}),
      buckets_(std::bit_ceil(workload.pages() * kVmmRequesters.size())) {
  for (const Requester requester : kVmmRequesters)
    for (std::size_t i = 0; i < workload.pages(); ++i) {
      const Key key{.page = workload.page(i).value() >> kPageLg2,
                    .source = requester.bdf,
                    .page_lg2 = kPageLg2};
      auto& bucket = buckets_[hash(key) & (buckets_.size() - 1)];
      auto node = std::make_unique<Node>();
      node->key = std::make_unique<Key>(key);
      node->value = std::make_unique<Value>(Value{
          .gpa = workload.gpa_of_page(i).value(), .mask = ~(kPageSize - 1), .permissions = 3});
      node->next = std::move(bucket);
      bucket = std::move(node);
    }
}

std::size_t VmmCache::hash(const Key& key) {
  // A mix of three words, as the hash functions of these programs do it.
  std::uint64_t a = key.page;
  std::uint64_t b = std::uint64_t{key.source} << 32 | key.pasid;
  std::uint64_t c = key.page_lg2;
  a -= c;
  a ^= std::rotl(c, 4);
  c += b;
  b -= a;
  b ^= std::rotl(a, 6);
  a += c;
  c -= b;
  c ^= std::rotl(b, 8);
  b += a;
  a -= c;
  a ^= std::rotl(c, 16);
  c += b;
  c ^= b;
  c -= std::rotl(b, 24);
  return static_cast<std::size_t>(c ^ c >> 32);
}

const VmmCache::Value* VmmCache::find(const Key& key) const {
  for (const Node* node = buckets_[hash(key) & (buckets_.size() - 1)].get(); node != nullptr;
       node = node->next.get())
    if (*node->key == key) return node->value.get();
  return nullptr;
}

std::optional<CachedPage> VmmCache::find(Requester requester, Iova iova) {
  const std::lock_guard lock(mutex_);
  for (const std::uint8_t lg2 : sizes_)
    if (const Value* value =
            find({.page = iova.value() >> lg2, .source = requester.bdf, .page_lg2 = lg2}))
      return CachedPage{
          .gpa = (value->gpa & value->mask) + (iova.page_base(kPageLg2).value() & ~value->mask),
          .permissions =
              Permissions::of((value->permissions & 1) != 0, (value->permissions & 2) != 0)};
  return std::nullopt;
}

}  // namespace weir::bench
