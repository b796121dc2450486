// SPDX-License-Identifier: Apache-2.0
#include "pagetables/detail/interval_tree.h"

#include <algorithm>

#include "pagetables/detail/interval_edit.h"

namespace weir::pagetables::detail {
namespace {

bool holds(const Leaf& leaf, unsigned slot, std::uint64_t at) {
  return leaf.first[slot] <= at && at <= leaf.rest[slot].last;
}

}  // namespace

std::optional<Mapping> IntervalTree::lookup(std::uint64_t at) const {
  // Acquire: pairs with the release that published the root; its nodes are complete.
  const Node* node = root_.load(std::memory_order_acquire);
  if (node == nullptr) return std::nullopt;
  for (unsigned level = node->level; level != 0; --level) {
    const Inner& inner = as_inner(*node);
    // Acquire: pairs with replace_leaf's release, or with that of the root.
    node = inner.child[slot_of(inner, at)].load(std::memory_order_acquire);
  }
  const Leaf& leaf = as_leaf(*node);
  // The slot is known only when the keys are here; by then the line that holds the rest is, too.
  for (unsigned i = 0; i < kLeafSlots; i += kLine / sizeof(Leaf::Rest))
    __builtin_prefetch(&leaf.rest[i]);
  const unsigned slot = slot_of(leaf, at);
  if (!holds(leaf, slot, at)) return std::nullopt;
  return leaf.at(slot);
}

// Step by step for all of them: while the lines that one lookup waits for are on their way, the
// others ask for theirs.
void IntervalTree::lookup_together(std::span<const Iova> at,
                                   std::span<std::optional<Mapping>> found) const {
  // Acquire: as in lookup.
  const Node* const root = root_.load(std::memory_order_acquire);
  const std::size_t count = at.size();
  if (root == nullptr) {
    std::ranges::fill(found, std::nullopt);
    return;
  }
  std::array<const Node*, kTogether> node;
  std::array<unsigned, kTogether> slot;
  std::fill_n(node.begin(), count, root);
  // All leaves are equally deep.
  for (unsigned level = root->level; level != 0; --level) {
    for (std::size_t i = 0; i < count; ++i) {
      const Inner& inner = as_inner(*node[i]);
      slot[i] = line_of(inner, at[i].value());
      __builtin_prefetch(&inner.first[slot[i]]);
      __builtin_prefetch(&inner.child[slot[i]]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Inner& inner = as_inner(*node[i]);
      const unsigned child = slot_in_line(inner, slot[i], at[i].value());
      // Acquire: as in lookup.
      node[i] = inner.child[child].load(std::memory_order_acquire);
      // An inner node's coarse separators, or a leaf's keys.
      const auto* const lines = reinterpret_cast<const std::byte*>(node[i]);
      if (level == 1) __builtin_prefetch(lines);
      __builtin_prefetch(lines + kLine);
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Leaf& leaf = as_leaf(*node[i]);
    slot[i] = slot_of(leaf, at[i].value());
    __builtin_prefetch(&leaf.rest[slot[i]]);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Leaf& leaf = as_leaf(*node[i]);
    if (holds(leaf, slot[i], at[i].value()))
      found[i] = leaf.at(slot[i]);
    else
      found[i].reset();
  }
}

std::optional<Mapping> IntervalTree::first_at_or_after(std::uint64_t at) const {
  // Ends: every round asks at a higher separator. With no writer beside it there are two.
  for (;;) {
    const Path path = descend(at);
    if (path.leaf == nullptr) return std::nullopt;
    const Leaf& leaf = *path.leaf;
    unsigned slot = slot_of(leaf, at);
    if (leaf.rest[slot].last < at) ++slot;
    if (slot < leaf.count) return leaf.at(slot);
    if (path.bound_in == nullptr) return std::nullopt;
    // Relaxed: as in slot_of.
    const std::uint64_t bound =
        path.bound_in->first[path.bound_slot].load(std::memory_order_relaxed);
    if (bound <= at) return std::nullopt;
    at = bound;
  }
}

IntervalTree::Path IntervalTree::descend(std::uint64_t at) const {
  Path path;
  // Acquire: as in lookup.
  Node* node = root_.load(std::memory_order_acquire);
  if (node == nullptr) return path;
  while (node->level != 0) {
    Inner& inner = as_inner(*node);
    const unsigned slot = slot_of(inner, at);
    if (slot + 1 < inner.count) {
      path.bound_in = &inner;
      path.bound_slot = slot + 1;
    }
    path.parent = &inner;
    path.slot = slot;
    // Acquire: as in lookup.
    node = inner.child[slot].load(std::memory_order_acquire);
  }
  path.leaf = &as_leaf(*node);
  return path;
}

void IntervalTree::replace_leaf(const Path& path, Leaf* by) {
  by->fresh = false;
  // Release: pairs with the acquire in lookup; the leaf is complete.
  if (path.parent == nullptr) {
    root_.store(by, std::memory_order_release);
  } else {
    path.parent->child[path.slot].store(by, std::memory_order_release);
  }
  pool_.retire(path.leaf);
}

bool IntervalTree::insert_in_place(const Path& path, const Mapping& mapping) {
  const Leaf& old = *path.leaf;
  const std::uint64_t first = mapping.range.first.value();
  unsigned at = slot_of(old, first);
  if (old.first[at] < first) ++at;
  Leaf* const leaf = pool_.make<Leaf>();
  if (leaf == nullptr) return false;
  leaf->copy(0, old, 0, at);
  leaf->set(at, mapping);
  leaf->copy(at + 1, old, at, old.count - at);
  leaf->finish(old.count + 1U);
  replace_leaf(path, leaf);
  return true;
}

bool IntervalTree::insert(const Mapping& mapping) {
  const Path path = descend(mapping.range.first.value());
  if (path.bound_in != nullptr) {
    const std::uint64_t last = mapping.range.last.value();
    // Rule 2. What begins above `last` begins above the raised separator, which therefore does not
    // pass the end of the address space. Relaxed load: the writer's own word. Release: whoever
    // sees a mapping that was stored later sees this first.
    if (path.bound_in->first[path.bound_slot].load(std::memory_order_relaxed) <= last)
      path.bound_in->separate(path.bound_slot, last + 1, std::memory_order_release);
  }
  if (path.leaf != nullptr && path.leaf->count < kLeafSlots) return insert_in_place(path, mapping);

  Edit edit(pool_);
  // Relaxed: the writer's own store.
  Pieces pieces = edit.insert(root_.load(std::memory_order_relaxed), mapping);
  if (!edit.failed() && pieces.count == 2) pieces = {{Piece{0, edit.join(pieces)}}, 1};
  if (edit.failed()) {
    edit.roll_back();
    return false;
  }
  set_root(pieces, edit);
  return true;
}

// Whether a leaf that shrinks to `count` should become one with a neighbour under the same parent.
bool IntervalTree::mergeable(const Path& path, unsigned count) const {
  if (path.parent == nullptr) return false;
  const auto fits = [&](unsigned slot) {
    // Relaxed: the writer's own store.
    return path.parent->child[slot].load(std::memory_order_relaxed)->count + count <= merge_at(0);
  };
  return (path.slot > 0 && fits(path.slot - 1)) ||
         (path.slot + 1U < path.parent->count && fits(path.slot + 1));
}

std::optional<std::size_t> IntervalTree::erase(std::uint64_t first, std::uint64_t last) {
  const Path path = descend(first);
  if (path.leaf == nullptr) return 0;
  const Leaf& old = *path.leaf;
  unsigned from = slot_of(old, first);
  if (old.first[from] < first) ++from;
  unsigned to = from;
  while (to < old.count && old.first[to] <= last) ++to;
  // Relaxed: the writer's own word.
  const bool within = to < old.count || path.bound_in == nullptr ||
                      path.bound_in->first[path.bound_slot].load(std::memory_order_relaxed) > last;
  const unsigned removed = to - from;
  if (within && removed == 0) return 0;
  const unsigned rest = old.count - removed;
  if (within && rest > 0 && !mergeable(path, rest)) {
    Leaf* const leaf = pool_.make<Leaf>();
    if (leaf == nullptr) return std::nullopt;
    leaf->copy(0, old, 0, from);
    leaf->copy(from, old, to, old.count - to);
    leaf->finish(rest);
    replace_leaf(path, leaf);
    return removed;
  }

  Edit edit(pool_);
  // Relaxed: the writer's own store.
  const Pieces pieces = edit.erase(root_.load(std::memory_order_relaxed), first, last);
  if (edit.failed()) {
    edit.roll_back();
    return std::nullopt;
  }
  set_root(pieces, edit);
  return edit.removed();
}

void IntervalTree::set_root(const Pieces& pieces, Edit& edit) {
  Node* root = pieces.count == 0 ? nullptr : pieces.piece[0].node;
  while (root != nullptr && root->level != 0 && root->count == 1) {
    edit.drop(root);
    // Relaxed: the writer's own store.
    root = as_inner(*root).child[0].load(std::memory_order_relaxed);
  }
  // Release: pairs with the acquire in lookup; all that was built below is complete.
  root_.store(root, std::memory_order_release);
  edit.commit();
}

std::size_t IntervalTree::clear() {
  // Relaxed: the writer's own store, and nothing is published.
  Node* const root = root_.load(std::memory_order_relaxed);
  root_.store(nullptr, std::memory_order_relaxed);
  return root == nullptr ? 0 : retire_subtree(root);
}

std::size_t IntervalTree::retire_subtree(Node* node) {
  std::size_t mappings = 0;
  if (node->level == 0) {
    mappings = node->count;
    pool_.retire(&as_leaf(*node));
    return mappings;
  }
  // Relaxed: the writer's own stores.
  for (unsigned i = 0; i < node->count; ++i)
    mappings += retire_subtree(as_inner(*node).child[i].load(std::memory_order_relaxed));
  pool_.retire(&as_inner(*node));
  return mappings;
}

void IntervalTree::free_subtree(Node* node) {
  if (node == nullptr) return;
  if (node->level == 0) return pool_.free(&as_leaf(*node));
  // Relaxed: nobody reads any more.
  for (unsigned i = 0; i < node->count; ++i)
    free_subtree(as_inner(*node).child[i].load(std::memory_order_relaxed));
  pool_.free(&as_inner(*node));
}

}  // namespace weir::pagetables::detail
