// SPDX-License-Identifier: Apache-2.0
//
// Entries that a format allows, for the generators of worlds: they begin with what is right and
// then break it. For one thread per call; pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/translate.h"

namespace weir::model {

// An entry that points at a table of `next_level`, all rights granted.
[[nodiscard]] std::uint64_t table_entry(const Format& format, std::uint64_t table,
                                        unsigned next_level);

// Sizes that a leaf at `level` can have by its encoding, whatever the unit's capabilities.
[[nodiscard]] std::vector<unsigned> leaf_sizes(const Format& format, unsigned level);

// A leaf at `level`, all rights granted. `page` is a multiple of 2^lg2.
[[nodiscard]] std::uint64_t leaf_entry(const Format& format, unsigned level, std::uint64_t page,
                                       unsigned lg2);

// How many neighbouring entries such a leaf fills.
[[nodiscard]] unsigned leaf_replicas(unsigned level, unsigned lg2);

// Masks to take a right away: the bits to clear, or for execute to set.
struct RightBits {
  std::uint64_t present = 0;
  std::uint64_t read = 0;
  std::uint64_t write = 0;
  std::uint64_t user = 0;
  std::uint64_t no_execute = 0;
};
[[nodiscard]] RightBits right_bits(const Format& format);

// Bits that are reserved in some entry of the format.
[[nodiscard]] std::uint64_t sometimes_reserved(const Format& format);

// Bits in which a leaf differs from a pointer to a table.
[[nodiscard]] std::uint64_t shape_bits(const Format& format);

// Width of the addresses that entries can hold.
[[nodiscard]] unsigned output_width(const Format& format);

}  // namespace weir::model
