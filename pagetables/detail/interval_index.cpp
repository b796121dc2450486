// SPDX-License-Identifier: Apache-2.0
#include "pagetables/detail/interval_index.h"

namespace weir::pagetables::detail {

IntervalIndex::~IntervalIndex() {
  // Nobody reads any more, so retired is as good as freed: the pool frees what it still holds.
  clear();
}

std::optional<IntervalIndex::Cut> IntervalIndex::cut(const Mapping& mapping) {
  const std::uint64_t first = mapping.range.first.value();
  const std::uint64_t last = mapping.range.last.value();
  const std::uint64_t output = mapping.output.value();
  if (last >> kReachLg2 != 0 || (output + (last - first)) >> kOutputLg2 != 0) return std::nullopt;
  if (!is_aligned(output, kPageLg2)) return std::nullopt;
  // Below the root, whose slots are 512 GiB each.
  for (unsigned level = kLevels - 1; level-- > 0;) {
    const unsigned lg2 = block_lg2(level);
    const std::uint64_t blocks = ((last - first) >> lg2) + 1;
    if (!is_aligned(first, lg2) || !is_aligned(last + 1, lg2)) continue;
    if (blocks > std::uint64_t{1} << kIndexBits) return std::nullopt;
    return Cut{level, blocks};
  }
  return std::nullopt;
}

IntervalIndex::Table* IntervalIndex::make_table(std::size_t most_bytes) {
  if (bytes() + sizeof(Table) > most_bytes) return nullptr;
  Table* const table = pool_.make<Table>();
  if (table != nullptr) ++tables_;
  return table;
}

IntervalIndex::Table* IntervalIndex::reach(std::uint64_t at, unsigned level,
                                           std::size_t most_bytes) {
  // Relaxed, all: the writer's own stores.
  Table* table = root_.load(std::memory_order_relaxed);
  if (table == nullptr) {
    table = make_table(most_bytes);
    // Release: pairs with lookup's acquire; the table is empty, not undefined.
    root_.store(table, std::memory_order_release);
  }
  for (unsigned above = kLevels; table != nullptr && --above > level;) {
    std::atomic<std::uint64_t>& slot = table->slot[slot_at(at, above)];
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    if ((word & kKindMask) == kTable) {
      table = table_of(word);
      continue;
    }
    // Mappings do not overlap, so this is no answer.
    Table* const below = make_table(most_bytes);
    if (below == nullptr) return nullptr;
    ++table->used;
    // Release: as above.
    slot.store(reinterpret_cast<std::uint64_t>(below) | kTable, std::memory_order_release);
    table = below;
  }
  return table;
}

void IntervalIndex::add(const Mapping& mapping, std::size_t most_bytes) {
  const auto how = cut(mapping);
  if (!how) return;
  const unsigned lg2 = block_lg2(how->level);
  Table* table = nullptr;
  for (std::uint64_t i = 0; i < how->blocks; ++i) {
    const std::uint64_t at = mapping.range.first.value() + (i << lg2);
    const unsigned slot = slot_at(at, how->level);
    if (i == 0 || slot == 0) table = reach(at, how->level, most_bytes);
    if (table == nullptr) continue;
    // A table of smaller pages may stand here because a neighbour left it behind.
    if (table->slot[slot].load(std::memory_order_relaxed) != 0) continue;
    const std::uint64_t output = mapping.output.value() + (i << lg2);
    const std::uint64_t word = kAnswer | kPermissions.of(mapping.permissions.bits()) |
                               kMmio.of(mapping.mmio ? 1 : 0) | kBefore.of(i) |
                               kBlocks.of(how->blocks - 1) | kOutputPage.of(output >> kPageLg2);
    ++table->used;
    // Release: pairs with lookup's acquire, so that a reader that goes on to the tree later finds
    // the mapping there, too.
    table->slot[slot].store(word, std::memory_order_release);
  }
}

void IntervalIndex::remove(const Mapping& mapping) {
  const auto how = cut(mapping);
  if (!how) return;
  const unsigned lg2 = block_lg2(how->level);
  for (std::uint64_t i = 0; i < how->blocks; ++i)
    forget(mapping.range.first.value() + (i << lg2), how->level);
}

void IntervalIndex::forget(std::uint64_t at, unsigned level) {
  std::array<Table*, kLevels> path{};
  // Relaxed, all loads: the writer's own stores.
  Table* table = root_.load(std::memory_order_relaxed);
  for (unsigned above = kLevels; table != nullptr && --above > level;) {
    path[above] = table;
    const std::uint64_t word = table->slot[slot_at(at, above)].load(std::memory_order_relaxed);
    table = (word & kKindMask) == kTable ? table_of(word) : nullptr;
  }
  if (table == nullptr) return;
  path[level] = table;
  if ((table->slot[slot_at(at, level)].load(std::memory_order_relaxed) & kKindMask) != kAnswer)
    return;
  for (unsigned above = level; above < kLevels; ++above) {
    // Release: what follows in the tree comes later for readers, too.
    path[above]->slot[slot_at(at, above)].store(0, std::memory_order_release);
    if (--path[above]->used != 0 || above + 1 == kLevels) return;
    pool_.retire(path[above]);
    --tables_;
  }
}

void IntervalIndex::clear() {
  // Relaxed, both: the writer's own store, and nothing is published.
  Table* const root = root_.load(std::memory_order_relaxed);
  root_.store(nullptr, std::memory_order_relaxed);
  if (root != nullptr) retire_below(root, kLevels - 1);
}

void IntervalIndex::retire_below(Table* table, unsigned level) {
  for (const std::atomic<std::uint64_t>& slot : table->slot) {
    if (level == 0) break;
    // Relaxed: the writer's own store.
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    if ((word & kKindMask) == kTable) retire_below(table_of(word), level - 1);
  }
  pool_.retire(table);
  --tables_;
}

}  // namespace weir::pagetables::detail
