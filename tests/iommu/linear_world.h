// SPDX-License-Identifier: Apache-2.0
//
// What the linearizability test rests on: memory, a host map that moves, and for every region of
// every guest the history of what it has been. An access that begins after operation `a` had
// completed, and has ended before operation `b` + 1 was begun, must have seen one of the states
// a … b: that is L1, for whoever looks from outside.
//
// A region is 2 MiB of IOVA; behind it stands one of kBlocks blocks of guest-physical memory, and
// each of those lies at one of two places of the embedder's (its side). Threads: each says.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/guest_memory.h"
#include "iommu/iommu.h"
#include "pagetables/host_map.h"

namespace weir::testing_iommu::linear {

inline constexpr std::size_t kGuests = 2;
inline constexpr std::size_t kRegions = 2;  // of a guest
inline constexpr std::uint64_t kBlocks = 3;
inline constexpr std::size_t kDevices = 3;
inline constexpr std::uint64_t kPages = 8;  // of a region that are used
inline constexpr std::uint64_t kBlockSize = std::uint64_t{1} << 21;
inline constexpr Gpa kFirstBlock{16 * kBlockSize};  // below: tables, where they are
inline constexpr std::uint64_t kAllBlocks = kGuests * kRegions * kBlocks;
inline constexpr std::uint64_t kRam = kFirstBlock.value() + 2 * kAllBlocks * kBlockSize;

// What a region is after an operation; an atomic word of the history.
struct State {
  bool mapped = false;
  bool writable = false;
  std::uint8_t block = 0;
  std::uint8_t side = 0;

  [[nodiscard]] std::uint64_t pack() const {
    return (mapped ? 1U : 0U) | (writable ? 2U : 0U) | std::uint64_t{block} << 8 |
           std::uint64_t{side} << 16;
  }
  [[nodiscard]] static State unpack(std::uint64_t word) {
    return {.mapped = (word & 1) != 0,
            .writable = (word & 2) != 0,
            .block = static_cast<std::uint8_t>(word >> 8),
            .side = static_cast<std::uint8_t>(word >> 16)};
  }
};

// Where the page `page` of the region lies in it: spread out, so that entries share no line.
[[nodiscard]] constexpr std::uint64_t page_offset(std::uint64_t page) {
  return (page * 37 + 5) * kPageSize;
}
[[nodiscard]] constexpr Iova region_at(std::size_t region) {
  return Iova((0x40 + region) * kBlockSize);
}
[[nodiscard]] constexpr std::uint64_t block_number(std::size_t guest, std::size_t region,
                                                   std::uint64_t block) {
  return (guest * kRegions + region) * kBlocks + block;
}
[[nodiscard]] constexpr Gpa block_at(std::uint64_t number) {
  return kFirstBlock + number * kBlockSize;
}
[[nodiscard]] constexpr Hpa block_at(std::uint64_t number, std::uint64_t side) {
  return Hpa(kFirstBlock.value() + (side * kAllBlocks + number) * kBlockSize);
}

// Blocks lie on one side or the other; all below them is where it is. Any thread.
class SidesMap final : public pagetables::HostMap {
 public:
  [[nodiscard]] Result<pagetables::HostMapping, pagetables::WalkFailure> lookup(
      Gpa at) const override {
    const Gpa page = at.page_base(21);
    Hpa base(page.value());
    if (page >= kFirstBlock) {
      const std::uint64_t number = (page - kFirstBlock) / kBlockSize;
      if (number >= kAllBlocks)
        return Failure{pagetables::WalkFailure{.reason = FaultReason::kHostMapAbsent,
                                               .stage = Stage::kHostMap}};
      // Acquire: pairs with move(), as a table entry's load would.
      base = block_at(number, sides_[number].load(std::memory_order_acquire));
    }
    return pagetables::HostMapping{.hpa = base + (at - page),
                                   .window = {page, page + (kBlockSize - 1)},
                                   .permissions = Permissions::read_write(),
                                   .references = 1};
  }
  void move(std::uint64_t number, std::uint8_t side) {
    // Release: as above.
    sides_[number].store(side, std::memory_order_release);
  }

 private:
  std::array<std::atomic<std::uint8_t>, kAllBlocks> sides_{};
};

// The history of one region. One writer, the guest; readers: any thread.
class History {
 public:
  // The guest: begins the next operation, before anything of it is written anywhere.
  void begin(State next) {
    const std::uint64_t number = begun() + 1;
    // Release, both: who sees anything that the guest wrote afterwards sees these.
    states_[number % kKept].store(next.pack(), std::memory_order_release);
    begun_.store(number, std::memory_order_release);
  }
  // The guest: the completion that covers all that was begun is there.
  void complete() {
    // Release: pairs with completed().
    completed_.store(begun(), std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t begun() const { return begun_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t completed() const {
    return completed_.load(std::memory_order_acquire);
  }
  // Whether one of the states from operation `from` on, up to now, is as `legal` says.
  template <typename Legal>
  [[nodiscard]] bool any_since(std::uint64_t from, Legal legal) const {
    const std::uint64_t now = begun();
    // More have come and gone than are kept: the reader slept, and nothing is known.
    if (now - from >= kKept - 1) return true;
    for (std::uint64_t n = from; n <= now; ++n)
      if (legal(State::unpack(states_[n % kKept].load(std::memory_order_acquire)))) return true;
    // The ring may have come round while it was read.
    return begun() - from >= kKept - 1;
  }

 private:
  static constexpr std::uint64_t kKept = 1024;
  std::array<std::atomic<std::uint64_t>, kKept> states_{};
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> completed_{0};
};

// What was found wrong, by name.
struct Findings {
  std::atomic<std::uint64_t> stale_answers{0};  // translated as in no state that was possible
  std::atomic<std::uint64_t> stale_faults{0};   // refused, though every possible state allows it
  std::atomic<std::uint64_t> stale_reads{0};    // bytes of a block that was out of reach
  std::atomic<std::uint64_t> late_writes{0};    // landed in a block that was out of reach
  std::atomic<std::uint64_t> late_updates{0};   // A/D bits in a page that was no table any more
  std::atomic<std::uint64_t> lost_wake_ups{0};

  [[nodiscard]] std::uint64_t all() const {
    return stale_answers + stale_faults + stale_reads + late_writes + late_updates + lost_wake_ups;
  }
};

// Zeroed RAM that costs only what is touched.
class Ram {
 public:
  Ram() : words_(static_cast<std::uint64_t*>(std::calloc(kRam / 8, 8)), &std::free) {}
  [[nodiscard]] std::uint64_t& word(Hpa at) const { return words_.get()[at.value() / 8]; }
  [[nodiscard]] std::shared_ptr<const GuestMemory> memory() const {
    return std::make_shared<const GuestMemory>(
        GuestMemory::single(Hpa(0), std::as_writable_bytes(std::span(words_.get(), kRam / 8))));
  }

 private:
  std::unique_ptr<std::uint64_t, decltype(&std::free)> words_;
};

// The words that a device writes are its own; a page has room for all of them.
[[nodiscard]] constexpr std::uint64_t word_offset(std::size_t device) { return 64 * (device + 1); }
inline constexpr std::uint64_t kPoison = 0x5050505050505050;  // out of reach

}  // namespace weir::testing_iommu::linear
