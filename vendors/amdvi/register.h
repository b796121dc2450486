// SPDX-License-Identifier: Apache-2.0
//
// The shape of a register's declaration: where it lies, how it is divided, what software may do
// with it, and which extended features it exists for. All registers of the unit are 64 bits wide
// and may be accessed in halves.
//
// Constexpr values; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bits.h"

namespace weir::amdvi::reg {

struct Register {
  std::uint16_t offset;
  std::string_view mnemonic;
  std::string_view name;
  std::string_view section;
  Layout layout;
  std::uint64_t writable = 0;      // RW: a write replaces
  std::uint64_t clear_on_one = 0;  // RW1C: a write of one clears
  std::uint64_t reads_as_one = 0;  // bits that read 1 whatever was written
  std::uint64_t needs = 0;         // EFR bits without which it reads 0 and ignores writes
};

}  // namespace weir::amdvi::reg
