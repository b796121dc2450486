// SPDX-License-Identifier: Apache-2.0
#include "tools/verify/guest_ram.h"

#include <sys/mman.h>

#include <utility>

namespace weir::verify {
namespace {

// The memory is numbered by the guest: the host map of the machines here is the identity.
Hpa host_number(Gpa at) { return Hpa(at.value()); }

}  // namespace

Result<GuestRam, std::string> GuestRam::create(const std::vector<AddressRange<Gpa>>& ranges) {
  GuestRam ram;
  std::vector<MemoryRegion> regions;
  for (const auto& range : ranges) {
    const std::uint64_t size = range.last - range.first + 1;
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
      return Failure{"this host cannot reserve " + std::to_string(size >> 20) + " MiB of RAM"};
    }
    const std::span<std::byte> bytes(static_cast<std::byte*>(at), size);
    ram.mappings_.push_back(bytes);
    // A huge page per scattered word would make every case clear hundreds of megabytes.
    madvise(at, size, MADV_NOHUGEPAGE);
    regions.push_back({.first = host_number(range.first), .size = size, .host = bytes.data()});
  }
  auto memory = GuestMemory::create(std::move(regions));
  if (!memory) return Failure{memory.error()};
  ram.memory_ = std::make_shared<const GuestMemory>(std::move(*memory));
  return ram;
}

GuestRam::GuestRam(GuestRam&& other) noexcept
    : mappings_(std::exchange(other.mappings_, {})), memory_(std::move(other.memory_)) {}

GuestRam::~GuestRam() {
  for (const auto& bytes : mappings_) munmap(bytes.data(), bytes.size());
}

void GuestRam::clear() {
  for (const auto& bytes : mappings_) madvise(bytes.data(), bytes.size(), MADV_DONTNEED);
}

bool GuestRam::holds(Gpa at, std::uint64_t size) const {
  const MemoryRegion* const region = memory_->find(host_number(at));
  return region != nullptr && size <= region->size - (host_number(at) - region->first);
}

void GuestRam::read(Gpa at, std::span<std::byte> to) const {
  static_cast<void>(memory_->read(host_number(at), to));
}

void GuestRam::write(Gpa at, std::span<const std::byte> from) {
  static_cast<void>(memory_->write(host_number(at), from));
}

void GuestRam::store64(Gpa at, std::uint64_t value) {
  static_cast<void>(memory_->store64(host_number(at), value));
}

std::uint64_t GuestRam::load64(Gpa at) const {
  const auto word = memory_->load64(host_number(at));
  return word ? *word : 0;
}

}  // namespace weir::verify
