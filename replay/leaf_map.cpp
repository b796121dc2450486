// SPDX-License-Identifier: Apache-2.0
#include "replay/leaf_map.h"

namespace weir::replay {
namespace {

constexpr std::uint64_t kPermissionBits = Permissions::kAllBits;

[[nodiscard]] MappedLeaf leaf_of(Iova first, std::uint8_t page_lg2, std::uint64_t word) {
  return {.iova = first,
          .page_lg2 = page_lg2,
          .gpa = Gpa(word & ~kPermissionBits),
          .permissions = Permissions::from_bits(word)};
}

[[nodiscard]] std::uint64_t word_of(const MappedLeaf& leaf) {
  return leaf.gpa.value() | leaf.permissions.bits();
}

[[nodiscard]] std::size_t index_of(Iova iova) { return iova.value() >> kPageLg2 & 511; }

}  // namespace

LeafMap::Table* LeafMap::table_of(Iova iova) const {
  const std::uint64_t number = iova.value() >> kPage2mLg2;
  if (number != last_) {
    const auto found = tables_.find(number);
    last_ = number;
    last_table_ = found == tables_.end() ? nullptr : found->second.get();
  }
  return last_table_;
}

std::optional<MappedLeaf> LeafMap::find(Iova iova) const {
  if (const Table* table = table_of(iova))
    if (const std::uint64_t word = (*table)[index_of(iova)]; word != 0)
      return leaf_of(iova.page_base(kPageLg2), kPageLg2, word);
  if (!pages_2m_.empty())
    if (const auto found = pages_2m_.find(iova.value() >> kPage2mLg2); found != pages_2m_.end())
      return leaf_of(iova.page_base(kPage2mLg2), kPage2mLg2, found->second);
  if (!pages_1g_.empty())
    if (const auto found = pages_1g_.find(iova.value() >> kPage1gLg2); found != pages_1g_.end())
      return leaf_of(iova.page_base(kPage1gLg2), kPage1gLg2, found->second);
  return std::nullopt;
}

void LeafMap::take_table(Iova first_of_2m, std::vector<MappedLeaf>& gone) {
  const Table* table = table_of(first_of_2m);
  if (table == nullptr) return;
  for (std::size_t i = 0; i < kEntries; ++i)
    if ((*table)[i] != 0)
      gone.push_back(leaf_of(first_of_2m + i * kPageSize, kPageLg2, (*table)[i]));
  tables_.erase(first_of_2m.value() >> kPage2mLg2);
  last_ = ~std::uint64_t{0};
}

// Leaves larger than 2^page_lg2 around `iova`.
void LeafMap::take_larger(Iova iova, std::uint8_t page_lg2, std::vector<MappedLeaf>& gone) {
  const auto take_from = [&](auto& pages, std::uint8_t lg2) {
    const auto found = pages.find(iova.value() >> lg2);
    if (page_lg2 >= lg2 || found == pages.end()) return;
    gone.push_back(leaf_of(iova.page_base(lg2), lg2, found->second));
    pages.erase(found);
  };
  take_from(pages_2m_, kPage2mLg2);
  take_from(pages_1g_, kPage1gLg2);
}

std::vector<MappedLeaf> LeafMap::put(const MappedLeaf& leaf) {
  std::vector<MappedLeaf> gone;
  take_larger(leaf.iova, leaf.page_lg2, gone);
  std::uint64_t* slot = nullptr;
  if (leaf.page_lg2 == kPageLg2) {
    if (table_of(leaf.iova) == nullptr) {
      auto& made = tables_[leaf.iova.value() >> kPage2mLg2];
      made = std::make_unique<Table>();
      last_table_ = made.get();
    }
    slot = &(*last_table_)[index_of(leaf.iova)];
  } else if (leaf.page_lg2 == kPage2mLg2) {
    take_table(leaf.iova, gone);
    slot = &pages_2m_[leaf.iova.value() >> kPage2mLg2];
  } else {
    for (std::size_t i = 0; i < kEntries; ++i) {
      const Iova first = leaf.iova + (i << kPage2mLg2);
      take_table(first, gone);
      take_larger(first, kPageLg2, gone);
    }
    // take_larger took a 1 GiB leaf that was here before, so it is in `gone` if it differs.
    if (!gone.empty() && gone.back() == leaf) gone.pop_back();
    slot = &pages_1g_[leaf.iova.value() >> kPage1gLg2];
  }
  if (*slot != 0 && *slot != word_of(leaf))
    gone.push_back(leaf_of(leaf.iova, leaf.page_lg2, *slot));
  *slot = word_of(leaf);
  return gone;
}

std::optional<MappedLeaf> LeafMap::take(Iova iova) {
  const auto leaf = find(iova);
  if (!leaf) return std::nullopt;
  if (leaf->page_lg2 == kPageLg2)
    (*table_of(iova))[index_of(iova)] = 0;
  else if (leaf->page_lg2 == kPage2mLg2)
    pages_2m_.erase(iova.value() >> kPage2mLg2);
  else
    pages_1g_.erase(iova.value() >> kPage1gLg2);
  return leaf;
}

}  // namespace weir::replay
