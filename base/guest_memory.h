// SPDX-License-Identifier: Apache-2.0
//
// GuestMemory turns an Hpa (the embedder's number for a piece of memory) into bytes: several
// regions, each either host memory or a callback. It is an immutable snapshot: memory is plugged or
// pulled by building another GuestMemory and replacing the whole (Iommu::change_memory), so a
// reader that holds one can never see half a change.
//
// All members are const and may be called from any thread. The bytes themselves belong to the guest
// and change at any time; they are copied in atomic accesses of the largest aligned unit up to 8
// bytes. Failure is a value; nothing here throws (except std::bad_alloc while building), blocks or
// logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/access.h"
#include "base/address.h"
#include "base/result.h"

namespace weir {

// Memory behind callbacks: device registers (peer-to-peer), private memory, ROM that is not mapped.
// Offsets count from the start of the region; ranges given never leave it. Called from any thread
// with no weir lock held. A call that answers false refused the access.
class MemoryTarget {
 public:
  virtual ~MemoryTarget() = default;
  virtual bool read(std::uint64_t offset, std::span<std::byte> to) = 0;
  virtual bool write(std::uint64_t offset, std::span<const std::byte> from) = 0;
  // `expected` is replaced by what was there; true if it matched and `desired` was stored. The
  // default refuses: devices need not offer atomics.
  virtual std::optional<bool> compare_exchange(std::uint64_t /*offset*/,
                                               std::uint64_t& /*expected*/,
                                               std::uint64_t /*desired*/) {
    return std::nullopt;
  }
};

// Exactly one of `host` and `target` is set. `host` must be 8-byte aligned if `first` is, and stay
// valid for as long as a GuestMemory that names it, or a translation made from one, is in use.
struct MemoryRegion {
  Hpa first;
  std::uint64_t size = 0;
  std::byte* host = nullptr;
  MemoryTarget* target = nullptr;
  Permissions permissions = Permissions::read_write();  // read_only(): ROM
};

enum class MemoryFailure : std::uint8_t { kAbsent, kNotAllowed, kMisaligned, kRefused };

class GuestMemory {
 public:
  // Refuses, in one sentence, regions that overlap, wrap, are empty, or name no or two backings.
  [[nodiscard]] static Result<GuestMemory, std::string> create(std::vector<MemoryRegion> regions);

  // One host-memory region; REQUIRES: `size` > 0, `first + size` does not wrap.
  [[nodiscard]] static GuestMemory single(Hpa first, std::span<std::byte> bytes);

  // The region that holds `at`, or null. O(log n), no allocation.
  [[nodiscard]] const MemoryRegion* find(Hpa at) const;
  [[nodiscard]] std::span<const MemoryRegion> regions() const { return regions_; }

  // Bytes may cross from one region into the next. On failure the bytes before it were transferred.
  [[nodiscard]] Result<Done, MemoryFailure> read(Hpa at, std::span<std::byte> to) const;
  [[nodiscard]] Result<Done, MemoryFailure> write(Hpa at, std::span<const std::byte> from) const;

  // Single-copy atomic 64-bit accesses for table entries. `at` must be a multiple of 8.
  [[nodiscard]] Result<std::uint64_t, MemoryFailure> load64(Hpa at) const;
  [[nodiscard]] Result<Done, MemoryFailure> store64(Hpa at, std::uint64_t value) const;
  // True if `expected` was there and `desired` is now; `expected` receives what was there.
  [[nodiscard]] Result<bool, MemoryFailure> compare_exchange64(Hpa at, std::uint64_t& expected,
                                                               std::uint64_t desired) const;

 private:
  explicit GuestMemory(std::vector<MemoryRegion> regions) : regions_(std::move(regions)) {}

  std::vector<MemoryRegion> regions_;  // constant after construction; sorted, disjoint
};

// Accesses to one piece of memory, `offset` bytes into its region. The whole piece must lie inside.
// Shared by GuestMemory and by whoever has already found the region.
[[nodiscard]] Result<Done, MemoryFailure> read_region(const MemoryRegion& region,
                                                      std::uint64_t offset,
                                                      std::span<std::byte> to);
[[nodiscard]] Result<Done, MemoryFailure> write_region(const MemoryRegion& region,
                                                       std::uint64_t offset,
                                                       std::span<const std::byte> from);
[[nodiscard]] Result<std::uint64_t, MemoryFailure> load_region64(const MemoryRegion& region,
                                                                 std::uint64_t offset);
[[nodiscard]] Result<bool, MemoryFailure> compare_exchange_region64(const MemoryRegion& region,
                                                                    std::uint64_t offset,
                                                                    std::uint64_t& expected,
                                                                    std::uint64_t desired);

}  // namespace weir
