// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/named_pages.h"

#include "base/bits.h"

namespace weir::verify {
namespace {

// Low memory below the tables of every file so far; any page that is not named would do.
constexpr std::uint64_t kFirst = 0xe00000 >> kPageLg2;

}  // namespace

void NamedPages::add(const std::vector<MemoryRun>& runs) {
  for (const MemoryRun& run : runs) {
    for (std::size_t i = 0; i < run.words.size(); ++i) {
      add(run.first.value() + i * sizeof(std::uint64_t));
      add(run.words[i] & bit_mask(51, kPageLg2));
    }
  }
}

void NamedPages::add(const Dma& dma) {
  add(dma.iova.value());
  for (const DmaResult& result : dma.permitted) {
    if (const auto* reached = std::get_if<Reached>(&result)) add(reached->gpa.value());
  }
}

std::vector<Gpa> NamedPages::others(const GuestRam& ram, std::size_t count) const {
  std::vector<Gpa> found;
  // Of size() + count pages in a row, at least `count` are not named.
  for (std::uint64_t i = 0; i < pages_.size() + count && found.size() < count; ++i) {
    const Gpa at((kFirst + i) << kPageLg2);
    if (!pages_.contains(kFirst + i) && ram.holds(at, kPageSize)) found.push_back(at);
  }
  return found;
}

}  // namespace weir::verify
