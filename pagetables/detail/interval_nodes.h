// SPDX-License-Identifier: Apache-2.0
//
// The nodes of the interval map's tree, how one is searched, and where their memory comes from.
//
// A leaf never changes once it can be seen. An inner node keeps its number of children; a child's
// pointer may be replaced and a separator raised, each as one word. Readers follow pointers with
// acquire loads and find everything below complete. Only the writer allocates, edits and retires.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "pagetables/interval_map.h"

namespace weir::pagetables::detail {

// What every node begins with. All of it is the writer's, or that of whoever frees it.
struct Garbage {
  Garbage* next = nullptr;  // in the list of created or of retired nodes
  void (*destroy)(Garbage*) = nullptr;
};

// A leaf is small, because every change copies one and retires the old one; an inner node is wide,
// because few of them hold everything above the leaves, and stay in near caches. What a lookup
// reads of a leaf are two lines with its keys and flags and one with the rest; of an inner node
// three. README.md has what else was measured.
inline constexpr std::size_t kLine = 64;
inline constexpr unsigned kLeafSlots = 12;
inline constexpr unsigned kChildren = 64;
// Two neighbours that hold no more than this together become one.
[[nodiscard]] constexpr unsigned merge_at(unsigned level) {
  return (level == 0 ? kLeafSlots : kChildren) * 3 / 4;
}
inline constexpr std::uint64_t kNoKey = ~std::uint64_t{0};  // fills the slots without an entry

struct Node : Garbage {
  // Constant once visible.
  std::uint16_t count = 0;
  std::uint8_t level = 0;  // 0: a leaf
  // The writer's.
  bool fresh = true;     // made by the edit under way, seen by nobody else
  bool dropped = false;  // fresh, and already superseded by the same edit
};

struct alignas(kLine) Leaf : Node {
  struct Rest {
    std::uint64_t last;
    std::uint64_t output;
  };
  // A bit per slot.
  std::uint16_t readable = 0;
  std::uint16_t writable = 0;
  std::uint16_t mmio = 0;
  std::array<std::uint64_t, kLeafSlots> first;  // sorted
  std::array<Rest, kLeafSlots> rest;
  static_assert(kLeafSlots <= 16);
  static constexpr unsigned kKeyLines = 2;  // from the beginning of the leaf

  [[nodiscard]] Mapping at(unsigned slot) const;
  void set(unsigned slot, const Mapping& m);
  // Slots [from, from + n) of another leaf to [to, to + n) here. REQUIRES: beyond `to` all flags
  // are clear.
  void copy(unsigned to, const Leaf& source, unsigned from, unsigned n);
  // Fills what lies beyond `n` slots.
  void finish(unsigned n);
};

static_assert(sizeof(Leaf) == (Leaf::kKeyLines * kLine) + (kLeafSlots * sizeof(Leaf::Rest)));

// Child i holds the mappings that lie wholly in [first[i], first[i + 1]); first[0] is not looked
// at: what a child 0 begins at is its parent's business. `coarse` repeats every eighth separator.
struct alignas(kLine) Inner : Node {
  static constexpr unsigned kStep = kLine / sizeof(std::uint64_t);

  alignas(kLine) std::array<std::atomic<std::uint64_t>, kStep> coarse;
  alignas(kLine) std::array<std::atomic<std::uint64_t>, kChildren> first;
  std::array<std::atomic<Node*>, kChildren> child;

  // Sets separator `i` to `key`. Relaxed is enough in a node that nobody sees yet.
  void separate(unsigned i, std::uint64_t key, std::memory_order order) {
    if (i % kStep == 0) coarse[i / kStep].store(key, order);
    first[i].store(key, order);
  }
};
static_assert(kChildren == Inner::kStep * Inner::kStep);

// slot_of: the highest slot whose key is at most `key`, or 0. Without branches: a lookup's
// addresses are as good as random, and one mispredicted branch costs more than all these
// comparisons.
[[nodiscard]] inline unsigned slot_of(const Leaf& leaf, std::uint64_t key) {
  unsigned slot = 0;
  for (unsigned i = 1; i < kLeafSlots; ++i) slot += leaf.first[i] <= key ? 1U : 0U;
  // Only the very last address equals what fills the empty slots.
  if (key == kNoKey && slot >= leaf.count) [[unlikely]]
    return leaf.count - 1U;
  return slot;
}
// In two steps, for lookups that go together: the first slot of a line of separators, then the slot
// in it. Relaxed: separators move only across addresses where nothing is mapped, so that either
// side of one gives a right answer for a moment of the lookup (interval_tree.h); and so does one
// side by the coarse copy and the other by the separator itself.
[[nodiscard]] inline unsigned line_of(const Inner& inner, std::uint64_t key) {
  unsigned line = 0;
  for (unsigned i = 1; i < Inner::kStep; ++i)
    line += inner.coarse[i].load(std::memory_order_relaxed) <= key ? 1U : 0U;
  return line * Inner::kStep;
}
[[nodiscard]] inline unsigned slot_in_line(const Inner& inner, unsigned line, std::uint64_t key) {
  unsigned slot = line;
  for (unsigned i = 1; i < Inner::kStep; ++i)
    slot += inner.first[line + i].load(std::memory_order_relaxed) <= key ? 1U : 0U;
  if (key == kNoKey && slot >= inner.count) [[unlikely]]
    return inner.count - 1U;
  return slot;
}
[[nodiscard]] inline unsigned slot_of(const Inner& inner, std::uint64_t key) {
  return slot_in_line(inner, line_of(inner, key), key);
}

[[nodiscard]] inline Leaf& as_leaf(Node& node) { return static_cast<Leaf&>(node); }
[[nodiscard]] inline const Leaf& as_leaf(const Node& node) {
  return static_cast<const Leaf&>(node);
}
[[nodiscard]] inline Inner& as_inner(Node& node) { return static_cast<Inner&>(node); }
[[nodiscard]] inline const Inner& as_inner(const Node& node) {
  return static_cast<const Inner&>(node);
}

// Makes nodes, counts them, and collects what the writer has unlinked.
class NodePool {
 public:
  NodePool() : outstanding_(std::make_shared<std::atomic<std::size_t>>(0)) {}
  ~NodePool() { discard(retired_); }
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;

  // Null if the host has no memory.
  template <typename T>
  [[nodiscard]] T* make() {
    T* made = new (std::nothrow) T;
    if (made == nullptr) return nullptr;
    made->destroy = [](Garbage* g) { delete static_cast<T*>(g); };
    bytes_ += sizeof(T);
    return made;
  }
  // For nodes that no reader has seen or can still see.
  template <typename T>
  void free(T* node) {
    bytes_ -= sizeof(T);
    delete node;
  }
  // For nodes that were visible and are not any more.
  template <typename T>
  void retire(T* node) {
    bytes_ -= sizeof(T);
    retired_bytes_ += sizeof(T);
    node->next = retired_;
    retired_ = node;
  }
  [[nodiscard]] RetiredNodes take_retired();

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t outstanding() const {
    // Relaxed: a limit that is a moment late is as good.
    return outstanding_->load(std::memory_order_relaxed);
  }
  static void discard(Garbage* first);

 private:
  std::size_t bytes_ = 0;
  Garbage* retired_ = nullptr;
  std::size_t retired_bytes_ = 0;
  const std::shared_ptr<std::atomic<std::size_t>> outstanding_;
};

}  // namespace weir::pagetables::detail
