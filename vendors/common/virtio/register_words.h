// SPDX-License-Identifier: Apache-2.0
//
// What both transports do with the two halves of a 64-bit register, and with accesses to the
// configuration space. For transports only; pure functions of their arguments.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/bits.h"
#include "vendors/common/virtio/device.h"

namespace weir::virtio {

inline constexpr Field<31, 0> kLowHalf{"low half"};
inline constexpr Field<63, 32> kHighHalf{"high half"};

[[nodiscard]] inline std::uint32_t half_of(std::uint64_t word, bool high) {
  return static_cast<std::uint32_t>(high ? kHighHalf.get(word) : kLowHalf.get(word));
}
[[nodiscard]] inline std::uint64_t with_half(std::uint64_t word, bool high, std::uint32_t value) {
  return high ? kHighHalf.with(word, value) : kLowHalf.with(word, value);
}

// Feature words 0 and 1; there is nothing in the others (4.1.4.3.1).
[[nodiscard]] inline std::uint32_t feature_word(std::uint64_t features, std::uint32_t selected) {
  return selected > 1 ? 0 : half_of(features, selected == 1);
}
inline void set_driver_feature_word(Device& device, std::uint32_t selected, std::uint32_t value) {
  // A bit beyond the second word is one that no device offers: it spoils the negotiation.
  const std::uint64_t features = device.driver_features();
  if (selected <= 1)
    device.set_driver_features(with_half(features, selected == 1, value));
  else if (value != 0)
    device.set_driver_features(~std::uint64_t{0});
}

[[nodiscard]] inline Gpa area_of(const QueueRegisters& queue, Device::Area area) {
  switch (area) {
    case Device::Area::kDescriptors:
      return queue.descriptors;
    case Device::Area::kDriver:
      return queue.driver;
    case Device::Area::kDevice:
      return queue.device;
  }
  return {};
}

// `size` 1, 2, 4 or 8 and `offset` a multiple of it.
[[nodiscard]] inline bool is_access(std::uint64_t offset, unsigned size) {
  return (size == 1 || size == 2 || size == 4 || size == 8) && offset % size == 0;
}

// REQUIRES: `size` at most 8.
[[nodiscard]] inline std::uint64_t read_config_value(Device& device, std::uint64_t offset,
                                                     unsigned size) {
  std::uint64_t value = 0;
  device.read_config(offset, std::as_writable_bytes(std::span(&value, 1)).first(size));
  return value;
}
inline void write_config_value(Device& device, std::uint64_t offset, unsigned size,
                               std::uint64_t value) {
  device.write_config(offset, std::as_bytes(std::span(&value, 1)).first(size));
}

}  // namespace weir::virtio
