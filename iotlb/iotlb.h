// SPDX-License-Identifier: Apache-2.0
//
// The IOTLB: finished translations of one unit, all domains together. Set-associative: a page has
// one set, and in it a way of its own, where it is looked for first and mostly is; neighbouring
// pages have different ones. Ways are read without a lock and validated by their sequence words
// (L3, L4), written under the set's lock.
//
// Invalidation is exact at every page size (L5). A page-selective one visits the sets that its
// pages can lie in, at most kMostVisits, or sweeps all sets where that is less; a longer range
// drops its domain (or PASID) and says so. A wide one ends a generation (lineage.h) and costs the
// same however full the cache is (L6). Entries keep the low bits of their generation: dead ones are
// swept away, a few at each wide flush, before the bits can come round.
//
// lookup, begin_fill and fill: any device thread. invalidate: any thread; wide ones take turns. A
// lookup that meets a writer retries a few times, then answers "miss"; it never waits.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "base/seam.h"
#include "iotlb/entry.h"
#include "iotlb/invalidation.h"
#include "iotlb/iotlb_way.h"
#include "iotlb/lineage.h"

namespace weir::iotlb {

class ReferenceTlb;

struct IotlbOptions {
  // Entries, rounded up to a power of two of at least kWays; 0: caches nothing.
  std::size_t entries = 4096;
  // Exact LRU over all entries behind a lock instead (reference_tlb.h); `entries` 0 is then no
  // limit.
  bool reference = false;
  // Bits of its generation that an entry keeps, 2…16. Tests make them few.
  unsigned generation_bits = 16;
};

// A tag made ready for one Iotlb, which must outlive it: what lookups and fills would have to
// search for again and again. It remembers which page size answered last and is changed by lookups:
// every thread has its own.
struct IotlbKey {
  std::uint64_t tag = 0;      // with the size that is looked for first
  std::uint64_t seed = 0;     // of the places of that size
  Lineage* domain = nullptr;  // null: a key of nothing, which only begin_fill takes
  Lineage* pasid = nullptr;   // null: the tag has none
  const std::atomic<std::uint64_t>* pasid_generation = nullptr;
  std::uint8_t page_lg2 = kPageLg2;
  std::uint8_t block_lg2 = 63;  // of as many such pages as there are places, see Iotlb::slot_of

  [[nodiscard]] Tag plain() const { return words::tag_of(tag); }
};

class Iotlb {
 public:
  static constexpr std::size_t kWays = 4;
  // Sets that a page-selective invalidation visits at most: pages times page sizes in use.
  static constexpr std::size_t kMostVisits = 1024;

  explicit Iotlb(const IotlbOptions& options);
  ~Iotlb();
  Iotlb(const Iotlb&) = delete;
  Iotlb& operator=(const Iotlb&) = delete;

  // Allocates when the tag is new to this cache.
  [[nodiscard]] IotlbKey key_for(Tag tag);

  [[gnu::always_inline]] [[nodiscard]] std::optional<Hit> lookup(IotlbKey& key, Iova iova) {
    Hit hit;
    if (look_at_once(key, iova, hit)) [[likely]]
      return hit;
    const std::uint64_t number = iova.value() >> key.page_lg2;
    if (is_nowhere(key, slot_of(number, key.seed), number << key.page_lg2)) return std::nullopt;
    return look_closely(key, iova);
  }
  // One look, where the page is found mostly. False: ask lookup().
  [[nodiscard, gnu::always_inline]] bool look_at_once(const IotlbKey& key, Iova iova, Hit& hit) {
    const std::uint8_t lg2 = key.page_lg2;
    const std::uint64_t number = iova.value() >> lg2;
    // As slot_of, but that the block's number is not made of the page's.
    const std::uint64_t turn = (iova.value() >> key.block_lg2) * kSpread >> 32;
    Way& way = ways_[(number ^ turn ^ key.seed) & slot_mask_];
    const Look look = Look::at(way, key.tag, number << lg2, generation_of(key) & generation_mask_);
    if (!look.hit()) [[unlikely]]
      return false;
    mark(way);
    // Member by member, so that it stays in registers.
    hit.output = (look.output & words::kBaseMask) + iova.page_offset(lg2);
    hit.page_lg2 = lg2;
    hit.permissions = Permissions::from_bits(look.output);
    return true;
  }
  // The same for who asks once.
  [[nodiscard]] std::optional<Hit> lookup(Tag tag, Iova iova);
  // Asks without marking the entry as used.
  [[nodiscard]] std::optional<Hit> peek(Tag tag, Iova iova) const;

  // It was made without entries: no question has an answer and no fill is kept.
  [[nodiscard]] bool off() const { return off_; }

  [[nodiscard]] FillTicket begin_fill(const IotlbKey& key) const {
    if (key.domain == nullptr) [[unlikely]]
      return kNoFill;
    // Acquire, both: pair with invalidate; a walk that begins after an invalidation reads tables as
    // the guest left them before it. Both only grow, so their sum stands still while they do.
    return {overtaken_.load(std::memory_order_acquire) +
            key.domain->overtaken.load(std::memory_order_acquire)};
  }
  FillResult fill(const IotlbKey& key, FillTicket ticket, const Mapping& mapping) {
    return fill(key, ticket, mapping.page.value(),
                words::make_output(mapping.output, mapping.permissions), mapping.page_lg2);
  }
  // The same for who fills once.
  [[nodiscard]] FillTicket begin_fill(DomainId domain) const;
  FillResult fill(FillTicket ticket, const Entry& entry);

  // Before it returns, what `what` covers can no longer be found, nor be filled by a walk that
  // began earlier. Context scopes cover nothing here.
  Removed invalidate(const Invalidation& what);

  // Entries present; exact when nothing else runs.
  [[nodiscard]] std::size_t size() const;

 private:
  using Way = IotlbWay;
  class Set;
  static constexpr int kReadAttempts = 4;
  // Fills that pushed something out of a set before all of it counts as unused again.
  static constexpr std::uint8_t kEvictionsToForget = 16;
  static constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;  // Fibonacci hashing

  // A tag's three generations, added up as far as each scope reaches.
  struct Generations {
    std::uint64_t domain = 0;  // the cache's and the domain's
    std::uint64_t tag = 0;     // and the PASID's
  };
  // Where a page of `page_lg2` lies: the words that its ways have, if it is not the key's own size.
  [[nodiscard]] std::uint64_t tag_word_of(const IotlbKey& key, std::uint8_t page_lg2) const {
    return page_lg2 == key.page_lg2 ? key.tag : words::make_tag(key.plain(), page_lg2);
  }
  [[nodiscard]] std::uint64_t seed_of(const IotlbKey& key, std::uint8_t page_lg2) const {
    return page_lg2 == key.page_lg2 ? key.seed : seed_of(key.plain(), page_lg2);
  }
  // What a fill or removal knows of an entry's tag.
  struct Owner {
    Lineage* domain = nullptr;
    Lineage* pasid = nullptr;  // null: the tag has none
  };

  // The place of a page. Pages of an aligned block as large as the cache have different ones,
  // because a guest hands out neighbouring pages; every block is turned by a number of its own.
  [[nodiscard]] std::uint64_t slot_of(std::uint64_t page_number, std::uint64_t seed) const {
    const std::uint64_t turn = (page_number >> slot_bits_) * kSpread >> 32;
    return (page_number ^ turn ^ seed) & slot_mask_;
  }
  // The ways of a set, in the order in which a page of the place prefers them: its own, the other
  // one in the line, those of the next line.
  struct Ways {
    std::array<Way*, kWays> in_order;

    // The first of which `is` is true, or null. Written out, so that nothing of it is a loop.
    template <typename Is>
    [[nodiscard, gnu::always_inline]] Way* first(Is is) const {
      static_assert(kWays == 4);
      if (is(*in_order[0])) return in_order[0];
      if (is(*in_order[1])) return in_order[1];
      if (is(*in_order[2])) return in_order[2];
      if (is(*in_order[3])) return in_order[3];
      return nullptr;
    }
  };
  [[nodiscard, gnu::always_inline]] Ways ways_from(std::uint64_t slot) const {
    const std::uint64_t sets = set_mask_ + 1;
    return {{&ways_[slot], &ways_[slot ^ sets], &ways_[slot ^ 2 * sets], &ways_[slot ^ 3 * sets]}};
  }
  // Guests hand out the same few addresses in every domain: the domain turns the whole pattern.
  // PASIDs of a domain share their sets, so that a flush of the domain's page finds all of them,
  // but prefer different ways.
  [[nodiscard]] std::uint64_t seed_of(Tag tag, std::uint8_t page_lg2) const {
    const std::uint64_t domain = (tag.domain.value + std::uint64_t{page_lg2} * kSpread) * kSpread;
    const std::uint64_t pasid = (domain + tag.pasid) * kSpread;
    return (domain >> 32 & set_mask_) | (pasid >> 20 & ~set_mask_);
  }
  [[nodiscard]] std::uint64_t generation_of(const IotlbKey& key) const {
    // Relaxed, each: who began after a flush's completion has its numbers from there; who did not
    // may see the old ones.
    return generation_.load(std::memory_order_relaxed) +
           key.domain->generation.load(std::memory_order_relaxed) +
           key.pasid_generation->load(std::memory_order_relaxed);
  }
  static void mark(Way& way) {
    // Relaxed: a hint for the replacement; written only when it changes, so that a hot entry's line
    // stays shared (L4).
    if (way.used.load(std::memory_order_relaxed) == 0) [[unlikely]]
      way.used.store(1, std::memory_order_relaxed);
  }

  // What a miss has to ask after its first look, as far as it is the same for nearly all: the
  // domain has pages of the key's size only, and none of the ways holds this one.
  [[nodiscard, gnu::noinline]] bool is_nowhere(const IotlbKey& key, std::uint64_t slot,
                                               std::uint64_t page) const;
  // Everything but an answer at first sight.
  [[nodiscard]] std::optional<Hit> look_closely(IotlbKey& key, Iova iova);
  struct Found {
    std::uint64_t output = 0;
    Way* way = nullptr;
    std::uint8_t page_lg2 = 0;
  };
  [[nodiscard]] std::optional<Found> find(const IotlbKey& key, Iova iova) const;
  [[nodiscard]] IotlbKey make_key(Tag tag, Lineage& domain, Lineage* pasid) const;
  void look_first_for(IotlbKey& key, Tag tag, std::uint8_t page_lg2) const;
  // Nothing if the tag is unknown here.
  [[nodiscard]] std::optional<IotlbKey> known_key(Tag tag) const;

  // With the words of the entry, in registers.
  FillResult fill(const IotlbKey& key, FillTicket ticket, std::uint64_t page, std::uint64_t output,
                  std::uint8_t page_lg2);
  [[gnu::noinline]] FillResult fill_reference(const IotlbKey& key, FillTicket ticket,
                                              const Entry& entry);
  [[nodiscard]] bool is_current(const Lineage& domain, FillTicket ticket) const {
    if (WEIR_BUG(kFillUnchecked)) return true;
    // Sequentially consistent, both: either a fill that holds its set sees the invalidation's
    // number, or what it fills comes before the invalidation looks for it (L2).
    return overtaken_.load(std::memory_order_seq_cst) +
               domain.overtaken.load(std::memory_order_seq_cst) ==
           ticket.sequence;
  }
  [[nodiscard]] Generations generations_of(const Owner& owner) const {
    // Sequentially consistent, each: in a fill, before it asks whether it was overtaken.
    Generations now;
    now.domain = generation_.load(std::memory_order_seq_cst) +
                 owner.domain->generation.load(std::memory_order_seq_cst);
    now.tag = now.domain;
    if (owner.pasid != nullptr && owner.pasid != owner.domain)
      now.tag += owner.pasid->generation.load(std::memory_order_seq_cst);
    return now;
  }
  [[nodiscard]] std::optional<Owner> owner_of(Tag tag) const;
  [[nodiscard]] bool is_dead(const Way& way, const Owner& owner) const;
  bool count_in(Owner owner, Generations now);
  bool count_out(Owner owner, Generations then);
  void list(Lineage& domain);

  // Removal set by set, and by ending a generation (iotlb_flush.cpp). Each gives how many went.
  void fetch_ahead(const Invalidation& what) const;
  std::uint64_t sweep(const Invalidation& what);
  void sweep_or_widen(const Invalidation& what, Lineage& domain, Removed& removed);
  void remove_range(const Invalidation& what, Lineage& domain, Removed& removed);
  std::uint64_t end_generation(const Invalidation& what, Lineage* domain, bool& widened)
      WEIR_EXCLUDES(flushing_);
  std::uint64_t end_all() WEIR_REQUIRES(flushing_);
  std::uint64_t end_domain(Lineage& domain) WEIR_REQUIRES(flushing_);
  std::uint64_t end_count(Lineage& domain, bool& goes_on) WEIR_REQUIRES(flushing_);
  std::uint64_t end_pasid(Lineage& domain, Lineage& pasid) WEIR_REQUIRES(flushing_);
  void sweep_some_dead() WEIR_REQUIRES(flushing_);

  // Constant after construction.
  Way* ways_;  // way w of set s is at s + w * sets; ones that are always empty where there is
               // nothing
  std::uint64_t slot_mask_ = 0;
  unsigned slot_bits_ = 0;
  std::uint64_t set_mask_ = 0;
  std::uint64_t generation_mask_ = 0;
  std::uint64_t swept_at_once_ = 0;  // ways
  bool off_ = false;
  std::unique_ptr<Way[]> own_ways_;
  std::unique_ptr<ReferenceTlb> reference_;
  mutable Lineages lineages_;  // knows more tags after a question, and nothing else changes

  // Atomic. Read by every lookup, written by global flushes.
  std::atomic<std::uint64_t> generation_{0};
  // Likewise by fills: counts what overtakes those of all domains.
  std::atomic<std::uint64_t> overtaken_{0};
  std::atomic<Lineage*> listed_{nullptr};  // domains that may have live entries

  // Guarded, and apart from what lookups read.
  alignas(64) Mutex flushing_;
  std::uint64_t next_to_sweep_ WEIR_GUARDED_BY(flushing_) = 0;
};

}  // namespace weir::iotlb
