// SPDX-License-Identifier: Apache-2.0
//
// The map of a virtio-iommu domain: closed byte ranges of IOVA, each to a GPA with permissions, as
// MAP requests made them and UNMAP requests remove them (virtio 1.4, 5.13.6.7 and 5.13.6.8). A
// mapping is never split, merged or changed; it comes and goes whole.
//
// lookup, first_at_or_after and for_each: any thread, at the same time as the writer, as long as
// the caller is inside whatever the NodeRetirer waits for (a burst). They hold no lock, write
// nothing, allocate nothing, never retry and never wait: nodes are immutable but for words that are
// replaced whole. Each answer is one mapping as it was at some moment of the call (L3, L4).
// map, unmap and clear: one thread at a time, which the owner sees to. They never wait for readers
// either; memory that a reader may still see goes to the NodeRetirer.
//
// Inside: a B+tree of wide nodes, and before it an index by page number for what is page-shaped
// (detail/interval_tree.h, detail/interval_index.h). Measured figures: README.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/access.h"
#include "base/address.h"

namespace weir::pagetables {

namespace detail {
struct Garbage;
class IntervalIndex;
class IntervalTree;
class NodePool;
}  // namespace detail

struct Mapping {
  AddressRange<Iova> range{};
  Gpa output;  // of range.first
  Permissions permissions;
  bool mmio = false;  // VIRTIO_IOMMU_MAP_F_MMIO

  // REQUIRES: range.contains(at).
  [[nodiscard]] constexpr Gpa translate(Iova at) const { return output + (at - range.first); }
  friend constexpr bool operator==(const Mapping&, const Mapping&) = default;
};

// Memory that readers may still be looking at. Destroying it frees it, on any thread, whether or
// not the map still exists.
class RetiredNodes {
 public:
  RetiredNodes() = default;
  RetiredNodes(RetiredNodes&& other) noexcept;
  RetiredNodes& operator=(RetiredNodes&& other) noexcept;
  ~RetiredNodes();

  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  friend class detail::NodePool;
  void free_all();

  detail::Garbage* first_ = nullptr;
  std::size_t bytes_ = 0;
  // Bytes of the map's retired nodes that are not freed yet.
  std::shared_ptr<std::atomic<std::size_t>> outstanding_;
};

// Keeps retired nodes until every reader that was inside a lookup when retire() was called has left
// it, then destroys them. Called by the writer's thread, at the end of map, unmap or clear; must
// not wait and must not call the map.
class NodeRetirer {
 public:
  virtual ~NodeRetirer() = default;
  virtual void retire(RetiredNodes nodes) = 0;
};

// For a map that nobody reads while it is being written.
class FreeAtOnce final : public NodeRetirer {
 public:
  void retire(RetiredNodes) override {}
};

struct IntervalMapOptions {
  std::size_t max_mappings = std::size_t{1} << 20;
  // Retired bytes not yet freed beyond which map() answers kNoMemory: what a guest can pile up
  // behind a reader that does not leave.
  std::size_t max_retired_bytes = std::size_t{64} << 20;
  // What the page index may hold: this many bytes per mapping, and as many more at the start.
  // 0 turns it off. It only makes lookups faster.
  std::size_t index_bytes_per_mapping = 64;
  std::size_t index_bytes_at_start = std::size_t{64} << 10;
};

enum class MapStatus : std::uint8_t {
  kMapped,
  kBadRange,     // last < first: nothing, or a range that wraps around
  kOutputWraps,  // output + size passes 2^64
  kOverlap,      // some byte of the range is mapped already
  kNoMemory,     // max_mappings, max_retired_bytes, or the host has none
};

enum class UnmapStatus : std::uint8_t {
  kUnmapped,    // nothing of the range is mapped any more; it may have had holes or been all hole
  kBadRange,    // last < first
  kWouldSplit,  // a mapping lies partly inside: nothing was removed
  kNoMemory,    // the host has none: nothing was removed
};

struct Unmapped {
  UnmapStatus status = UnmapStatus::kUnmapped;
  std::size_t removed = 0;  // mappings

  friend constexpr bool operator==(Unmapped, Unmapped) = default;
};

class IntervalMap {
 public:
  // `retirer` must outlive the map.
  IntervalMap(const IntervalMapOptions& options, NodeRetirer& retirer);
  ~IntervalMap();  // REQUIRES: no reader is inside
  IntervalMap(const IntervalMap&) = delete;
  IntervalMap& operator=(const IntervalMap&) = delete;

  // Readers.
  // The mapping that holds the byte. Its range is the largest uniform window around it.
  [[nodiscard]] std::optional<Mapping> lookup(Iova at) const;
  // The same for many at once, found[i] for at[i]: in a large map several times faster, since what
  // one of them waits for is fetched beside the others'. REQUIRES: spans of one size.
  void lookup(std::span<const Iova> at, std::span<std::optional<Mapping>> found) const;
  // The mapping that holds the byte, else the next one above. Beside a writer it may pass over one
  // that came or went during the call.
  [[nodiscard]] std::optional<Mapping> first_at_or_after(Iova at) const;
  // Every mapping that overlaps `range`, upwards: by the writer's thread before an unmap, for who
  // must be told exactly what goes.
  template <typename Visit>
  void for_each(AddressRange<Iova> range, Visit visit) const {
    auto m = range.first <= range.last ? first_at_or_after(range.first) : std::nullopt;
    while (m && m->range.first <= range.last) {
      visit(*m);
      if (m->range.last >= range.last) return;
      m = first_at_or_after(m->range.last + 1);
    }
  }

  // The writer.
  [[nodiscard]] MapStatus map(const Mapping& mapping);
  // All or nothing. What it removes can no longer be found once it returns.
  [[nodiscard]] Unmapped unmap(AddressRange<Iova> range);
  void clear();

  // The writer's as well.
  [[nodiscard]] std::size_t size() const { return size_; }
  // Bytes of nodes in use; retired ones apart.
  [[nodiscard]] std::size_t node_bytes() const;
  [[nodiscard]] std::size_t index_bytes() const;
  [[nodiscard]] std::size_t retired_bytes() const;

 private:
  void forget_in_index(AddressRange<Iova> range);
  void hand_over();

  // Constant after construction.
  const IntervalMapOptions options_;
  NodeRetirer& retirer_;
  const std::unique_ptr<detail::NodePool> pool_;
  const std::unique_ptr<detail::IntervalTree> tree_;
  const std::unique_ptr<detail::IntervalIndex> index_;

  // The writer's.
  std::size_t size_ = 0;
};

}  // namespace weir::pagetables
