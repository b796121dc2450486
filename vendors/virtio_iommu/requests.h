// SPDX-License-Identifier: Apache-2.0
//
// A request as the driver wrote it, decoded into plain values. Nothing is judged here but what a
// request must have to be one: a type that is known, and as many bytes as its type takes (virtio
// 1.4, 5.13.6). Ranges, flags and reserved fields are the domains' business.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "base/address.h"
#include "vendors/virtio_iommu/layout.h"

namespace weir::virtio_iommu {

struct Attach {
  std::uint32_t domain = 0;
  std::uint32_t endpoint = 0;
  std::uint32_t flags = 0;
  std::uint32_t reserved = 0;
};
struct Detach {
  std::uint32_t domain = 0;
  std::uint32_t endpoint = 0;
};
struct Map {
  std::uint32_t domain = 0;
  Iova first;
  Iova last;
  Gpa output;
  std::uint32_t flags = 0;
};
struct Unmap {
  std::uint32_t domain = 0;
  Iova first;
  Iova last;
};
struct Probe {
  std::uint32_t endpoint = 0;
};

using RequestBody = std::variant<Attach, Detach, Map, Unmap, Probe>;

inline constexpr std::size_t kLongestRequest = probe::kBytes;

// How many bytes a request of that type has for the device to read.
[[nodiscard]] std::size_t bytes_of(RequestType type);

// `bytes`: what is there, up to kLongestRequest. Nothing: it cannot be parsed, and must be returned
// as it is.
[[nodiscard]] std::optional<RequestBody> decode_request(std::span<const std::byte> bytes);

}  // namespace weir::virtio_iommu
