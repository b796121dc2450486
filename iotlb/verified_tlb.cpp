// SPDX-License-Identifier: Apache-2.0
#include "iotlb/verified_tlb.h"

namespace weir::iotlb {

VerifiedTlb::Slot* VerifiedTlb::allocated() {
  // Acquire: pairs with the release below.
  if (Slot* const slots = slots_.load(std::memory_order_acquire)) return slots;
  const MutexLock lock(mutex_);
  if (owned_ == nullptr) owned_ = std::make_unique<Slot[]>(count_);
  // Release: whoever sees the pointer sees slots that are empty.
  slots_.store(owned_.get(), std::memory_order_release);
  return owned_.get();
}

void VerifiedTlb::fill(const Context& context, Iova iova, std::uint64_t output,
                       std::uint8_t page_lg2, Permissions permissions, std::span<const Gpa> at,
                       std::span<const std::uint64_t> value) {
  if (count_ == 0) return;
  Slot& slot = allocated()[index_of(context, iova)];
  // Relaxed: the exchange below decides.
  std::uint64_t seen = slot.sequence.load(std::memory_order_relaxed);
  // Acquire: one writer at a time sees the words as the last one left them.
  if (seen % 2 != 0 || !slot.sequence.compare_exchange_strong(
                           seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed))
    return;
  // Release, each: makes the odd sequence visible to a reader that sees the new word.
  const ContextWords words = words_of(context);
  for (std::size_t i = 0; i < words.size(); ++i)
    slot.context[i].store(words[i], std::memory_order_release);
  for (std::size_t i = 0; i < at.size(); ++i) {
    slot.words[i].at.store(at[i].value(), std::memory_order_release);
    slot.words[i].value.store(value[i], std::memory_order_release);
  }
  slot.page.store(iova.value() >> kPageLg2, std::memory_order_release);
  slot.output.store((output & ~kLowBits) | permissions.bits(), std::memory_order_release);
  slot.shape.store(std::uint64_t{at.size()} << kCountShift | page_lg2, std::memory_order_release);
  slot.sequence.store(seen + 2, std::memory_order_release);
}

}  // namespace weir::iotlb
