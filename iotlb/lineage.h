// SPDX-License-Identifier: Apache-2.0
//
// What an IOTLB knows of each tag apart from the entries: its generation, the page sizes it has,
// the fills that were overtaken, and how many entries live. A wide flush ends a generation, and
// with it every entry that was filled in it, however many there are (L6); nobody has to find them.
//
// The generation that an entry shows is the sum of three that only grow: the cache's, its domain's,
// its PASID's. The sum stands still exactly while none of them moves, so that a flush of any width
// is one addition. Entries keep only its low bits; iotlb.h says why that is enough.
//
// find: any thread, no lock. obtain: any thread; allocates when a tag is seen for the first time.
// Records stay where they are until their table goes. Their number is bounded: tags beyond it share
// one record, so that a flush of one of them drops them all (coarser, never less).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "iotlb/entry.h"

namespace weir::iotlb {

// Entries that live in one generation. The generation stands with the count: who comes too late
// counts nothing, and the first of a new generation finds what the last one left.
class LiveCount {
 public:
  struct Added {
    bool in_time = false;    // false: the generation is over
    std::uint32_t left = 0;  // what lived in the last generation, where nobody has ended it
  };
  Added add(std::uint64_t generation);
  // False: the generation is over, and somebody else has counted it as gone.
  bool remove(std::uint64_t generation, std::uint32_t count = 1);
  struct Ended {
    std::uint64_t generation = 0;  // low half: the one that `count` lived in
    std::uint32_t count = 0;
    bool goes_on = false;  // entries of `next` or later are there already
  };
  // Begins `next`; gives what lived before it.
  Ended end(std::uint64_t next);

 private:
  std::atomic<std::uint64_t> word_{0};  // 63:32 the generation's low half, 31:0 the count
};

// One tag's record. The first line is read by every lookup and written by wide flushes only; the
// second is for misses and invalidations.
struct alignas(64) Lineage {
  // Constant once published.
  Tag tag{};  // without PASID: the domain's own
  Lineage* next = nullptr;

  std::atomic<std::uint64_t> generation{0};
  std::atomic<std::uint64_t> sizes{0};  // of a domain: a bit per page_lg2 that was ever filled

  // Of a domain: counts the invalidations that overtake its fills.
  alignas(64) std::atomic<std::uint64_t> overtaken{0};
  LiveCount live;                       // of a domain: those of its PASIDs too
  std::atomic<bool> has_pasids{false};  // of a domain: something was filled under a PASID
  // Of a domain: of `live`, what was left by an ended generation for a flush to count as removed.
  std::atomic<std::uint64_t> left{0};
  // Of a domain: stands in the list of those that were filled since everything was flushed.
  std::atomic<bool> listed{false};
  Lineage* next_listed = nullptr;  // its writer has set `listed`, its reader has emptied the list
};

class Lineages {
 public:
  // For a cache of `entries`; 0: every tag shares one record.
  explicit Lineages(std::size_t entries);
  ~Lineages();
  Lineages(const Lineages&) = delete;
  Lineages& operator=(const Lineages&) = delete;

  // Null: nobody has asked for it, so nothing can have been filled under it.
  [[nodiscard]] Lineage* find(Tag tag) const {
    if (buckets_ == nullptr) return shared_.get();
    // Acquire: a record is complete before it is in its bucket.
    return search(tag, bucket_of(tag).load(std::memory_order_acquire));
  }
  [[nodiscard]] Lineage& obtain(Tag tag);
  // What a flush of the tag has to end; null: there is nothing, and who asks for the tag from now
  // on sees what happened before this.
  [[nodiscard]] Lineage* find_to_flush(Tag tag);

  // Whether a record stands for several tags. Its entries are not counted.
  [[nodiscard]] bool is_shared(const Lineage& lineage) const { return &lineage == shared_.get(); }

  // A bucket that is full stays full: a tag that was given the shared record never gets its own.
  static constexpr std::size_t kMostInBucket = 32;
  static constexpr std::size_t kMostBuckets = 1024;

 private:
  using Bucket = std::atomic<Lineage*>;

  [[nodiscard]] Bucket& bucket_of(Tag tag) const {
    const std::uint64_t x = std::uint64_t{tag.domain.value} << 32 | tag.pasid;
    return buckets_[x * 0x9e3779b97f4a7c15 >> bucket_shift_];
  }
  [[nodiscard]] Lineage* search(Tag tag, Lineage* at) const {
    std::size_t seen = 0;
    for (; at != nullptr; at = at->next, ++seen)
      if (at->tag == tag) return at;
    return seen < kMostInBucket ? nullptr : shared_.get();
  }

  // Constant after construction.
  std::size_t bucket_count_ = 0;
  int bucket_shift_ = 0;
  std::unique_ptr<Bucket[]> buckets_;
  const std::unique_ptr<Lineage> shared_;
};

}  // namespace weir::iotlb
