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
//   output  the page's base, and below it, where a base has no bits, the permissions
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
static_assert(Permissions::kAllBits < kPageSize);

inline constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;

[[nodiscard]] constexpr std::uint64_t make_tag(Tag tag, std::uint8_t page_lg2) {
  return kValid.kMask | kSize.of(page_lg2) | kDomain.of(tag.domain.value) | kPasid.of(tag.pasid);
}
[[nodiscard]] constexpr std::uint64_t make_key(std::uint64_t tag, std::uint64_t page) {
  return page ^ tag * kSpread;
}
[[nodiscard]] constexpr std::uint64_t make_output(const Entry& entry) {
  return (entry.output & kBaseMask) | entry.permissions.bits();
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
  static_assert(std::has_single_bit(kWays));

  std::array<std::atomic<std::uint64_t>, kWays> key{};
  std::array<std::atomic<std::uint64_t>, kWays> tag{};
  std::atomic<std::uint64_t> sequence{0};  // odd while a writer is inside
  std::atomic<std::uint64_t> recent{0};    // a bit per way: used since the bits were last cleared
  std::array<std::atomic<std::uint64_t>, kWays> output{};
};

// One look at a set for one page.
struct Look {
  std::uint64_t output = 0;
  std::size_t way = 0;     // whose output it is
  std::uint64_t miss = 0;  // not 0: this is no answer
  bool absent = true;      // of a miss: and there is none in the set

  // At first sight: without branches, because which way answers is as good as random. The number of
  // the way is the sum of the numbers of those that have the key. Where several have it under
  // different tags, that is none of them or the wrong one, and its words say so.
  [[nodiscard]] static Look at(const IotlbSet& set, std::uint64_t tag, std::uint64_t page) {
    const std::uint64_t key = words::make_key(tag, page);
    // Acquire: pairs with the writer's last release; the ways are at least as new as this sequence.
    const std::uint64_t before = set.sequence.load(std::memory_order_acquire);
    // Acquire, each: a word of a later write makes that write's odd sequence visible below.
    const std::size_t sum = [&]<std::size_t... kWay>(std::index_sequence<kWay...>) {
      return (... + (kWay * std::size_t{set.key[kWay].load(std::memory_order_acquire) == key}));
    }
    (std::make_index_sequence<IotlbSet::kWays>());
    const std::size_t way = sum % IotlbSet::kWays;
    const std::uint64_t output = set.output[way].load(std::memory_order_acquire);
    const std::uint64_t different = (set.key[way].load(std::memory_order_acquire) ^ key) |
                                    (set.tag[way].load(std::memory_order_acquire) ^ tag);
    // Relaxed: ordered after the loads above because those are acquire. Odd: a writer was inside.
    const std::uint64_t torn =
        (before ^ set.sequence.load(std::memory_order_relaxed)) | (before & 1);
    return {
        .output = output, .way = way, .miss = different | torn, .absent = sum == 0 && torn == 0};
  }

  // Way by way, until the set holds still or `attempts` are over: misses only what is not there.
  [[nodiscard]] static Look closely_at(const IotlbSet& set, std::uint64_t tag, std::uint64_t page,
                                       int attempts) {
    const std::uint64_t key = words::make_key(tag, page);
    for (; attempts > 0; --attempts) {
      Look look{.output = 0, .way = 0, .miss = 1, .absent = true};
      // Orders as in at().
      const std::uint64_t before = set.sequence.load(std::memory_order_acquire);
      for (std::size_t w = 0; w < IotlbSet::kWays; ++w) {
        if (set.tag[w].load(std::memory_order_acquire) != tag ||
            set.key[w].load(std::memory_order_acquire) != key)
          continue;
        look = {.output = set.output[w].load(std::memory_order_acquire),
                .way = w,
                .miss = 0,
                .absent = false};
      }
      const std::uint64_t after = set.sequence.load(std::memory_order_relaxed);
      if (before == after && before % 2 == 0) return look;
    }
    return {.output = 0, .way = 0, .miss = 1, .absent = false};
  }

  [[nodiscard]] Hit hit(Iova iova, std::uint8_t page_lg2) const {
    return {.output = (output & words::kBaseMask) + iova.page_offset(page_lg2),
            .page_lg2 = page_lg2,
            .permissions = Permissions::from_bits(output)};
  }
};

}  // namespace weir::iotlb
