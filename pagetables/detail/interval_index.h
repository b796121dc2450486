// SPDX-License-Identifier: Apache-2.0
//
// The interval map's index by page number: a radix tree of four levels, nine bits each, over the
// first 2^48 addresses. It knows some of the mappings that are whole pages (or whole 2 MiB or 1 GiB
// blocks, where a mapping is made of such) and nothing else; what it does not know is asked of the
// tree. It may forget at any time, and never says what is not so.
//
// lookup: any thread beside the writer, wait-free: a slot is one word that holds a whole answer.
// add, remove and clear: the writer. A mapping is added after the tree has it and removed before
// the tree loses it, so whatever a slot says was mapped at the moment the slot was read.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "base/bits.h"
#include "pagetables/detail/interval_nodes.h"

namespace weir::pagetables::detail {

class IntervalIndex {
 public:
  explicit IntervalIndex(NodePool& pool) : pool_(pool) {}
  ~IntervalIndex();
  IntervalIndex(const IntervalIndex&) = delete;
  IntervalIndex& operator=(const IntervalIndex&) = delete;

  [[nodiscard]] std::optional<Mapping> lookup(std::uint64_t at) const {
    if (at >> kReachLg2 != 0) return std::nullopt;
    // Acquire, both: pair with the releases in add; the node's slots are what it was made with, or
    // newer.
    const Table* table = root_.load(std::memory_order_acquire);
    if (table == nullptr) return std::nullopt;
    for (unsigned level = kLevels; level-- > 0;) {
      const std::uint64_t word = table->slot[slot_at(at, level)].load(std::memory_order_acquire);
      if ((word & kKindMask) == kAnswer) return decode(word, at, level);
      if (word == 0) return std::nullopt;
      table = table_of(word);
    }
    return std::nullopt;
  }

  // May decline, in part or wholly. Makes no table beyond `most_bytes` for all of them.
  void add(const Mapping& mapping, std::size_t most_bytes);
  void remove(const Mapping& mapping);
  void clear();

  [[nodiscard]] std::size_t bytes() const { return tables_ * sizeof(Table); }

 private:
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kIndexBits = 9;
  static constexpr unsigned kTableSlots = 1U << kIndexBits;
  static constexpr unsigned kReachLg2 = kPageLg2 + kLevels * kIndexBits;

  // A slot: 0, a table's address | kTable, or an answer for one block of a mapping.
  static constexpr std::uint64_t kKindMask = 3;
  static constexpr std::uint64_t kTable = 1;
  static constexpr std::uint64_t kAnswer = 2;
  static constexpr Field<3, 2> kPermissions{"P", "permissions"};
  static constexpr Field<4, 4> kMmio{"M", "MMIO"};
  static constexpr Field<13, 5> kBefore{"B", "blocks of the mapping before this one"};
  static constexpr Field<22, 14> kBlocks{"N", "blocks of the mapping, less one"};
  static constexpr Field<63, 23> kOutputPage{"O", "this block's output, in pages"};
  static constexpr unsigned kOutputLg2 = 53;  // 41 bits of page number

  struct alignas(64) Table : Garbage {
    std::uint64_t used = 0;  // slots that are not 0; the writer's
    alignas(64) std::array<std::atomic<std::uint64_t>, kTableSlots> slot{};
  };
  static_assert(alignof(Table) > kKindMask);

  // How a mapping is cut up: `blocks` pieces of 2^lg2 bytes, held by slots of `level`.
  struct Cut {
    unsigned level = 0;
    std::uint64_t blocks = 0;
  };

  [[nodiscard]] static constexpr unsigned block_lg2(unsigned level) {
    return kPageLg2 + kIndexBits * level;
  }
  [[nodiscard]] static constexpr unsigned slot_at(std::uint64_t at, unsigned level) {
    return static_cast<unsigned>(at >> block_lg2(level)) & (kTableSlots - 1);
  }
  [[nodiscard]] static Table* table_of(std::uint64_t word) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a slot holds either kind in one atomic word
    return reinterpret_cast<Table*>(word & ~kKindMask);
  }
  [[nodiscard]] static Mapping decode(std::uint64_t word, std::uint64_t at, unsigned level) {
    const unsigned lg2 = block_lg2(level);
    const std::uint64_t before = kBefore.get(word) << lg2;
    const std::uint64_t first = (at >> lg2 << lg2) - before;
    return Mapping{.range = {Iova(first), Iova(first + ((kBlocks.get(word) + 1) << lg2) - 1)},
                   .output = Gpa((kOutputPage.get(word) << kPageLg2) - before),
                   .permissions = Permissions::from_bits(kPermissions.get(word)),
                   .mmio = kMmio.is_set(word)};
  }
  [[nodiscard]] static std::optional<Cut> cut(const Mapping& mapping);

  // The table of `level` that holds `at`, made on the way if `most_bytes` allow; or null.
  [[nodiscard]] Table* reach(std::uint64_t at, unsigned level, std::size_t most_bytes);
  [[nodiscard]] Table* make_table(std::size_t most_bytes);
  // Empties the slot of `level` that holds `at`, and drops tables that are empty then.
  void forget(std::uint64_t at, unsigned level);
  void retire_below(Table* table, unsigned level);

  NodePool& pool_;
  std::size_t tables_ = 0;

  // Atomic; stored by the writer alone.
  std::atomic<Table*> root_{nullptr};
};

}  // namespace weir::pagetables::detail
