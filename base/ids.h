// SPDX-License-Identifier: Apache-2.0
//
// Who asks, and under which tag an answer is kept: requester, PASID, unit and domain. Pure values;
// any thread.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace weir {

// A PCI function as the IOMMU sees it: segment and bus/device/function, after bridge aliasing.
// `bdf` is the 16-bit source-id of the bus: bus 15:8, device 7:3, function 2:0.
struct Requester {
  std::uint16_t segment = 0;
  std::uint16_t bdf = 0;

  [[nodiscard]] static constexpr Requester from_sid(std::uint16_t sid, std::uint16_t segment = 0) {
    return {segment, sid};
  }
  // `device` 0…31, `function` 0…7; higher bits are dropped.
  [[nodiscard]] static constexpr Requester from_bdf(unsigned bus, unsigned device,
                                                    unsigned function, std::uint16_t segment = 0) {
    return {segment,
            static_cast<std::uint16_t>((bus & 0xff) << 8 | (device & 0x1f) << 3 | (function & 7))};
  }
  [[nodiscard]] constexpr std::uint8_t bus() const { return static_cast<std::uint8_t>(bdf >> 8); }
  [[nodiscard]] constexpr std::uint8_t devfn() const { return static_cast<std::uint8_t>(bdf); }
  [[nodiscard]] constexpr unsigned device() const { return bdf >> 3 & 0x1fU; }
  [[nodiscard]] constexpr unsigned function() const { return bdf & 7U; }

  friend constexpr auto operator<=>(Requester, Requester) = default;
};

// A process address-space id, 20 bits (PCIe 6.20). Absence is written as std::optional<Pasid>.
struct Pasid {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(Pasid, Pasid) = default;
};
inline constexpr std::uint32_t kPasidLimit = 1U << 20;

// One remapping unit of an Iommu, numbered from 0 in the order they were added.
struct UnitId {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(UnitId, UnitId) = default;
};

// The guest's own domain number, as its tables write it. It means something only together with its
// unit: equal ids on two units are different domains, which is why every unit has its own caches.
struct DomainId {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(DomainId, DomainId) = default;
};

struct DomainTag {
  UnitId unit;
  DomainId id;
  friend constexpr auto operator<=>(DomainTag, DomainTag) = default;
};

}  // namespace weir

template <>
struct std::hash<weir::Requester> {
  std::size_t operator()(weir::Requester r) const noexcept {
    return std::hash<std::uint32_t>{}(std::uint32_t{r.segment} << 16 | r.bdf);
  }
};
