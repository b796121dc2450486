// SPDX-License-Identifier: Apache-2.0
//
// One of the caches of walk_caches.h: small, and asked several times in every walk, each time by an
// address that the answer before has given. So an entry has a place of its own in its set, where it
// is looked for first: one guess, and no way to choose between the address and the answer. Ways of
// a set help where two entries have the same place.
//
// Reading, filling and invalidating are those of Iotlb otherwise: a set is read without a lock and
// validated by its sequence word (L3, L4); invalidation is exact (L5) and refuses overtaken fills
// (L2).
//
// lookup, begin_fill and fill: any device thread. invalidate: any thread. A lookup that meets a
// writer retries a few times, then answers "miss"; it never waits.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "iotlb/entry.h"
#include "iotlb/invalidation.h"
#include "iotlb/iotlb_way.h"

namespace weir::iotlb {

// Where an entry's output lies one stage further down, for caches that keep that too: good for
// walks that hold `ticket`, whose stage it is.
struct Pointer {
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::uint64_t to = kNone;
  FillTicket ticket{};
};

struct WalkHit {
  std::uint64_t output = 0;  // of the entry's first byte
  std::uint8_t page_lg2 = 0;
  Permissions permissions{};
  Pointer pointer{};
};

enum class Keeps : std::uint8_t { kOutputs, kPointersToo };

template <Keeps kKeeps>
class WalkCache {
 public:
  static constexpr std::size_t kWays = 4;

  // Entries, rounded up to a power of two of at least kWays; 0: caches nothing.
  explicit WalkCache(std::size_t entries);
  WalkCache(const WalkCache&) = delete;
  WalkCache& operator=(const WalkCache&) = delete;

  // What is known of the smallest page around `input`.
  [[nodiscard, gnu::always_inline]] bool lookup(Tag tag, std::uint64_t input, WalkHit& hit) {
    // Relaxed: a size that appears concurrently belongs to a fill that this lookup may miss.
    const std::uint64_t sizes = sizes_.load(std::memory_order_relaxed);
    if (sizes == 0) [[unlikely]]
      return false;
    const auto lg2 = static_cast<std::uint8_t>(std::countr_zero(sizes));
    const std::uint64_t number = input >> lg2;
    const std::size_t place = place_of(tag.domain, number, lg2);
    Way* const set = &ways_[place / kWays * kWays];
    const std::uint64_t wanted = words::make_tag(tag, lg2);
    // Acquire: pairs with the writer's last release; the ways are at least as new as this sequence.
    const std::uint64_t before = sequence_of(set).load(std::memory_order_acquire);
    std::uint64_t different = ways_[place].differs(wanted, number << lg2);
    // Acquire, as all words of a way: see Way::differs.
    std::uint64_t output = ways_[place].output.load(std::memory_order_acquire);
    std::size_t found = place;
    if constexpr (kLookedAt == 2) {
      // The other half of the line as well. Which of them it is cannot be guessed, so nothing
      // branches on it.
      const Way& other = ways_[place ^ 1];
      const std::uint64_t differs = other.differs(wanted, number << lg2);
      const std::uint64_t there = differs == 0 ? ~std::uint64_t{0} : 0;
      output ^= (output ^ other.output.load(std::memory_order_acquire)) & there;
      different &= ~there;
      found ^= there & 1;
    }
    read(ways_[place], output, lg2, hit);
    // Relaxed: ordered after the loads above because those are acquire. Odd: a writer was inside.
    const std::uint64_t torn =
        (before ^ sequence_of(set).load(std::memory_order_relaxed)) | (before & 1);
    if ((different | torn) != 0) [[unlikely]] {
      WalkHit other;
      if (!look_further(tag, input, sizes, other)) return false;
      hit.output = other.output;
      hit.page_lg2 = other.page_lg2;
      hit.permissions = other.permissions;
      hit.pointer.to = other.pointer.to;
      hit.pointer.ticket.sequence = other.pointer.ticket.sequence;
      return true;
    }
    mark(set, found % kWays);
    return true;
  }

  // It was made without entries: no question has an answer and no fill is kept.
  [[nodiscard]] bool off() const { return set_count_ == 0; }

  [[nodiscard]] FillTicket begin_fill(DomainId domain) const {
    // Acquire: pairs with overtake_fills; a walk that begins after an invalidation reads tables as
    // the guest left them before it.
    return {sequences_[domain_slot(domain)].load(std::memory_order_acquire)};
  }
  FillResult fill(FillTicket ticket, const Entry& entry, const Pointer& pointer = {});

  // Before it returns, what `what` covers can no longer be found, nor be filled by a walk that
  // began earlier. Context scopes cover nothing here. Gives the number of entries removed.
  std::uint64_t invalidate(const Invalidation& what);

  // Entries present; exact when nothing else runs.
  [[nodiscard]] std::size_t size() const;

 private:
  struct Outputs {};
  struct Pointers {
    std::atomic<std::uint64_t> to{Pointer::kNone};
    std::atomic<std::uint64_t> ticket{0};
  };
  static constexpr bool kPointers = kKeeps == Keeps::kPointersToo;
  // `tag` decides with `page` whether the way answers (0: empty); `output` is a base, and below it
  // the permissions, as in iotlb_way.h.
  struct alignas(kPointers ? 64 : 32) Way {
    std::atomic<std::uint64_t> page{0};
    std::atomic<std::uint64_t> tag{0};
    std::atomic<std::uint64_t> output{0};
    // Of the set. First way: its sequence, odd while a writer is inside. Second: a bit per way,
    // used since the bits were last cleared.
    std::atomic<std::uint64_t> shared{0};
    [[no_unique_address]] std::conditional_t<kPointers, Pointers, Outputs> pointer{};

    // 0: it holds that page of that tag.
    [[nodiscard, gnu::always_inline]] std::uint64_t differs(std::uint64_t wanted,
                                                            std::uint64_t base) const {
      // Acquire, each: a word of a later write makes that write's odd sequence visible to the
      // reader.
      return (page.load(std::memory_order_acquire) ^ base) |
             (tag.load(std::memory_order_acquire) ^ wanted);
    }
  };
  static_assert(sizeof(Way) == (kPointers ? 64 : 32));
  // Ways that a lookup looks at at first sight: those of one line.
  static constexpr std::size_t kLookedAt = 64 / sizeof(Way);
  class SetLock;
  static constexpr std::size_t kDomainSlots = 64;
  static constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;  // Fibonacci hashing
  static constexpr std::uint64_t kAllWays = (std::uint64_t{1} << kWays) - 1;
  static constexpr int kReadAttempts = 4;

  [[nodiscard]] static std::atomic<std::uint64_t>& sequence_of(Way* set) { return set[0].shared; }
  [[nodiscard]] static std::atomic<std::uint64_t>& recent_of(Way* set) { return set[1].shared; }
  [[nodiscard]] static std::size_t domain_slot(DomainId domain) {
    return (domain.value * kSpread >> 32) % kDomainSlots;
  }
  // As Iotlb places its sets: PASIDs of a domain share them, and the domain turns the whole
  // pattern.
  [[nodiscard]] std::size_t place_of(DomainId domain, std::uint64_t number,
                                     std::uint8_t lg2) const {
    constexpr std::uint64_t kDomains = 0xd1342543de82ef95;
    const std::uint64_t hash = number * kSpread + (domain.value * kDomains + lg2 * kSpread);
    return hash >> place_shift_;
  }
  // Member by member, so that a hit stays in registers.
  [[gnu::always_inline]] static void read(const Way& way, std::uint64_t output, std::uint8_t lg2,
                                          WalkHit& hit) {
    hit.output = output & words::kBaseMask;
    hit.page_lg2 = lg2;
    hit.permissions = Permissions::from_bits(output);
    if constexpr (kPointers) {
      // Acquire: as in Way::differs.
      hit.pointer.to = way.pointer.to.load(std::memory_order_acquire);
      hit.pointer.ticket.sequence = way.pointer.ticket.load(std::memory_order_acquire);
    }
  }
  static void mark(Way* set, std::size_t way) {
    // Relaxed: a hint for the replacement; written only when it changes, so that a hot entry's line
    // stays shared (L4).
    const std::uint64_t recent = recent_of(set).load(std::memory_order_relaxed);
    const std::uint64_t bit = std::uint64_t{1} << way;
    if ((recent & bit) == 0) [[unlikely]]
      recent_of(set).store(recent | bit, std::memory_order_relaxed);
  }
  // Everywhere but at first sight; `sizes` are those to be asked.
  [[nodiscard]] bool look_further(Tag tag, std::uint64_t input, std::uint64_t sizes, WalkHit& hit);
  void overtake_fills(const Invalidation& what);
  std::uint64_t remove_from(Way* set, const Invalidation& what);
  [[nodiscard]] static bool covered(const Invalidation& what, const Way& way);

  // Constant after construction.
  std::size_t set_count_;
  int place_shift_ = 63;
  std::unique_ptr<Way[]> ways_;
  // Atomic. Sizes that were ever filled, one bit each.
  std::atomic<std::uint64_t> sizes_{0};
  // Atomic. By hash of the domain: counts what was invalidated, for tickets.
  std::array<std::atomic<std::uint64_t>, kDomainSlots> sequences_{};
};

extern template class WalkCache<Keeps::kOutputs>;
extern template class WalkCache<Keeps::kPointersToo>;

}  // namespace weir::iotlb
