// SPDX-License-Identifier: Apache-2.0
#include "pagetables/detail/interval_edit.h"

namespace weir::pagetables::detail {

void IntervalTree::Edit::Children::add(const Pieces& several, std::uint64_t first) {
  for (unsigned i = 0; i < several.count; ++i)
    add({i == 0 ? first : several.piece[i].first, several.piece[i].node});
}

Leaf* IntervalTree::Edit::make_leaf() {
  Leaf* const leaf = pool_.make<Leaf>();
  if (leaf == nullptr) {
    failed_ = true;
    return nullptr;
  }
  leaf->next = created_;
  created_ = leaf;
  return leaf;
}

Inner* IntervalTree::Edit::make_inner(unsigned level, const Piece* pieces, unsigned count) {
  Inner* const inner = pool_.make<Inner>();
  if (inner == nullptr) {
    failed_ = true;
    return nullptr;
  }
  inner->next = created_;
  created_ = inner;
  inner->level = static_cast<std::uint8_t>(level);
  inner->count = static_cast<std::uint16_t>(count);
  // Relaxed: the store that makes the node visible is a release.
  for (unsigned i = 0; i < count; ++i) {
    inner->separate(i, pieces[i].first, std::memory_order_relaxed);
    inner->child[i].store(pieces[i].node, std::memory_order_relaxed);
  }
  for (unsigned i = count; i < kChildren; ++i)
    inner->separate(i, kNoKey, std::memory_order_relaxed);
  return inner;
}

IntervalTree::Pieces IntervalTree::Edit::insert(Node* node, const Mapping& mapping) {
  if (node == nullptr) {
    Leaf* const leaf = make_leaf();
    if (failed_) return {};
    leaf->set(0, mapping);
    leaf->finish(1);
    return {{Piece{0, leaf}}, 1};
  }
  if (node->level == 0) return insert_into_leaf(&as_leaf(*node), mapping);
  Inner* const inner = &as_inner(*node);
  const unsigned slot = slot_of(*inner, mapping.range.first.value());
  // Relaxed: the writer's own store.
  const Pieces pieces = insert(inner->child[slot].load(std::memory_order_relaxed), mapping);
  return failed_ ? Pieces{} : rebuild(inner, slot, slot, pieces, {});
}

// The leaf is full (with room, insert_in_place serves). A mapping before or behind all of them
// begins a leaf of its own, so that maps in rising or falling order leave full leaves behind.
IntervalTree::Pieces IntervalTree::Edit::insert_into_leaf(Leaf* leaf, const Mapping& mapping) {
  const std::uint64_t first = mapping.range.first.value();
  unsigned at = slot_of(*leaf, first);
  if (leaf->first[at] < first) ++at;
  if (at == 0 || at == leaf->count) {
    Leaf* const alone = make_leaf();
    if (failed_) return {};
    alone->set(0, mapping);
    alone->finish(1);
    if (at == 0) return {{Piece{0, alone}, Piece{leaf->first[0], leaf}}, 2};
    return {{Piece{0, leaf}, Piece{first, alone}}, 2};
  }
  Leaf* const left = make_leaf();
  Leaf* const right = make_leaf();
  if (failed_) return {};
  const unsigned half = leaf->count / 2U;
  if (at <= half) {
    left->copy(0, *leaf, 0, at);
    left->set(at, mapping);
    left->copy(at + 1, *leaf, at, half - at);
    left->finish(half + 1);
    right->copy(0, *leaf, half, leaf->count - half);
    right->finish(leaf->count - half);
  } else {
    left->copy(0, *leaf, 0, half);
    left->finish(half);
    right->copy(0, *leaf, half, at - half);
    right->set(at - half, mapping);
    right->copy(at - half + 1, *leaf, at, leaf->count - at);
    right->finish(leaf->count - half + 1);
  }
  drop(leaf);
  return {{Piece{0, left}, Piece{right->first[0], right}}, 2};
}

IntervalTree::Pieces IntervalTree::Edit::erase(Node* node, std::uint64_t first,
                                               std::uint64_t last) {
  if (node->level == 0) return erase_from_leaf(&as_leaf(*node), first, last);
  Inner* const inner = &as_inner(*node);
  const unsigned from = slot_of(*inner, first);
  const unsigned to = slot_of(*inner, last);
  // Relaxed, all: the writer's own stores.
  const Pieces left = erase(inner->child[from].load(std::memory_order_relaxed), first, last);
  for (unsigned i = from + 1; i < to; ++i)
    drop_subtree(inner->child[i].load(std::memory_order_relaxed));
  Pieces right;
  if (to != from) right = erase(inner->child[to].load(std::memory_order_relaxed), first, last);
  return failed_ ? Pieces{} : rebuild(inner, from, to, left, right);
}

IntervalTree::Pieces IntervalTree::Edit::erase_from_leaf(Leaf* leaf, std::uint64_t first,
                                                         std::uint64_t last) {
  unsigned from = slot_of(*leaf, first);
  if (leaf->first[from] < first) ++from;
  unsigned to = from;
  while (to < leaf->count && leaf->first[to] <= last) ++to;
  if (from == to) return {{Piece{0, leaf}}, 1};
  removed_ += to - from;
  const unsigned rest = leaf->count - (to - from);
  Leaf* kept = nullptr;
  if (rest != 0) {
    kept = make_leaf();
    if (failed_) return {};
    kept->copy(0, *leaf, 0, from);
    kept->copy(from, *leaf, to, leaf->count - to);
    kept->finish(rest);
  }
  drop(leaf);
  return kept == nullptr ? Pieces{} : Pieces{{Piece{0, kept}}, 1};
}

IntervalTree::Pieces IntervalTree::Edit::rebuild(Inner* inner, unsigned from, unsigned to,
                                                 const Pieces& left, const Pieces& right) {
  Children children;
  // Relaxed, all: the writer's own stores.
  const auto separator = [&](unsigned i) {
    return inner->first[i].load(std::memory_order_relaxed);
  };
  const auto keep = [&](unsigned i) {
    children.add({separator(i), inner->child[i].load(std::memory_order_relaxed)});
  };
  for (unsigned i = 0; i < from; ++i) keep(i);
  children.add(left, separator(from));
  children.add(right, separator(to));
  const unsigned edited_end = children.count;
  for (unsigned i = to + 1; i < inner->count; ++i) keep(i);
  merge_small(children, from == 0 ? 0 : from - 1, edited_end);
  if (failed_) return {};
  drop(inner);

  const unsigned level = inner->level;
  const Piece* const all = children.piece.data();
  const unsigned count = children.count;
  if (count == 0) return {};
  if (count <= kChildren) return {{Piece{0, make_inner(level, all, count)}}, 1};
  // As for leaves: growing at an end leaves a full node behind.
  const unsigned half = from + 1U >= inner->count ? kChildren
                        : from == 0               ? count - kChildren
                                                  : count / 2;
  Inner* const low = make_inner(level, all, half);
  Inner* const high = make_inner(level, all + half, count - half);
  return {{Piece{0, low}, Piece{all[half].first, high}}, 2};
}

// After an edit, no two neighbours among children [from, to] could be one. Over all edits this
// keeps nodes about half full on average, however the guest picks what it unmaps.
void IntervalTree::Edit::merge_small(Children& children, unsigned from, unsigned to) {
  for (unsigned i = from; i <= to && i + 1 < children.count;) {
    Piece& left = children.piece[i];
    const Piece right = children.piece[i + 1];
    if (static_cast<unsigned>(left.node->count + right.node->count) > merge_at(left.node->level)) {
      ++i;
      continue;
    }
    left.node = merge(left, right);
    if (failed_) return;
    for (unsigned k = i + 1; k + 1 < children.count; ++k) children.piece[k] = children.piece[k + 1];
    --children.count;
    if (to > 0) --to;
  }
}

Node* IntervalTree::Edit::merge(const Piece& left, const Piece& right) {
  const unsigned total = left.node->count + right.node->count;
  Node* merged = nullptr;
  if (left.node->level == 0) {
    Leaf* const leaf = make_leaf();
    if (failed_) return nullptr;
    leaf->copy(0, as_leaf(*left.node), 0, left.node->count);
    leaf->copy(left.node->count, as_leaf(*right.node), 0, right.node->count);
    leaf->finish(total);
    merged = leaf;
  } else {
    std::array<Piece, kChildren> pieces;
    unsigned n = 0;
    for (const Piece& side : {left, right}) {
      const Inner& inner = as_inner(*side.node);
      // Relaxed, both: the writer's own stores.
      for (unsigned i = 0; i < inner.count; ++i, ++n)
        pieces[n] = {i == 0 ? side.first : inner.first[i].load(std::memory_order_relaxed),
                     inner.child[i].load(std::memory_order_relaxed)};
    }
    merged = make_inner(left.node->level, pieces.data(), total);
    if (failed_) return nullptr;
  }
  drop(left.node);
  drop(right.node);
  return merged;
}

Node* IntervalTree::Edit::join(const Pieces& pieces) {
  return make_inner(pieces.piece[0].node->level + 1U, pieces.piece.data(), pieces.count);
}

void IntervalTree::Edit::drop(Node* node) {
  if (node->fresh) {
    node->dropped = true;
    return;
  }
  node->next = superseded_;
  superseded_ = node;
}

void IntervalTree::Edit::drop_subtree(Node* node) {
  if (node->level == 0) {
    removed_ += node->count;
  } else {
    // Relaxed: the writer's own stores.
    for (unsigned i = 0; i < node->count; ++i)
      drop_subtree(as_inner(*node).child[i].load(std::memory_order_relaxed));
  }
  drop(node);
}

namespace {

template <typename Use>
void for_each_linked(Node* node, Use use) {
  while (node != nullptr) {
    Node* const next = static_cast<Node*>(node->next);
    use(*node);
    node = next;
  }
}

void free_node(NodePool& pool, Node& node) {
  node.level == 0 ? pool.free(&as_leaf(node)) : pool.free(&as_inner(node));
}

}  // namespace

void IntervalTree::Edit::commit() {
  for_each_linked(created_, [&](Node& node) {
    if (node.dropped) return free_node(pool_, node);
    node.fresh = false;
  });
  for_each_linked(superseded_, [&](Node& node) {
    node.level == 0 ? pool_.retire(&as_leaf(node)) : pool_.retire(&as_inner(node));
  });
}

void IntervalTree::Edit::roll_back() {
  for_each_linked(created_, [&](Node& node) { free_node(pool_, node); });
}

}  // namespace weir::pagetables::detail
