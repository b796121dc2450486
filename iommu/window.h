// SPDX-License-Identifier: Apache-2.0
//
// Windows: the third kind of route beside bypass and unit. A function with a window reaches one
// range of addresses, at an offset or as they are, for reading, writing or both, and nothing else;
// what lies outside is a fault. There is no table, no IOTLB and nothing to invalidate, so a window
// also serves where the guest's flushes are not heard of (bounce buffers, restricted DMA). Several
// functions share one as a pool: where the pool moves, all of them move.
//
// Messages into the interrupt range are no memory and need no window. What a window reaches is
// guest-physical, and goes through the host map like everything else.
//
// Plain values; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/access.h"
#include "base/address.h"

namespace weir {

struct Window {
  AddressRange<Iova> range{};  // what the function calls it, both ends included
  Gpa to{};                    // where the first byte lies
  Permissions rights = Permissions::read_write();

  // The same numbers on both sides.
  [[nodiscard]] static constexpr Window identity(
      AddressRange<Gpa> range, Permissions rights = Permissions::read_write()) {
    return {{Iova(range.first.value()), Iova(range.last.value())}, range.first, rights};
  }
  // REQUIRES: `at` lies in the range.
  [[nodiscard]] constexpr Gpa translate(Iova at) const { return to + (at - range.first); }

  friend constexpr bool operator==(const Window&, const Window&) = default;
};

// Nothing: it is one. Else why not, in one sentence: its range or what it reaches wraps, it lies in
// the interrupt range, or it allows nothing.
[[nodiscard]] std::optional<std::string> why_no_window(const Window& window);

// A window that functions share, by the embedder's own number.
struct PoolId {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(PoolId, PoolId) = default;
};

}  // namespace weir
