// SPDX-License-Identifier: Apache-2.0
#include "pagetables/interval_map.h"

#include <algorithm>
#include <utility>

#include "pagetables/detail/interval_index.h"
#include "pagetables/detail/interval_nodes.h"
#include "pagetables/detail/interval_tree.h"

namespace weir::pagetables {

IntervalMap::IntervalMap(const IntervalMapOptions& options, NodeRetirer& retirer)
    : options_(options),
      retirer_(retirer),
      pool_(std::make_unique<detail::NodePool>()),
      tree_(std::make_unique<detail::IntervalTree>(*pool_)),
      index_(std::make_unique<detail::IntervalIndex>(*pool_)) {}

IntervalMap::~IntervalMap() = default;

std::optional<Mapping> IntervalMap::lookup(Iova at) const {
  if (const auto known = index_->lookup(at.value())) return known;
  return tree_->lookup(at.value());
}

void IntervalMap::lookup(std::span<const Iova> at, std::span<std::optional<Mapping>> found) const {
  // Past the index: it gains a lookup alone one step of three, and these overlap theirs.
  for (std::size_t n = 0; n < at.size(); n += detail::IntervalTree::kTogether) {
    const std::size_t count = std::min(at.size() - n, detail::IntervalTree::kTogether);
    tree_->lookup_together(at.subspan(n, count), found.subspan(n, count));
  }
}

std::optional<Mapping> IntervalMap::first_at_or_after(Iova at) const {
  return tree_->first_at_or_after(at.value());
}

MapStatus IntervalMap::map(const Mapping& mapping) {
  const AddressRange<Iova> range = mapping.range;
  if (range.last < range.first) return MapStatus::kBadRange;
  if (mapping.output + (range.last - range.first) < mapping.output) return MapStatus::kOutputWraps;
  const auto next = tree_->first_at_or_after(range.first.value());
  if (next && next->range.first <= range.last) return MapStatus::kOverlap;
  if (size_ >= options_.max_mappings || pool_->outstanding() > options_.max_retired_bytes)
    return MapStatus::kNoMemory;
  if (!tree_->insert(mapping)) return MapStatus::kNoMemory;
  ++size_;
  // After the tree (interval_index.h).
  index_->add(mapping, options_.index_bytes_at_start + options_.index_bytes_per_mapping * size_);
  hand_over();
  return MapStatus::kMapped;
}

Unmapped IntervalMap::unmap(AddressRange<Iova> range) {
  if (range.last < range.first) return {UnmapStatus::kBadRange, 0};
  const auto at_first = tree_->lookup(range.first.value());
  if (at_first && (at_first->range.first < range.first || at_first->range.last > range.last))
    return {UnmapStatus::kWouldSplit, 0};
  const auto at_last = tree_->lookup(range.last.value());
  if (at_last && at_last->range.last > range.last) return {UnmapStatus::kWouldSplit, 0};
  // Before the tree (interval_index.h).
  at_first && at_first->range == range ? index_->remove(*at_first) : forget_in_index(range);
  const auto removed = tree_->erase(range.first.value(), range.last.value());
  if (!removed) return {UnmapStatus::kNoMemory, 0};
  size_ -= *removed;
  hand_over();
  return {UnmapStatus::kUnmapped, *removed};
}

void IntervalMap::forget_in_index(AddressRange<Iova> range) {
  if (index_->bytes() == 0) return;
  if (range == whole_space<Iova>()) return index_->clear();
  for_each(range, [this](const Mapping& m) { index_->remove(m); });
}

void IntervalMap::clear() {
  index_->clear();
  tree_->clear();
  size_ = 0;
  hand_over();
}

void IntervalMap::hand_over() {
  RetiredNodes nodes = pool_->take_retired();
  if (nodes.bytes() != 0) retirer_.retire(std::move(nodes));
}

std::size_t IntervalMap::node_bytes() const { return pool_->bytes() - index_->bytes(); }
std::size_t IntervalMap::index_bytes() const { return index_->bytes(); }
std::size_t IntervalMap::retired_bytes() const { return pool_->outstanding(); }

}  // namespace weir::pagetables
