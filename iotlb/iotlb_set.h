// SPDX-License-Identifier: Apache-2.0
//
// One set of the IOTLB: its words, and how a lookup reads them. A part of iotlb.h, which owns the
// sets and is the only one to write them; the reading is in a header so that an answer stays in
// registers on its way to whoever asked.
//
// Look: any thread, without a lock; see the orders at each load.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/bits.h"
#include "iotlb/entry.h"

namespace weir::iotlb {

// Three words make a way.
//   tag     everything that decides whether it answers, but for the page; 0: empty
//   key     tag and page in one word, which a lookup compares first; together with the tag it is
//           the page, so comparing these two compares everything
//   output  the page's base, and below it, where a base has no bits, the permissions and a bit that
//           says which way it is
namespace words {
inline constexpr Bit<63> kValid{"V"};
inline constexpr Field<58, 53> kSize{"lg2", "page size exponent"};
inline constexpr Field<52, 21> kDomain{"domain"};
inline constexpr Field<20, 0> kPasid{"PASID", "a bit wider than a PASID: all ones is none"};
inline constexpr auto kTag = layout<64>(kValid, kSize, kDomain, kPasid);
static_assert(kTag.reserved == bit_mask(62, 59));
static_assert(kPasidLimit <= kPasid.kMask);
static_assert((Context::kNoPasid & kPasid.kMask) == kPasid.kMask);

inline constexpr std::uint64_t kBaseMask = ~(kPageSize - 1);
inline constexpr unsigned kWayBit = 4;  // of way 0
static_assert(Permissions::kAllBits < 1U << kWayBit);

inline constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;

[[nodiscard]] constexpr std::uint64_t make_tag(Tag tag, std::uint8_t page_lg2) {
  return kValid.kMask | kSize.of(page_lg2) | kDomain.of(tag.domain.value) | kPasid.of(tag.pasid);
}
[[nodiscard]] constexpr std::uint64_t make_key(std::uint64_t tag, std::uint64_t page) {
  return page ^ tag * kSpread;
}
[[nodiscard]] constexpr std::uint64_t make_output(const Entry& entry, std::size_t way) {
  return (entry.output & kBaseMask) | entry.permissions.bits() |
         std::uint64_t{1} << (kWayBit + way);
}
[[nodiscard]] constexpr Entry entry_of(std::uint64_t tag, std::uint64_t key, std::uint64_t output) {
  const std::uint64_t pasid = kPasid.get(tag);
  return {.tag = {.domain = {static_cast<std::uint32_t>(kDomain.get(tag))},
                  .pasid = pasid == kPasid.kMask ? Context::kNoPasid
                                                 : static_cast<std::uint32_t>(pasid)},
          .page = Iova(make_key(tag, key)),  // its own inverse
          .output = output & kBaseMask,
          .page_lg2 = static_cast<std::uint8_t>(kSize.get(tag)),
          .permissions = Permissions::from_bits(output)};
}
}  // namespace words

// Two cache lines. A lookup begins in both at once: the keys in one, the sequence in the other.
struct alignas(128) IotlbSet {
  static constexpr std::size_t kWays = 4;
  static constexpr std::uint64_t kAllWays = (std::uint64_t{1} << kWays) - 1;
  static_assert(kAllWays << words::kWayBit < kPageSize);

  std::array<std::atomic<std::uint64_t>, kWays> key{};
  std::array<std::atomic<std::uint64_t>, kWays> tag{};
  std::atomic<std::uint64_t> sequence{0};  // odd while a writer is inside
  std::atomic<std::uint64_t> recent{0};    // a bit per way: used since the bits were last cleared
  std::array<std::atomic<std::uint64_t>, kWays> output{};
};

// One look at a set for one page.
struct Look {
  std::uint64_t output = 0;  // of the ways that have the key
  std::uint64_t ways = 0;    // a bit for each of them, as in IotlbSet::recent
  std::uint64_t torn = 0;    // not 0: a writer was inside, and nothing of this is true
  std::uint64_t other = 0;   // not 0: some way has the key under another tag

  // Without branches and without an index: which way answers is as good as random, so every way
  // gives its word or 0.
  [[nodiscard]] static Look at(const IotlbSet& set, std::uint64_t tag, std::uint64_t page) {
    const std::uint64_t key = words::make_key(tag, page);
    Look look;
    // Acquire: pairs with the writer's last release; the ways are at least as new as this sequence.
    const std::uint64_t before = set.sequence.load(std::memory_order_acquire);
    // Acquire, each: a word of a later write makes that write's odd sequence visible below.
    [&]<std::size_t... kWay>(std::index_sequence<kWay...>) {
      look.ways =
          (... | (std::uint64_t{set.key[kWay].load(std::memory_order_acquire) == key} << kWay));
    }(std::make_index_sequence<IotlbSet::kWays>());
    constexpr std::uint64_t kLastWay = std::uint64_t{1} << (IotlbSet::kWays - 1);
    const auto first = static_cast<std::size_t>(std::countr_zero(look.ways | kLastWay));
    look.output = set.output[first].load(std::memory_order_acquire);
    look.other =
        (set.tag[first].load(std::memory_order_acquire) ^ tag) | (look.ways & (look.ways - 1));
    // Relaxed: ordered after the loads above because those are acquire.
    look.torn = (before ^ set.sequence.load(std::memory_order_relaxed)) | (before & 1);
    return look;
  }

  // The same, way by way, for sets in which the key stands under another tag: never `other`.
  [[nodiscard]] static Look closely_at(const IotlbSet& set, std::uint64_t tag, std::uint64_t page) {
    const std::uint64_t key = words::make_key(tag, page);
    Look look;
    // Orders as in at().
    const std::uint64_t before = set.sequence.load(std::memory_order_acquire);
    for (std::size_t w = 0; w < IotlbSet::kWays; ++w) {
      if (set.tag[w].load(std::memory_order_acquire) != tag ||
          set.key[w].load(std::memory_order_acquire) != key)
        continue;
      look.output = set.output[w].load(std::memory_order_acquire);
      look.ways = std::uint64_t{1} << w;
    }
    look.torn = (before ^ set.sequence.load(std::memory_order_relaxed)) | (before & 1);
    return look;
  }

  [[nodiscard]] Hit hit(Iova iova, std::uint8_t page_lg2) const {
    return {.output = (output & words::kBaseMask) + iova.page_offset(page_lg2),
            .page_lg2 = page_lg2,
            .permissions = Permissions::from_bits(output)};
  }
};

}  // namespace weir::iotlb
