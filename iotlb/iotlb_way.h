// SPDX-License-Identifier: Apache-2.0
//
// One place of the IOTLB: its words, and how a lookup reads them. A part of iotlb.h, which owns the
// places and is the only one to write them; the reading is in a header so that an answer stays in
// registers on its way to whoever asked.
//
// Look: any thread, without a lock; see the orders at each load.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/bits.h"
#include "iotlb/entry.h"

namespace weir::iotlb {

// What the words hold.
//   tag         everything that decides whether it answers, but for page and generation; 0: empty
//   page        the page's base
//   output      the page's base in the other space, and below it, where a base has no bits, the
//               permissions
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

[[nodiscard]] constexpr std::uint64_t make_tag(Tag tag, std::uint8_t page_lg2) {
  return kValid.kMask | kSize.of(page_lg2) | kDomain.of(tag.domain.value) | kPasid.of(tag.pasid);
}
[[nodiscard]] constexpr Tag tag_of(std::uint64_t word) {
  const std::uint64_t pasid = kPasid.get(word);
  return {.domain = {static_cast<std::uint32_t>(kDomain.get(word))},
          .pasid = pasid == kPasid.kMask ? Context::kNoPasid : static_cast<std::uint32_t>(pasid)};
}
[[nodiscard]] constexpr std::uint64_t make_output(std::uint64_t output, Permissions permissions) {
  return (output & kBaseMask) | permissions.bits();
}
[[nodiscard]] constexpr std::uint64_t make_output(const Entry& entry) {
  return make_output(entry.output, entry.permissions);
}
[[nodiscard]] constexpr Entry entry_of(std::uint64_t tag, std::uint64_t page,
                                       std::uint64_t output) {
  return {.tag = tag_of(tag),
          .page = Iova(page),
          .output = output & kBaseMask,
          .page_lg2 = static_cast<std::uint8_t>(kSize.get(tag)),
          .permissions = Permissions::from_bits(output)};
}
}  // namespace words

// Half a cache line, so that a lookup that finds its entry at first sight touches one.
struct alignas(32) IotlbWay {
  std::atomic<std::uint64_t> tag{0};
  std::atomic<std::uint64_t> page{0};
  std::atomic<std::uint64_t> output{0};
  std::atomic<std::uint32_t> sequence{0};    // odd while the words above are being rewritten
  std::atomic<std::uint16_t> generation{0};  // low bits of its tag's when it was filled
  std::atomic<std::uint8_t> used{0};         // since this was last forgotten
  // Of the set that the way is in, spread over its ways: see IotlbSet.
  std::atomic<std::uint8_t> of_set{0};
};
static_assert(sizeof(IotlbWay) == 32);

// One look at a way for one page.
struct Look {
  std::uint64_t output = 0;
  std::uint64_t different = 0;  // not 0: the way holds another page, or another generation's
  std::uint32_t torn = 0;       // not 0: a writer was inside

  [[nodiscard]] bool hit() const { return (different | torn) == 0; }

  [[gnu::always_inline]] [[nodiscard]] static Look at(const IotlbWay& way, std::uint64_t tag,
                                                      std::uint64_t page,
                                                      std::uint64_t generation) {
    // Acquire: pairs with the writer's last release; the words are at least as new as this.
    const std::uint32_t before = way.sequence.load(std::memory_order_acquire);
    // Acquire, each: a word of a later write makes that write's odd sequence visible below.
    const std::uint64_t different = (way.tag.load(std::memory_order_acquire) ^ tag) |
                                    (way.page.load(std::memory_order_acquire) ^ page) |
                                    (way.generation.load(std::memory_order_acquire) ^ generation);
    const std::uint64_t output = way.output.load(std::memory_order_acquire);
    // Relaxed: ordered after the loads above because those are acquire.
    const std::uint32_t after = way.sequence.load(std::memory_order_relaxed);
    return {.output = output, .different = different, .torn = (before ^ after) | (before & 1)};
  }

  [[nodiscard]] static Hit hit_of(std::uint64_t output, Iova iova, std::uint8_t page_lg2) {
    return {.output = (output & words::kBaseMask) + iova.page_offset(page_lg2),
            .page_lg2 = page_lg2,
            .permissions = Permissions::from_bits(output)};
  }
};

}  // namespace weir::iotlb
