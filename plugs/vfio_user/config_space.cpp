// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/config_space.h"

#include <cstring>

#include "plugs/vfio_user/config_layout.h"

namespace weir::vfio_user {
namespace {

template <typename Word>
void put(std::span<std::byte> at, std::size_t offset, Word value) {
  std::memcpy(at.data() + offset, &value, sizeof value);
}
template <typename Word>
Word get(std::span<const std::byte> at, std::size_t offset) {
  Word value{};
  std::memcpy(&value, at.data() + offset, sizeof value);
  return value;
}

}  // namespace

ConfigSpace::ConfigSpace(const Identity& identity) {
  put(initial_, header::kVendor, identity.vendor);
  put(initial_, header::kDevice, identity.device);
  put(initial_, header::kRevision, identity.class_code << 8 | identity.revision);
  put(initial_, header::kSubsystemVendor, identity.subsystem_vendor);
  put(initial_, header::kSubsystem, identity.subsystem);
  make_writable(header::kCommand, command::kWritable);
  make_writable(header::kInterrupt, word_mask(kInterruptLine));
  bytes_ = initial_;
}

void ConfigSpace::add_bar(unsigned bar, std::uint64_t size, Bar kind) {
  const auto at = static_cast<std::uint8_t>(header::kBars + 4 * bar);
  const std::uint64_t address = ~(size - 1);
  make_writable(at, static_cast<std::uint32_t>(address) & word_mask(bar::kAddress));
  if (kind == Bar::kMemory64) {
    put(initial_, at, static_cast<std::uint32_t>(bar::kType.of(bar::k64Bits)));
    make_writable(static_cast<std::uint8_t>(at + 4), static_cast<std::uint32_t>(address >> 32));
  }
  bytes_ = initial_;
}

std::uint8_t ConfigSpace::add_capabilities(std::span<const std::byte> bytes) {
  const std::uint8_t first = free_;
  std::memcpy(initial_.data() + first, bytes.data(), bytes.size());
  initial_[last_link_] = std::byte{first};
  put(initial_, header::kCommand,
      get<std::uint32_t>(initial_, header::kCommand) | word_mask(kCapabilitiesList));
  // The list goes on behind the last of what was given.
  last_link_ = static_cast<std::uint8_t>(first + 1);
  while (initial_[last_link_] != std::byte{0})
    last_link_ = static_cast<std::uint8_t>(std::to_integer<unsigned>(initial_[last_link_]) + 1);
  free_ = static_cast<std::uint8_t>((first + bytes.size() + 3) & ~std::size_t{3});
  bytes_ = initial_;
  return first;
}

std::uint8_t ConfigSpace::add_msix(unsigned vectors, unsigned bar, std::uint32_t table,
                                   std::uint32_t pending) {
  std::array<std::byte, msix::kBytes> body{};
  put(body, 0, static_cast<std::uint32_t>(msix::kId | msix::kLastVector.of(vectors - 1)));
  put(body, msix::kTable, table | bar);
  put(body, msix::kPending, pending | bar);
  const std::uint8_t at = add_capabilities(body);
  make_writable(at, word_mask(msix::kMask) | word_mask(msix::kEnable));
  return at;
}

std::uint8_t ConfigSpace::add_msi() {
  std::array<std::byte, msi::kBytes> body{};
  put(body, 0, msi::kId | word_mask(msi::k64BitAddress));
  const std::uint8_t at = add_capabilities(body);
  make_writable(at, word_mask(msi::kEnable));
  make_writable(static_cast<std::uint8_t>(at + msi::kAddressLow), word_mask(msi::kAddress));
  make_writable(static_cast<std::uint8_t>(at + msi::kAddressHigh), ~std::uint32_t{0});
  make_writable(static_cast<std::uint8_t>(at + msi::kData), word_mask(msi::kDataBits));
  return at;
}

void ConfigSpace::make_writable(std::uint8_t offset, std::uint32_t mask) {
  put(writable_, offset, get<std::uint32_t>(writable_, offset) | mask);
}

void ConfigSpace::read(std::uint64_t offset, std::span<std::byte> to) const {
  for (std::byte& byte : to) {
    byte = offset < kBytes ? bytes_[offset] : std::byte{0};
    ++offset;
  }
}

void ConfigSpace::write(std::uint64_t offset, std::span<const std::byte> from) {
  for (const std::byte byte : from) {
    if (offset >= kBytes) return;
    bytes_[offset] = (bytes_[offset] & ~writable_[offset]) | (byte & writable_[offset]);
    ++offset;
  }
}

std::uint32_t ConfigSpace::word(std::uint8_t offset) const {
  return get<std::uint32_t>(bytes_, offset);
}

void ConfigSpace::set_word(std::uint8_t offset, std::uint32_t value) { put(bytes_, offset, value); }

bool ConfigSpace::memory_decode() const { return command::kMemory.is_set(word(header::kCommand)); }
bool ConfigSpace::bus_master() const { return command::kBusMaster.is_set(word(header::kCommand)); }

void ConfigSpace::reset() { bytes_ = initial_; }

}  // namespace weir::vfio_user
