// SPDX-License-Identifier: Apache-2.0
#include "pagetables/private_pages.h"

#include <algorithm>
#include <bit>

namespace weir::pagetables {
namespace {

constexpr std::uint64_t kPages = std::uint64_t{1} << (52 - kPageLg2);  // that there can be
constexpr std::uint64_t kAllBits = ~std::uint64_t{0};

// Bits `first` to `last` of a word.
[[nodiscard]] constexpr std::uint64_t bits_between(unsigned first, unsigned last) {
  return (kAllBits >> (63 - last)) & (kAllBits << first);
}

}  // namespace

PrivatePages::PrivatePages() = default;

PrivatePages::~PrivatePages() {
  // Relaxed, all: nobody asks any more.
  for (auto& of_region : regions_) {
    const std::unique_ptr<Region> region(of_region.below.load(std::memory_order_relaxed));
    if (region == nullptr) continue;
    for (auto& place : region->places) delete place.below.load(std::memory_order_relaxed);
  }
}

void PrivatePages::set_private(AddressRange<Gpa> range) {
  const MutexLock lock(mutex_);
  set(range.first.value() >> kPageLg2, range.last.value() >> kPageLg2, true);
}

void PrivatePages::set_shared(AddressRange<Gpa> range) {
  const std::uint64_t first = (range.first.value() + (kPageSize - 1)) >> kPageLg2;
  const std::uint64_t beyond = range.last.value() == ~std::uint64_t{0}
                                   ? kPages
                                   : (range.last.value() + 1) >> kPageLg2;
  // The first page may be cut so near the end of the space that none is left.
  if (range.first > range.last || range.first.value() > ~std::uint64_t{0} - (kPageSize - 1)) return;
  const MutexLock lock(mutex_);
  if (first < beyond) set(first, beyond - 1, false);
}

// Wide parts are said once, of the whole place; they also end what was below it being asked, but
// not its being there: somebody may be reading it.
void PrivatePages::set(std::uint64_t first, std::uint64_t last, bool is_private) {
  last = std::min(last, kPages - 1);
  constexpr unsigned kRegionLg2 = kBlockLg2 + kFanLg2;
  while (first <= last) {
    const std::size_t region_index = first >> kRegionLg2;
    auto& of_region = regions_[region_index];
    const std::uint64_t region_last = first | ((std::uint64_t{1} << kRegionLg2) - 1);
    const bool whole_region = first % (std::uint64_t{1} << kRegionLg2) == 0 && region_last <= last;
    // Relaxed: under the lock.
    if (whole_region && of_region.below.load(std::memory_order_relaxed) == nullptr) {
      // Sequentially consistent, here and below: before the epoch of the completion that follows.
      of_region.all_private.store(is_private, std::memory_order_seq_cst);
      first = region_last + 1;
      continue;
    }
    Region& region = region_at(region_index);
    const std::size_t block_index = (first >> kBlockLg2) % kFan;
    auto& of_block = region.places[block_index];
    const std::uint64_t block_last = first | ((std::uint64_t{1} << kBlockLg2) - 1);
    const bool whole_block = first % (std::uint64_t{1} << kBlockLg2) == 0 && block_last <= last;
    // Relaxed: as above.
    if (whole_block && of_block.below.load(std::memory_order_relaxed) == nullptr)
      of_block.all_private.store(is_private, std::memory_order_seq_cst);
    else
      set_in(block_at(region, block_index), first, std::min(block_last, last), is_private);
    first = block_last + 1;
  }
}

void PrivatePages::set_in(Block& block, std::uint64_t first, std::uint64_t last, bool is_private) {
  constexpr std::uint64_t kInBlock = (std::uint64_t{1} << kBlockLg2) - 1;
  for (std::uint64_t page = first; page <= last; page = (page | 63) + 1) {
    auto& word = block.words[(page & kInBlock) / 64];
    const std::uint64_t bits = bits_between(page % 64, std::min(last, page | 63) % 64);
    // Sequentially consistent: as in set().
    if (is_private)
      word.fetch_or(bits, std::memory_order_seq_cst);
    else
      word.fetch_and(~bits, std::memory_order_seq_cst);
  }
}

PrivatePages::Region& PrivatePages::region_at(std::size_t index) {
  auto& place = regions_[index];
  // Relaxed, all but the last: under the lock.
  if (Region* const there = place.below.load(std::memory_order_relaxed)) return *there;
  auto made = std::make_unique<Region>();
  const bool all = place.all_private.load(std::memory_order_relaxed);
  for (auto& below : made->places) below.all_private.store(all, std::memory_order_relaxed);
  // Release: pairs with look(); whoever finds the region finds it as the place was.
  place.below.store(made.get(), std::memory_order_release);
  return *made.release();
}

PrivatePages::Block& PrivatePages::block_at(Region& region, std::size_t index) {
  auto& place = region.places[index];
  // Relaxed, all but the last: under the lock.
  if (Block* const there = place.below.load(std::memory_order_relaxed)) return *there;
  auto made = std::make_unique<Block>();
  const std::uint64_t word = place.all_private.load(std::memory_order_relaxed) ? kAllBits : 0;
  for (auto& below : made->words) below.store(word, std::memory_order_relaxed);
  // Release: as in region_at().
  place.below.store(made.get(), std::memory_order_release);
  return *made.release();
}

PrivatePages::Look PrivatePages::look(std::uint64_t page) const {
  // What is beyond 52 bits is no memory.
  if (page >= kPages) return {false, kAllBits >> kPageLg2};
  constexpr std::uint64_t kRegionPages = std::uint64_t{1} << (kBlockLg2 + kFanLg2);
  constexpr std::uint64_t kBlockPages = std::uint64_t{1} << kBlockLg2;
  const auto& of_region = regions_[page / kRegionPages];
  // Acquire, all: pairs with the stores of those who change; before the word is asked, that the
  // burst which asks began in an epoch after the change.
  const Region* const region = of_region.below.load(std::memory_order_acquire);
  if (region == nullptr)
    return {of_region.all_private.load(std::memory_order_acquire),
            kRegionPages - page % kRegionPages};
  const auto& of_block = region->places[page / kBlockPages % kFan];
  const Block* const block = of_block.below.load(std::memory_order_acquire);
  if (block == nullptr)
    return {of_block.all_private.load(std::memory_order_acquire), kBlockPages - page % kBlockPages};
  const std::uint64_t word =
      block->words[page % kBlockPages / 64].load(std::memory_order_acquire) >> (page % 64);
  const bool is_private = (word & 1) != 0;
  const auto alike = static_cast<unsigned>(is_private ? std::countr_one(word) : std::countr_zero(word));
  return {is_private, std::min<std::uint64_t>(alike, 64 - page % 64)};
}

bool PrivatePages::state_of(std::uint64_t page) const { return look(page).is_private; }

PrivatePages::Run PrivatePages::run(Gpa at, std::uint64_t longest) const {
  constexpr unsigned kLooks = 64;
  std::uint64_t page = at.value() >> kPageLg2;
  const Look first = look(page);
  std::uint64_t pages = first.pages;
  for (unsigned looks = 1; looks < kLooks; ++looks) {
    if (pages > longest >> kPageLg2) break;
    const Look next = look(page + pages);
    if (next.is_private != first.is_private) break;
    pages += next.pages;
  }
  const std::uint64_t inside = at.page_offset(kPageLg2);
  // Beyond 2^52 pages there is nothing that could be asked for.
  const std::uint64_t bytes = pages >= kPages ? kAllBits - inside : (pages << kPageLg2) - inside;
  return {first.is_private, std::min(bytes, longest)};
}

}  // namespace weir::pagetables
