// SPDX-License-Identifier: Apache-2.0
#include "iotlb/lineage.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace weir::iotlb {
namespace {

[[nodiscard]] constexpr std::uint32_t low(std::uint64_t word) {
  return static_cast<std::uint32_t>(word);
}
[[nodiscard]] constexpr std::uint32_t high(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> 32);
}
// Generations only grow, and never by half of what 32 bits hold while somebody looks.
[[nodiscard]] constexpr bool is_later(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) > 0;
}

}  // namespace

// Sequentially consistent, all exchanges here: before or after a look at `listed`, see
// Iotlb::count_in and Iotlb::end_all.

LiveCount::Added LiveCount::add(std::uint64_t generation) {
  const std::uint32_t mine = low(generation);
  // Relaxed: the exchange below decides.
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (is_later(high(seen), mine)) return {};
    const bool same = high(seen) == mine;
    const std::uint64_t next = std::uint64_t{mine} << 32 | (same ? low(seen) + 1 : 1);
    if (word_.compare_exchange_weak(seen, next, std::memory_order_seq_cst,
                                    std::memory_order_relaxed))
      return {.in_time = true, .left = same ? 0 : low(seen)};
  }
}

bool LiveCount::remove(std::uint64_t generation, std::uint32_t count) {
  // Relaxed: as above.
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  do {
    if (high(seen) != low(generation)) return false;
  } while (!word_.compare_exchange_weak(seen, seen - count, std::memory_order_seq_cst,
                                        std::memory_order_relaxed));
  return true;
}

LiveCount::Ended LiveCount::end(std::uint64_t next) {
  std::uint64_t seen = word_.load(std::memory_order_seq_cst);
  for (;;) {
    if (!is_later(low(next), high(seen)))
      return {.generation = 0, .count = 0, .goes_on = low(seen) != 0};
    if (word_.compare_exchange_weak(seen, std::uint64_t{low(next)} << 32,
                                    std::memory_order_seq_cst))
      return {.generation = high(seen), .count = low(seen), .goes_on = false};
  }
}

Lineages::Lineages(std::size_t entries) : shared_(std::make_unique<Lineage>()) {
  if (entries == 0) return;
  bucket_count_ = std::bit_ceil(std::clamp<std::size_t>(entries / 8, 16, kMostBuckets));
  bucket_shift_ = 64 - std::countr_zero(bucket_count_);
  buckets_ = std::make_unique<Bucket[]>(bucket_count_);
}

Lineages::~Lineages() {
  for (std::size_t i = 0; i < bucket_count_; ++i)
    // Relaxed: nobody else is here any more.
    for (Lineage* at = buckets_[i].load(std::memory_order_relaxed); at != nullptr;)
      delete std::exchange(at, at->next);
}

Lineage& Lineages::obtain(Tag tag) {
  if (Lineage* known = find(tag)) return *known;
  auto made = std::make_unique<Lineage>();
  made->tag = tag;
  Bucket& bucket = bucket_of(tag);
  // Acquire: as in find().
  made->next = bucket.load(std::memory_order_acquire);
  for (;;) {
    // Somebody else may have been faster.
    if (Lineage* known = search(tag, made->next)) return *known;
    // Acquire-release: the record is complete before it is in the bucket; and where a flush has
    // looked in vain (find_to_flush), what the guest did before it is seen by who walks after this.
    if (bucket.compare_exchange_weak(made->next, made.get(), std::memory_order_acq_rel,
                                     std::memory_order_acquire))
      return *made.release();
  }
}

Lineage* Lineages::find_to_flush(Tag tag) {
  if (Lineage* known = find(tag)) return known;
  Bucket& bucket = bucket_of(tag);
  // Acquire-release, and an exchange although nothing changes: pairs with the one in obtain().
  Lineage* head = bucket.load(std::memory_order_relaxed);
  while (!bucket.compare_exchange_weak(head, head, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
  }
  return search(tag, head);
}

}  // namespace weir::iotlb
