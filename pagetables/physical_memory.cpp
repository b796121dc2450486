// SPDX-License-Identifier: Apache-2.0
#include "pagetables/physical_memory.h"

#include <algorithm>

#include "base/bits.h"

namespace weir::pagetables {
namespace {

FaultReason reason_of(MemoryFailure failure) {
  switch (failure) {
    case MemoryFailure::kAbsent:
    case MemoryFailure::kMisaligned:
      return FaultReason::kHostMapAbsent;
    case MemoryFailure::kNotAllowed:
    case MemoryFailure::kRefused:
      return FaultReason::kHostMapPermission;
  }
  return FaultReason::kHostMapAbsent;
}

}  // namespace

PhysicalMemory::PhysicalMemory(std::shared_ptr<const GuestMemory> memory,
                               std::shared_ptr<const HostMap> host_map, DirtySink* dirty,
                               std::shared_ptr<const PrivatePages> private_pages,
                               MemoryWitness* witness)
    : memory_(std::move(memory)),
      host_map_(std::move(host_map)),
      dirty_(dirty),
      private_pages_(std::move(private_pages)),
      witness_(witness) {
  if (host_map_ == nullptr)
    host_map_ = std::make_shared<MemorySlots>(MemorySlots::identity(*memory_));
  if (const auto* slots = dynamic_cast<const MemorySlots*>(host_map_.get())) join(*slots);
}

// One entry for each piece of a slot that lies in one region; pieces without memory stay out.
void PhysicalMemory::join(const MemorySlots& slots) {
  for (const MemorySlot& slot : slots.slots()) {
    const Hpa slot_last = slot.to + (slot.size - 1);
    for (const MemoryRegion& region : memory_->regions()) {
      const Hpa first = std::max(slot.to, region.first);
      const Hpa last = std::min(slot_last, region.first + (region.size - 1));
      if (first > last) continue;
      const Gpa gpa = slot.first + (first - slot.to);
      const Permissions permissions = slot.permissions & region.permissions;
      // Words keep their alignment on the way, and all of them may be read.
      const bool words = region.host != nullptr && permissions.can_read() &&
                         is_aligned(gpa.value() | first.value(), 3);
      pieces_.push_back(
          {.first = gpa,
           .last = slot.first + (last - slot.to),
           .hpa = first,
           .region = &region,
           .offset = first - region.first,
           .host = region.host == nullptr ? nullptr : region.host + (first - region.first),
           .permissions = permissions,
           .word_bytes = words ? (last - first + 1) & ~std::uint64_t{7} : 0});
    }
  }
  lasts_before_.fill(~std::uint64_t{0});
  if (private_pages_ != nullptr) return;  // nothing may be found without asking
  searchable_ = !pieces_.empty();
  few_ = searchable_ && pieces_.size() <= kFew;
  for (std::size_t i = 0; witness_ == nullptr && i < std::min(kFew, pieces_.size()); ++i)
    words_[i] = {pieces_[i].first, pieces_[i].word_bytes, pieces_[i].host};
  for (std::size_t i = 0; few_ && i < pieces_.size(); ++i)
    if (pieces_[i].host != nullptr)
      bytes_[i] = {pieces_[i].first, (pieces_[i].last - pieces_[i].first) + 1};
  for (std::size_t i = 1; few_ && i < pieces_.size(); ++i)
    lasts_before_[i - 1] = pieces_[i].first.value() - 1;
}

std::size_t PhysicalMemory::search(Gpa at) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), at,
                                      [](Gpa a, const Piece& piece) { return a < piece.first; });
  return after == pieces_.begin() ? 0 : static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

Result<Landing, FaultReason> PhysicalMemory::resolve_slowly(Gpa at, std::uint64_t longest,
                                                            std::uint32_t* references) const {
  auto landing = Result<Landing, FaultReason>(Failure{FaultReason::kHostMapAbsent});
  if (pieces_.empty()) {
    landing = resolve_in_two_steps(at, references);
  } else if (const Piece& piece = pieces_[search(at)];
             at - piece.first <= piece.last - piece.first) {
    landing = landing_in(piece, at);
  }
  if (!landing || private_pages_ == nullptr) return landing;
  const PrivatePages::Run run =
      private_pages_->run(at, std::min(std::max(longest, std::uint64_t{1}), landing->contiguous));
  if (run.is_private) return Failure{FaultReason::kPrivatePage};
  landing->contiguous = run.bytes;
  return landing;
}

Result<Landing, FaultReason> PhysicalMemory::resolve_in_two_steps(Gpa at,
                                                                  std::uint32_t* references) const {
  const auto mapping = host_map_->lookup(at);
  if (references != nullptr)
    *references += mapping ? mapping->references : mapping.error().references;
  if (!mapping) return Failure{mapping.error().reason};
  const MemoryRegion* region = memory_->find(mapping->hpa);
  if (region == nullptr) return Failure{FaultReason::kHostMapAbsent};
  const std::uint64_t offset = mapping->hpa - region->first;
  const std::uint64_t left_in_window = mapping->window.last - at;
  const std::uint64_t left_in_region = region->size - 1 - offset;
  return Landing{.hpa = mapping->hpa,
                 .contiguous = std::min(left_in_window, left_in_region) + 1,
                 .region = region,
                 .offset = offset,
                 .permissions = mapping->permissions & region->permissions,
                 .references = mapping->references};
}

Result<std::uint64_t, FaultReason> PhysicalMemory::load64(Gpa at, std::uint32_t* references) const {
  if (witness_ != nullptr) witness_->before_read(at);
  // Pieces of slots cost nothing.
  const auto landing = few_ || searchable_ ? resolve(at)
                                           : resolve_slowly(at, sizeof(std::uint64_t), references);
  if (!landing) return Failure{landing.error()};
  if (!landing->permissions.can_read()) return Failure{FaultReason::kHostMapPermission};
  if (landing->contiguous < sizeof(std::uint64_t)) return Failure{FaultReason::kHostMapAbsent};
  const auto word = load_region64(*landing->region, landing->offset);
  if (!word) return Failure{reason_of(word.error())};
  if (witness_ != nullptr) witness_->on_read(at, std::as_bytes(std::span(&*word, 1)));
  return *word;
}

Result<Done, FaultReason> PhysicalMemory::store64(Gpa at, std::uint64_t value) const {
  const auto landing = resolve(at, sizeof value);
  if (!landing) return Failure{landing.error()};
  if (!landing->permissions.can_write()) return Failure{FaultReason::kHostMapPermission};
  // A word in two pieces would be seen torn (L3).
  if (!is_aligned(at.value() | landing->hpa.value(), 3) || landing->contiguous < sizeof value)
    return Failure{FaultReason::kHostMapAbsent};
  const auto stored =
      write_region(*landing->region, landing->offset, std::as_bytes(std::span(&value, 1)));
  if (!stored) return Failure{reason_of(stored.error())};
  if (witness_ != nullptr) witness_->on_write(at, std::as_bytes(std::span(&value, 1)));
  report_dirty(at, sizeof value);
  return Done{};
}

Result<bool, FaultReason> PhysicalMemory::compare_exchange64(Gpa at, std::uint64_t& expected,
                                                             std::uint64_t desired) const {
  if (witness_ != nullptr) witness_->before_read(at);
  const auto landing = resolve(at, sizeof desired);
  if (!landing) return Failure{landing.error()};
  if (!landing->permissions.can_write()) return Failure{FaultReason::kHostMapPermission};
  if (landing->contiguous < sizeof(std::uint64_t)) return Failure{FaultReason::kHostMapAbsent};
  const auto exchanged =
      compare_exchange_region64(*landing->region, landing->offset, expected, desired);
  if (!exchanged) return Failure{reason_of(exchanged.error())};
  if (witness_ != nullptr) {
    // `expected` is what was there, either way.
    witness_->on_read(at, std::as_bytes(std::span(&expected, 1)));
    if (*exchanged) witness_->on_write(at, std::as_bytes(std::span(&desired, 1)));
  }
  if (*exchanged) report_dirty(at, sizeof desired);
  return *exchanged;
}

Result<Done, FaultReason> PhysicalMemory::read(Gpa at, std::span<std::byte> to) const {
  for (std::size_t done = 0; done < to.size();) {
    if (witness_ != nullptr) witness_->before_read(at + done);
    const auto landing = at + done < at
                             ? Result<Landing, FaultReason>(Failure{FaultReason::kAddressWraps})
                             : resolve(at + done, to.size() - done);
    if (!landing) return Failure{landing.error()};
    if (!landing->permissions.can_read()) return Failure{FaultReason::kHostMapPermission};
    const std::size_t count = std::min<std::uint64_t>(landing->contiguous, to.size() - done);
    const auto copied = read_region(*landing->region, landing->offset, to.subspan(done, count));
    if (!copied) return Failure{reason_of(copied.error())};
    if (witness_ != nullptr) witness_->on_read(at + done, to.subspan(done, count));
    done += count;
  }
  return Done{};
}

Result<Done, FaultReason> PhysicalMemory::write(Gpa at, std::span<const std::byte> from) const {
  for (std::size_t done = 0; done < from.size();) {
    const auto landing = at + done < at
                             ? Result<Landing, FaultReason>(Failure{FaultReason::kAddressWraps})
                             : resolve(at + done, from.size() - done);
    if (!landing) return Failure{landing.error()};
    if (!landing->permissions.can_write()) return Failure{FaultReason::kHostMapPermission};
    const std::size_t count = std::min<std::uint64_t>(landing->contiguous, from.size() - done);
    const auto copied = write_region(*landing->region, landing->offset, from.subspan(done, count));
    if (!copied) return Failure{reason_of(copied.error())};
    if (witness_ != nullptr) witness_->on_write(at + done, from.subspan(done, count));
    report_dirty(at + done, count);
    done += count;
  }
  return Done{};
}

}  // namespace weir::pagetables
