// SPDX-License-Identifier: Apache-2.0
//
// Guest-physical memory as the unit and the devices behind it see it: a host map (GPA -> HPA) over
// the embedder's memory (HPA -> bytes), frozen together as one snapshot. Table reads, queue reads,
// status writes and the landing of every DMA go through here. With memory slots the two steps are
// joined when the snapshot is made, so that landing is one search of a short sorted array.
//
// Where the guest keeps pages private (private_pages.h), every access asks about the pages it
// touches, and a private one is a failure like any other.
//
// All members are const and may be called from any thread. Writes are reported to the dirty sink
// after they were made. Failure is a value; nothing here blocks or logs.
#pragma once

#include <array>
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
#include "pagetables/memory_witness.h"
#include "pagetables/private_pages.h"

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
  // `host_map` null: every region of `memory` at the GPA of its own number. `dirty` and `witness`
  // may be null and must outlive the snapshot. `private_pages` null: all are shared.
  PhysicalMemory(std::shared_ptr<const GuestMemory> memory,
                 std::shared_ptr<const HostMap> host_map = nullptr, DirtySink* dirty = nullptr,
                 std::shared_ptr<const PrivatePages> private_pages = nullptr,
                 MemoryWitness* witness = nullptr);

  // The same memory, whose pages may be private from now on.
  PhysicalMemory(const PhysicalMemory& same, std::shared_ptr<const PrivatePages> private_pages)
      : PhysicalMemory(same.memory_, same.host_map_, same.dirty_, std::move(private_pages),
                       same.witness_) {}

  // Guest-physical bytes that lie in one piece in one region. Valid as long as the snapshot.
  struct Piece {
    Gpa first;
    Gpa last;
    Hpa hpa;                     // of `first`
    const MemoryRegion* region;  // that holds all of it
    std::uint64_t offset;        // of `first` into the region
    std::byte* host;             // of `first`, or null where a callback stands
    Permissions permissions;     // of the host map and of the region
    std::uint64_t word_bytes;    // from `first` on, that words can be loaded from; 0: no host bytes
  };

  // The piece around `at`, or null: there is none, or somebody has to be asked first (resolve): a
  // host map that is no list of slots, or whether pages are private. What a hit lands through.
  [[nodiscard]] const Piece* find_piece(Gpa at) const {
    std::size_t index = 0;
    if (few_) [[likely]] {
      index = count_few(at);
    } else {
      if (!searchable_) return nullptr;
      index = search(at);
    }
    const Piece& piece = pieces_[index];
    return at - piece.first <= piece.last - piece.first ? &piece : nullptr;
  }

  // The same, of a machine with a handful of slots, where the piece holds all `size` bytes and host
  // bytes stand behind them. REQUIRES: size > 0.
  [[nodiscard, gnu::always_inline]] const Piece* find_bytes(Gpa at, std::uint64_t size) const {
    const std::size_t index = count_few(at);
    const Span& span = bytes_[index];
    const std::uint64_t inside = at - span.first;
    return inside < span.bytes && size <= span.bytes - inside ? pieces_.data() + index : nullptr;
  }

  // `longest`: more than that many bytes in one piece are of no use to the caller, and the answer
  // may end there.
  [[nodiscard]] Result<Landing, FaultReason> resolve(Gpa at, std::uint64_t longest = ~std::uint64_t{
                                                                 0}) const {
    if (!few_ && !searchable_) return resolve_slowly(at, longest);
    const Piece* piece = find_piece(at);
    if (piece == nullptr) return Failure{FaultReason::kHostMapAbsent};
    return landing_in(*piece, at);
  }

  // Table entries; `at` must be a multiple of 8. `references`, if given, grows by the host-map
  // entries that were read on the way, also where it ends in a failure.
  [[nodiscard]] Result<std::uint64_t, FaultReason> load64(
      Gpa at, std::uint32_t* references = nullptr) const;
  // The same where it is a plain load from one of a few slots, as walks do it at every step: the
  // word into `word`. False: ask load64, which also says why not.
  [[nodiscard, gnu::always_inline]] bool load64_from_slot(Gpa at, std::uint64_t& word) const {
    // Tables keep to their slot: here the comparisons are guessed, so that the load does not wait
    // for them. An address below a piece comes out above any size.
    for (const Words& words : words_) {
      const std::uint64_t inside = at - words.first;
      if (inside >= words.bytes) continue;
      if (inside % sizeof word != 0) [[unlikely]]
        return false;
      // Acquire: as in load_region64; an entry's table is read after the entry.
      word = std::atomic_ref(*reinterpret_cast<std::uint64_t*>(words.host + inside))
                 .load(std::memory_order_acquire);
      return true;
    }
    return false;
  }
  // What of a slot words can be loaded from, for who loads many; good as long as the snapshot.
  class NearWords {
   public:
    NearWords() = default;
    [[gnu::always_inline]] NearWords(Gpa first, std::uint64_t bytes, std::byte* host)
        : first_(first),
          bytes_(bytes),
          from_zero_(reinterpret_cast<std::uintptr_t>(host) - first.value()) {}

    // `at` must be a multiple of 8. False: the word lies elsewhere. The load waits for `at` and one
    // addition; whether it may be made is guessed beside it.
    [[nodiscard, gnu::always_inline]] bool load(Gpa at, std::uint64_t& word) const {
      if (at - first_ >= bytes_) [[unlikely]]
        return false;
      // Acquire: as in load64_from_slot.
      word = std::atomic_ref(*reinterpret_cast<std::uint64_t*>(from_zero_ + at.value()))
                 .load(std::memory_order_acquire);
      return true;
    }

   private:
    Gpa first_{};
    std::uint64_t bytes_ = 0;       // none: nothing is loaded
    std::uintptr_t from_zero_ = 0;  // where address 0 would lie in the host
  };
  // Those of the slot that `at` is in; none where words do not lie at multiples of 8 in it.
  [[nodiscard, gnu::always_inline]] NearWords words_near(Gpa at) const {
    for (const Words& words : words_)
      if (at - words.first < words.bytes && (words.first.value() | at.value()) % 8 == 0) [[likely]]
        return {words.first, words.bytes, words.host};
    return {};
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
  // Empty where the host map is no list of slots.
  [[nodiscard]] std::span<const Piece> pieces() const { return pieces_; }
  // For those who read through resolve().
  [[nodiscard]] MemoryWitness* witness() const { return witness_; }
  [[nodiscard]] const HostMap& host_map() const { return *host_map_; }
  [[nodiscard]] const PrivatePages* private_pages() const {
    return private_pages_.get();
  }  // or null
  [[nodiscard]] const GuestMemory& memory() const { return *memory_; }

 private:
  static constexpr std::size_t kFew = 4;
  // What of a piece words can be loaded from; none: no bytes.
  struct Words {
    Gpa first{};
    std::uint64_t bytes = 0;
    std::byte* host = nullptr;
  };
  // A machine has a handful of slots, and which of them is asked for is as good as random: counted,
  // not searched, so that nothing can be guessed wrongly.
  [[nodiscard, gnu::always_inline]] std::size_t count_few(Gpa at) const {
    std::size_t index = 0;
    for (const std::uint64_t last : lasts_before_) index += at.value() > last ? 1 : 0;
    return index;
  }
  struct Span {
    Gpa first{};
    std::uint64_t bytes = 0;
  };
  void join(const MemorySlots& slots);
  [[nodiscard]] std::size_t search(Gpa at) const;
  [[nodiscard]] static Landing landing_in(const Piece& piece, Gpa at) {
    const std::uint64_t inside = at - piece.first;
    return {.hpa = piece.hpa + inside,
            .contiguous = (piece.last - at) + 1,
            .region = piece.region,
            .offset = piece.offset + inside,
            .permissions = piece.permissions,
            .references = 0};
  }
  // What find_piece cannot say. A failure has no place for the references that led to it;
  // `references`, if given, grows by them.
  [[nodiscard]] Result<Landing, FaultReason> resolve_slowly(
      Gpa at, std::uint64_t longest, std::uint32_t* references = nullptr) const;
  [[nodiscard]] Result<Landing, FaultReason> resolve_in_two_steps(Gpa at,
                                                                  std::uint32_t* references) const;

  // Constant after construction.
  std::shared_ptr<const GuestMemory> memory_;
  std::shared_ptr<const HostMap> host_map_;
  DirtySink* dirty_;
  std::shared_ptr<const PrivatePages> private_pages_;
  MemoryWitness* witness_;
  bool few_ = false;         // 1…kFew pieces, none of which has private pages
  bool searchable_ = false;  // any number of such
  // With few: the byte before the first of every piece but the first one; the rest is beyond reach.
  std::array<std::uint64_t, kFew - 1> lasts_before_{};
  std::array<Words, kFew> words_{};  // of the first pieces; none of them with a witness
  std::array<Span, kFew> bytes_{};   // with few: of every piece that is host bytes
  std::vector<Piece> pieces_;        // sorted; empty if the host map is not a list of slots
};

}  // namespace weir::pagetables
