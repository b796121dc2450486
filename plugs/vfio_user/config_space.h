// SPDX-License-Identifier: Apache-2.0
//
// The configuration space of a PCI function, type 0 header, 256 bytes: made from identity, BARs and
// capabilities, then read and written at any offset and size. What the guest may change is told by
// a mask; everything else keeps its value.
//
// One thread. Building: REQUIRES what the comments say; afterwards no access can go wrong.
// Source: PCI Local Bus 3.0, 6.1 to 6.8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::vfio_user {

class ConfigSpace {
 public:
  static constexpr std::size_t kBytes = 256;

  struct Identity {
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint32_t class_code = 0;  // base class 23:16, sub-class 15:8, interface 7:0
    std::uint8_t revision = 0;
    std::uint16_t subsystem_vendor = 0;
    std::uint16_t subsystem = 0;
  };
  explicit ConfigSpace(const Identity& identity);

  enum class Bar : std::uint8_t { kMemory32, kMemory64 };
  // REQUIRES: `size` a power of two from 16 bytes on; of kMemory64, `bar` + 1 is free as well.
  void add_bar(unsigned bar, std::uint64_t size, Bar kind = Bar::kMemory32);

  // Where the next capability would stand.
  [[nodiscard]] std::uint8_t next_free() const { return free_; }
  // Appends capabilities to the list: one, or several that are linked to one another already from
  // next_free() on, the last one's link 0. Returns where the first stands.
  // REQUIRES: they fit; ids and links are in place.
  std::uint8_t add_capabilities(std::span<const std::byte> bytes);
  // MSI-X with `vectors` entries (1…2048), table and pending bits at these offsets (multiples of 8)
  // of `bar`.
  std::uint8_t add_msix(unsigned vectors, unsigned bar, std::uint32_t table, std::uint32_t pending);
  // One message with a 64-bit address, without masking.
  std::uint8_t add_msi();

  // Which bits of the 32-bit word at `offset` (a multiple of 4) the guest may write; further calls
  // add to it.
  void make_writable(std::uint8_t offset, std::uint32_t mask);

  // As the guest. What lies beyond the end reads 0 and ignores writes.
  void read(std::uint64_t offset, std::span<std::byte> to) const;
  void write(std::uint64_t offset, std::span<const std::byte> from);

  // As the device. REQUIRES: a multiple of 4 below kBytes.
  [[nodiscard]] std::uint32_t word(std::uint8_t offset) const;
  void set_word(std::uint8_t offset, std::uint32_t value);

  [[nodiscard]] bool memory_decode() const;
  [[nodiscard]] bool bus_master() const;

  // What the guest wrote is forgotten.
  void reset();

 private:
  std::array<std::byte, kBytes> bytes_{};
  std::array<std::byte, kBytes> initial_{};
  std::array<std::byte, kBytes> writable_{};
  std::uint8_t free_ = 0x40;
  std::uint8_t last_link_ = 0x34;  // where the list goes on
};

}  // namespace weir::vfio_user
