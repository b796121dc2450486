// SPDX-License-Identifier: Apache-2.0
//
// The B+tree behind the interval map: disjoint mappings, sorted. lookup, lookup_together and
// first_at_or_after: any thread beside the writer, wait-free. insert, erase and clear: the writer.
// Nothing here knows about limits or the page index.
//
// Three rules make a reader's plain descent right at every moment:
//   1. What is reachable is complete: a new leaf or subtree is published by one pointer store.
//   2. A mapping lies wholly within the bounds of its leaf. One that would reach over the next
//      separator first raises that separator, across addresses where nothing is mapped: before the
//      mapping is there, both sides answer "nothing", and after it only the left one is asked.
//   3. A replaced node stays as it was when it was replaced, until its readers are gone.
// An insertion into a leaf with room, and a removal within one leaf, replace one leaf and store one
// word. All other edits build the new path from the bottom up, unseen, and store the root; if the
// host runs out of memory in the middle, what was built is freed and nothing has happened.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "pagetables/detail/interval_nodes.h"

namespace weir::pagetables::detail {

class IntervalTree {
 public:
  explicit IntervalTree(NodePool& pool) : pool_(pool) {}
  ~IntervalTree() { free_subtree(root_.load(std::memory_order_relaxed)); }
  IntervalTree(const IntervalTree&) = delete;
  IntervalTree& operator=(const IntervalTree&) = delete;

  [[nodiscard]] std::optional<Mapping> lookup(std::uint64_t at) const;
  [[nodiscard]] std::optional<Mapping> first_at_or_after(std::uint64_t at) const;
  // REQUIRES: as many of one as of the other, kTogether at most.
  static constexpr std::size_t kTogether = 32;
  void lookup_together(std::span<const Iova> at, std::span<std::optional<Mapping>> found) const;

  // False: no memory, nothing changed. REQUIRES: overlaps no mapping; first <= last.
  [[nodiscard]] bool insert(const Mapping& mapping);
  // Removes what begins in [first, last]; gives how many, or nothing for want of memory.
  // REQUIRES: no mapping lies partly inside.
  [[nodiscard]] std::optional<std::size_t> erase(std::uint64_t first, std::uint64_t last);
  std::size_t clear();

 private:
  // What replaces a child: up to two nodes, and where each begins. The first takes over the
  // separator of the child it replaces.
  struct Piece {
    std::uint64_t first = 0;
    Node* node = nullptr;
  };
  struct Pieces {
    std::array<Piece, 2> piece{};
    unsigned count = 0;
  };
  class Edit;

  static constexpr unsigned kMostLevels = 16;  // 2^64 mappings in half-full nodes need 13
  struct Path {
    Leaf* leaf = nullptr;
    Inner* parent = nullptr;  // null: the leaf is the root
    unsigned slot = 0;        // of the leaf in its parent
    // The lowest separator above the leaf and who holds it; null: none.
    Inner* bound_in = nullptr;
    unsigned bound_slot = 0;
  };

  [[nodiscard]] Path descend(std::uint64_t at) const;
  [[nodiscard]] bool insert_in_place(const Path& path, const Mapping& mapping);
  [[nodiscard]] bool mergeable(const Path& path, unsigned count) const;
  void replace_leaf(const Path& path, Leaf* by);
  void set_root(const Pieces& pieces, Edit& edit);
  std::size_t retire_subtree(Node* node);
  void free_subtree(Node* node);

  NodePool& pool_;

  // Atomic; stored by the writer alone.
  std::atomic<Node*> root_{nullptr};
};

}  // namespace weir::pagetables::detail
