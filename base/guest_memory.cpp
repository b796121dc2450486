// SPDX-License-Identifier: Apache-2.0
#include "base/guest_memory.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

namespace weir {
namespace {

static_assert(std::endian::native == std::endian::little, "guest words are little-endian");
static_assert(sizeof(void*) == 8, "weir runs on 64-bit hosts");

constexpr std::uint64_t kWord = sizeof(std::uint64_t);

// One naturally aligned unit. Relaxed loads: the guest and other devices may touch the same bytes,
// and DMA promises no order between them, only that an aligned word is not torn. Release stores: a
// status word written after other data (a completion) must not overtake it; the guest's acquire
// pairs.
template <typename Unit>
void load_unit(const std::byte* host, std::byte* to) {
  auto* cell = reinterpret_cast<Unit*>(const_cast<std::byte*>(host));  // atomic_ref needs non-const
  const Unit unit = std::atomic_ref(*cell).load(std::memory_order_relaxed);
  std::memcpy(to, &unit, sizeof unit);
}
template <typename Unit>
void store_unit(std::byte* host, const std::byte* from) {
  Unit unit = 0;
  std::memcpy(&unit, from, sizeof unit);
  std::atomic_ref(*reinterpret_cast<Unit*>(host)).store(unit, std::memory_order_release);
}

// The largest unit, up to a word, that is aligned at `host` and fits into `left` bytes.
[[nodiscard]] std::size_t unit_at(const std::byte* host, std::size_t left) {
  const auto misalignment = reinterpret_cast<std::uintptr_t>(host) % kWord;
  const std::size_t aligned = misalignment == 0 ? kWord : misalignment & (~misalignment + 1);
  return std::min(aligned, std::bit_floor(left));
}

void copy_out(const std::byte* host, std::span<std::byte> to) {
  for (std::size_t done = 0; done < to.size();) {
    const std::size_t unit = unit_at(host + done, to.size() - done);
    switch (unit) {
      case 8:
        load_unit<std::uint64_t>(host + done, to.data() + done);
        break;
      case 4:
        load_unit<std::uint32_t>(host + done, to.data() + done);
        break;
      case 2:
        load_unit<std::uint16_t>(host + done, to.data() + done);
        break;
      default:
        load_unit<std::uint8_t>(host + done, to.data() + done);
        break;
    }
    done += unit;
  }
}

void copy_in(std::byte* host, std::span<const std::byte> from) {
  for (std::size_t done = 0; done < from.size();) {
    const std::size_t unit = unit_at(host + done, from.size() - done);
    switch (unit) {
      case 8:
        store_unit<std::uint64_t>(host + done, from.data() + done);
        break;
      case 4:
        store_unit<std::uint32_t>(host + done, from.data() + done);
        break;
      case 2:
        store_unit<std::uint16_t>(host + done, from.data() + done);
        break;
      default:
        store_unit<std::uint8_t>(host + done, from.data() + done);
        break;
    }
    done += unit;
  }
}

[[nodiscard]] std::uint64_t last_of(const MemoryRegion& region) {
  return region.first.value() + (region.size - 1);
}

// Calls `piece(region, offset, done, size)` for each region that [at, at+size) crosses.
template <typename Piece>
Result<Done, MemoryFailure> for_each_piece(const GuestMemory& memory, Hpa at, std::uint64_t size,
                                           Piece piece) {
  for (std::uint64_t done = 0; done < size;) {
    const Hpa here = at + done;
    const MemoryRegion* region = here < at ? nullptr : memory.find(here);
    if (region == nullptr) return Failure{MemoryFailure::kAbsent};
    const std::uint64_t offset = here - region->first;
    const std::uint64_t count = std::min(size - done, region->size - offset);
    if (auto result = piece(*region, offset, done, count); !result) return result;
    done += count;
  }
  return Done{};
}

}  // namespace

Result<GuestMemory, std::string> GuestMemory::create(std::vector<MemoryRegion> regions) {
  for (const MemoryRegion& r : regions) {
    if (r.size == 0) return Failure{std::string("a memory region is empty")};
    if (last_of(r) < r.first.value()) return Failure{std::string("a memory region wraps around")};
    if ((r.host == nullptr) == (r.target == nullptr))
      return Failure{std::string("a memory region needs either host memory or a target")};
    if (r.host != nullptr &&
        (reinterpret_cast<std::uintptr_t>(r.host) - r.first.value()) % kWord != 0)
      return Failure{std::string("a memory region's host pointer breaks 8-byte alignment")};
  }
  std::sort(regions.begin(), regions.end(),
            [](const MemoryRegion& a, const MemoryRegion& b) { return a.first < b.first; });
  for (std::size_t i = 1; i < regions.size(); ++i)
    if (last_of(regions[i - 1]) >= regions[i].first.value())
      return Failure{std::string("two memory regions overlap")};
  return GuestMemory(std::move(regions));
}

GuestMemory GuestMemory::single(Hpa first, std::span<std::byte> bytes) {
  return GuestMemory({MemoryRegion{.first = first, .size = bytes.size(), .host = bytes.data()}});
}

const MemoryRegion* GuestMemory::find(Hpa at) const {
  auto after = std::upper_bound(regions_.begin(), regions_.end(), at,
                                [](Hpa a, const MemoryRegion& r) { return a < r.first; });
  if (after == regions_.begin()) return nullptr;
  const MemoryRegion& region = *(after - 1);
  return at - region.first < region.size ? &region : nullptr;
}

Result<Done, MemoryFailure> read_region(const MemoryRegion& region, std::uint64_t offset,
                                        std::span<std::byte> to) {
  if (!region.permissions.can_read()) return Failure{MemoryFailure::kNotAllowed};
  if (region.target != nullptr) {
    if (!region.target->read(offset, to)) return Failure{MemoryFailure::kRefused};
    return Done{};
  }
  copy_out(region.host + offset, to);
  return Done{};
}

Result<Done, MemoryFailure> write_region(const MemoryRegion& region, std::uint64_t offset,
                                         std::span<const std::byte> from) {
  if (!region.permissions.can_write()) return Failure{MemoryFailure::kNotAllowed};
  if (region.target != nullptr) {
    if (!region.target->write(offset, from)) return Failure{MemoryFailure::kRefused};
    return Done{};
  }
  copy_in(region.host + offset, from);
  return Done{};
}

Result<std::uint64_t, MemoryFailure> load_region64(const MemoryRegion& region,
                                                   std::uint64_t offset) {
  if ((region.first + offset).value() % kWord != 0) return Failure{MemoryFailure::kMisaligned};
  if (region.size - offset < kWord) return Failure{MemoryFailure::kAbsent};
  if (!region.permissions.can_read()) return Failure{MemoryFailure::kNotAllowed};
  if (region.target != nullptr) {
    std::uint64_t word = 0;
    if (!region.target->read(offset, std::as_writable_bytes(std::span(&word, 1))))
      return Failure{MemoryFailure::kRefused};
    return word;
  }
  // Acquire: pairs with the guest's own ordering; an entry's table is read after the entry.
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(region.host + offset))
      .load(std::memory_order_acquire);
}

Result<bool, MemoryFailure> compare_exchange_region64(const MemoryRegion& region,
                                                      std::uint64_t offset, std::uint64_t& expected,
                                                      std::uint64_t desired) {
  if ((region.first + offset).value() % kWord != 0) return Failure{MemoryFailure::kMisaligned};
  if (region.size - offset < kWord) return Failure{MemoryFailure::kAbsent};
  if (!region.permissions.can_write()) return Failure{MemoryFailure::kNotAllowed};
  if (region.target != nullptr) {
    const auto exchanged = region.target->compare_exchange(offset, expected, desired);
    if (!exchanged) return Failure{MemoryFailure::kRefused};
    return *exchanged;
  }
  // Acquire-release: an update of a guest's entry is ordered like the locked cycle hardware makes.
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(region.host + offset))
      .compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                               std::memory_order_acquire);
}

Result<Done, MemoryFailure> GuestMemory::read(Hpa at, std::span<std::byte> to) const {
  return for_each_piece(
      *this, at, to.size(),
      [&](const MemoryRegion& region, std::uint64_t offset, std::uint64_t done,
          std::uint64_t count) { return read_region(region, offset, to.subspan(done, count)); });
}

Result<Done, MemoryFailure> GuestMemory::write(Hpa at, std::span<const std::byte> from) const {
  return for_each_piece(
      *this, at, from.size(),
      [&](const MemoryRegion& region, std::uint64_t offset, std::uint64_t done,
          std::uint64_t count) { return write_region(region, offset, from.subspan(done, count)); });
}

Result<std::uint64_t, MemoryFailure> GuestMemory::load64(Hpa at) const {
  const MemoryRegion* region = find(at);
  if (region == nullptr) return Failure{MemoryFailure::kAbsent};
  return load_region64(*region, at - region->first);
}

Result<Done, MemoryFailure> GuestMemory::store64(Hpa at, std::uint64_t value) const {
  const MemoryRegion* region = find(at);
  if (region == nullptr) return Failure{MemoryFailure::kAbsent};
  if (at.value() % kWord != 0) return Failure{MemoryFailure::kMisaligned};
  if (region->size - (at - region->first) < kWord) return Failure{MemoryFailure::kAbsent};
  return write_region(*region, at - region->first, std::as_bytes(std::span(&value, 1)));
}

Result<bool, MemoryFailure> GuestMemory::compare_exchange64(Hpa at, std::uint64_t& expected,
                                                            std::uint64_t desired) const {
  const MemoryRegion* region = find(at);
  if (region == nullptr) return Failure{MemoryFailure::kAbsent};
  return compare_exchange_region64(*region, at - region->first, expected, desired);
}

}  // namespace weir
