// SPDX-License-Identifier: Apache-2.0
#include "plugs/vfio_user/bar_layout.h"

#include <algorithm>
#include <numeric>

namespace weir::vfio_user {

std::uint64_t bar_address(std::span<const std::uint64_t> sizes, std::size_t which) {
  constexpr std::uint64_t kEnd = 0xfec00000;  // the first I/O APIC
  const std::uint64_t sum = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
  const std::uint64_t largest = *std::ranges::max_element(sizes);
  std::uint64_t at = (kEnd - sum) & ~(largest - 1);
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (sizes[i] > sizes[which] || (sizes[i] == sizes[which] && i < which)) at += sizes[i];
  return at;
}

}  // namespace weir::vfio_user
