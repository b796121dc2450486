// SPDX-License-Identifier: Apache-2.0
//
// One structural change of the interval map's tree, built beside the tree that readers see: nodes
// are split, merged and dropped along the touched path only, and nothing old is written. The caller
// publishes the new root between the last step and commit(), or calls roll_back().
//
// The writer's thread only.
#pragma once

#include "pagetables/detail/interval_tree.h"

namespace weir::pagetables::detail {

class IntervalTree::Edit {
 public:
  explicit Edit(NodePool& pool) : pool_(pool) {}

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::size_t removed() const { return removed_; }

  // Both give what takes the place of `node`; nothing useful once failed().
  [[nodiscard]] Pieces insert(Node* node, const Mapping& mapping);
  [[nodiscard]] Pieces erase(Node* node, std::uint64_t first, std::uint64_t last);
  // A new root over two nodes.
  [[nodiscard]] Node* join(const Pieces& pieces);
  void drop(Node* node);

  void commit();
  void roll_back();

 private:
  // A node's children with some replaced: one more than fits for each side of an erased range.
  struct Children {
    std::array<Piece, kChildren + 4> piece;
    unsigned count = 0;
    void add(Piece p) { piece[count++] = p; }
    void add(const Pieces& several, std::uint64_t first);
  };

  [[nodiscard]] Leaf* make_leaf();
  [[nodiscard]] Inner* make_inner(unsigned level, const Piece* pieces, unsigned count);
  [[nodiscard]] Pieces insert_into_leaf(Leaf* leaf, const Mapping& mapping);
  [[nodiscard]] Pieces erase_from_leaf(Leaf* leaf, std::uint64_t first, std::uint64_t last);
  // Replaces children [from, to] of `inner` by `left` and `right`.
  [[nodiscard]] Pieces rebuild(Inner* inner, unsigned from, unsigned to, const Pieces& left,
                               const Pieces& right);
  void merge_small(Children& children, unsigned from, unsigned to);
  [[nodiscard]] Node* merge(const Piece& left, const Piece& right);
  void drop_subtree(Node* node);

  NodePool& pool_;
  Node* created_ = nullptr;
  Node* superseded_ = nullptr;  // old nodes; retired by commit()
  std::size_t removed_ = 0;
  bool failed_ = false;
};

}  // namespace weir::pagetables::detail
