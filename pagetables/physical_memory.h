// SPDX-License-Identifier: Apache-2.0
//
// Guest-physical memory as the unit and the devices behind it see it: a host map (GPA -> HPA) over
// the embedder's memory (HPA -> bytes), frozen together as one snapshot. Table reads, queue reads,
// status writes and the landing of every DMA go through here. With memory slots the two steps are
// joined when the snapshot is made, so that landing is one search of a short sorted array.
//
// All members are const and may be called from any thread. Writes are reported to the dirty sink
// after they were made. Failure is a value; nothing here blocks or logs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/dirty_sink.h"
#include "base/guest_memory.h"
#include "base/result.h"
#include "pagetables/host_map.h"

namespace weir::pagetables {

// Where a guest-physical address comes to lie.
struct Landing {
  Hpa hpa;
  std::uint64_t contiguous = 0;          // bytes from here on that lie in one piece
  const MemoryRegion* region = nullptr;  // host bytes or a callback; valid as long as the snapshot
  std::uint64_t offset = 0;              // into the region
  Permissions permissions;               // of the host map and of the region
  std::uint32_t references = 0;          // host-map table entries read

  // The bytes themselves, or null where a callback stands.
  [[nodiscard]] std::byte* host() const {
    return region->host == nullptr ? nullptr : region->host + offset;
  }
};

class PhysicalMemory {
 public:
  // `host_map` null: every region of `memory` at the GPA of its own number. `dirty` may be null and
  // must outlive the snapshot.
  PhysicalMemory(std::shared_ptr<const GuestMemory> memory,
                 std::shared_ptr<const HostMap> host_map = nullptr, DirtySink* dirty = nullptr);

  [[nodiscard]] Result<Landing, FaultReason> resolve(Gpa at) const {
    return joined_.empty() ? resolve_in_two_steps(at) : resolve_joined(at);
  }

  // Table entries; `at` must be a multiple of 8. `references`, if given, grows by the host-map
  // entries that were read on the way.
  [[nodiscard]] Result<std::uint64_t, FaultReason> load64(
      Gpa at, std::uint32_t* references = nullptr) const;
  // The same where it is a plain load from a slot, as walks do it at every step: the word into
  // `word`. False: ask load64, which also says why not.
  [[nodiscard]] bool load64_from_slot(Gpa at, std::uint64_t& word) const {
    if (joined_.empty()) return false;
    const Joined& j = joined_[find_joined(at)];
    const std::uint64_t inside = at - j.first;
    // An address below `first` comes out above any size.
    if (inside >= j.plain_bytes || inside % sizeof word != 0) return false;
    // Acquire: as in load_region64; an entry's table is read after the entry.
    word = std::atomic_ref(*reinterpret_cast<std::uint64_t*>(j.plain + inside))
               .load(std::memory_order_acquire);
    return true;
  }
  [[nodiscard]] Result<Done, FaultReason> store64(Gpa at, std::uint64_t value) const;
  [[nodiscard]] Result<bool, FaultReason> compare_exchange64(Gpa at, std::uint64_t& expected,
                                                             std::uint64_t desired) const;

  // On failure, the bytes before it were transferred.
  [[nodiscard]] Result<Done, FaultReason> read(Gpa at, std::span<std::byte> to) const;
  [[nodiscard]] Result<Done, FaultReason> write(Gpa at, std::span<const std::byte> from) const;

  void report_dirty(Gpa at, std::uint64_t size) const {
    if (dirty_ != nullptr && size != 0) dirty_->on_dirty(at, size);
  }
  [[nodiscard]] const HostMap& host_map() const { return *host_map_; }
  [[nodiscard]] const GuestMemory& memory() const { return *memory_; }

 private:
  struct Joined {
    Gpa first;
    Gpa last;
    Hpa hpa;                     // of `first`
    const MemoryRegion* region;  // that holds all of it
    std::uint64_t offset;        // of `first` into the region
    Permissions permissions;
    std::byte* plain;           // of `first`: host bytes that words can be loaded from
    std::uint64_t plain_bytes;  // a multiple of 8; 0: none
  };

  void join(const MemorySlots& slots);
  [[nodiscard]] Result<Landing, FaultReason> resolve_in_two_steps(Gpa at) const;
  // The last slot that begins at or before `at`, else the first. REQUIRES: there are some.
  // Branch-light: a machine has a handful of slots, and the array stays in one or two lines.
  [[nodiscard]] std::size_t find_joined(Gpa at) const {
    std::size_t low = 0;
    for (std::size_t count = joined_.size(); count > 1;) {
      const std::size_t half = count / 2;
      low += joined_[low + half].first <= at ? half : 0;
      count -= half;
    }
    return low;
  }
  [[nodiscard]] Result<Landing, FaultReason> resolve_joined(Gpa at) const {
    const Joined& j = joined_[find_joined(at)];
    if (at < j.first || at > j.last) return Failure{FaultReason::kHostMapAbsent};
    const std::uint64_t inside = at - j.first;
    return Landing{.hpa = j.hpa + inside,
                   .contiguous = (j.last - at) + 1,
                   .region = j.region,
                   .offset = j.offset + inside,
                   .permissions = j.permissions,
                   .references = 0};
  }

  // Constant after construction.
  std::shared_ptr<const GuestMemory> memory_;
  std::shared_ptr<const HostMap> host_map_;
  DirtySink* dirty_;
  std::vector<Joined> joined_;  // sorted; empty if the host map is not a list of slots
};

}  // namespace weir::pagetables
