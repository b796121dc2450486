// SPDX-License-Identifier: Apache-2.0
//
// Accesses of any size at any offset, cut into what register files take: naturally aligned units,
// as large as the access allows. A unit that registers have no such width for reads 0 and writes
// nothing, as there.
//
// Thread rules: those of the registers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace weir::vfio_user {

// `Most`: the widest unit in bytes. `each`(offset, at, size) for every unit in turn.
template <unsigned Most, typename Each>
void for_each_unit(std::uint64_t offset, std::size_t size, Each each) {
  for (std::size_t at = 0; at < size;) {
    const std::uint64_t here = offset + at;
    const std::uint64_t aligned = here == 0 ? Most : here & (~here + 1);
    const auto unit = static_cast<unsigned>(
        std::min({std::uint64_t{Most}, aligned, std::uint64_t{std::bit_floor(size - at)}}));
    each(here, at, unit);
    at += unit;
  }
}

// `registers` has read(offset, size) and write(offset, size, value).
template <typename Registers>
void read_registers(Registers& registers, std::uint64_t offset, std::span<std::byte> to) {
  for_each_unit<8>(offset, to.size(), [&](std::uint64_t here, std::size_t at, unsigned size) {
    const std::uint64_t value = registers.read(here, size);
    std::memcpy(to.data() + at, &value, size);
  });
}

template <typename Registers>
void write_registers(Registers& registers, std::uint64_t offset, std::span<const std::byte> from) {
  for_each_unit<8>(offset, from.size(), [&](std::uint64_t here, std::size_t at, unsigned size) {
    std::uint64_t value = 0;
    std::memcpy(&value, from.data() + at, size);
    registers.write(here, size, value);
  });
}

}  // namespace weir::vfio_user
