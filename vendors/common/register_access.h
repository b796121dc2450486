// SPDX-License-Identifier: Apache-2.0
//
// What counts as an access to a remapping unit's registers in memory: 4 or 8 bytes, naturally
// aligned, inside the register space. What else a guest tries reads 0 and writes nothing.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>

namespace weir {

[[nodiscard]] constexpr bool is_register_access(std::uint64_t offset, unsigned size,
                                                std::uint64_t register_bytes) {
  return (size == 4 || size == 8) && offset % size == 0 && offset <= register_bytes - size;
}

}  // namespace weir
