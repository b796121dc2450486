// SPDX-License-Identifier: Apache-2.0
//
// Translations for contexts whose guest flushes without our hearing of it (Coherence::kVerified).
// An entry keeps the context and every table word that its walk rested on; it answers only while
// memory still says the same. So it needs no invalidation, and one that is out of date costs a
// walk.
//
// Direct-mapped by 4 KiB page, whatever the size of the page behind it. Nothing is allocated before
// the first fill. lookup: any thread, without a lock; fill: any thread, and gives up where it meets
// another.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>

#include "base/address.h"
#include "base/mutex.h"
#include "iotlb/context.h"
#include "iotlb/entry.h"

namespace weir::iotlb {

class VerifiedTlb {
 public:
  static constexpr std::size_t kMaxWords = 24;

  // `entries` is rounded up to a power of two; 0: keeps nothing.
  explicit VerifiedTlb(std::size_t entries) : count_(entries == 0 ? 0 : std::bit_ceil(entries)) {}

  // `same`: (Gpa, std::uint64_t) -> bool, whether memory has that word there.
  template <typename Same>
  [[nodiscard]] std::optional<Hit> lookup(const Context& context, Iova iova, Same&& same) const {
    // Acquire: pairs with the release in fill().
    const Slot* const slots = slots_.load(std::memory_order_acquire);
    if (slots == nullptr) return std::nullopt;
    const Slot& slot = slots[index_of(context, iova)];
    // Acquire, all of them: as in Published; a word of a later write makes its odd sequence visible
    // below.
    const std::uint64_t before = slot.sequence.load(std::memory_order_acquire);
    if (before % 2 != 0 || before == 0) return std::nullopt;
    if (slot.page.load(std::memory_order_acquire) != iova.value() >> kPageLg2) return std::nullopt;
    const ContextWords wanted = words_of(context);
    std::uint64_t different = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      different |= slot.context[i].load(std::memory_order_acquire) ^ wanted[i];
    if (different != 0) return std::nullopt;
    const std::uint64_t output = slot.output.load(std::memory_order_acquire);
    const std::uint64_t shape = slot.shape.load(std::memory_order_acquire);
    const std::size_t count = shape >> kCountShift;
    if (count > kMaxWords) return std::nullopt;  // torn
    for (std::size_t i = 0; i < count; ++i)
      if (!same(Gpa(slot.words[i].at.load(std::memory_order_acquire)),
                slot.words[i].value.load(std::memory_order_acquire)))
        return std::nullopt;
    // Relaxed: ordered after the loads above because those are acquire.
    if (slot.sequence.load(std::memory_order_relaxed) != before) return std::nullopt;
    const auto page_lg2 = static_cast<std::uint8_t>(shape & kSizeMask);
    return Hit{.output = (output & ~kLowBits) + iova.page_offset(page_lg2),
               .page_lg2 = page_lg2,
               .permissions = Permissions::from_bits(output)};
  }

  // REQUIRES: at most kMaxWords words.
  void fill(const Context& context, Iova iova, std::uint64_t output, std::uint8_t page_lg2,
            Permissions permissions, std::span<const Gpa> at, std::span<const std::uint64_t> value);

 private:
  using Atomic = std::atomic<std::uint64_t>;
  using ContextWords = std::array<std::uint64_t, sizeof(Context) / sizeof(std::uint64_t)>;
  static_assert(sizeof(Context) % sizeof(std::uint64_t) == 0 &&
                std::has_unique_object_representations_v<Context>);

  static constexpr std::uint64_t kLowBits = kPageSize - 1;
  static constexpr unsigned kCountShift = 8;
  static constexpr std::uint64_t kSizeMask = 0xff;

  struct Word {
    Atomic at{0};
    Atomic value{0};
  };
  struct alignas(64) Slot {
    Atomic sequence{0};  // odd while a writer is inside; 0: never written
    Atomic page{0};      // number of the 4 KiB page
    Atomic output{0};    // base of the whole page, and below it the permissions
    Atomic shape{0};     // how many words, and the exponent of the page's size
    std::array<Atomic, std::tuple_size_v<ContextWords>> context{};
    std::array<Word, kMaxWords> words{};
  };
  static_assert(sizeof(Slot) <= 512);

  [[nodiscard]] static ContextWords words_of(const Context& context) {
    return std::bit_cast<ContextWords>(context);
  }
  [[nodiscard]] std::size_t index_of(const Context& context, Iova iova) const {
    constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;
    const std::uint64_t number =
        (iova.value() >> kPageLg2) + (std::uint64_t{context.domain.value} << 20) + context.pasid;
    return number * kSpread >> 32 & (count_ - 1);
  }
  [[nodiscard]] Slot* allocated();

  const std::size_t count_;

  Mutex mutex_;
  std::unique_ptr<Slot[]> owned_ WEIR_GUARDED_BY(mutex_);

  std::atomic<Slot*> slots_{nullptr};
};

}  // namespace weir::iotlb
