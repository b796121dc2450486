// SPDX-License-Identifier: Apache-2.0
//
// What a virtio-iommu is made as: its features, its limits, and the endpoints that it manages.
// Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "base/ids.h"
#include "vendors/common/virtio/device.h"

namespace weir::virtio_iommu {

// Addresses of an endpoint that no mapping may touch (RESV_MEM, virtio 1.4, 5.13.6.8).
struct ReservedRegion {
  enum class Kind : std::uint8_t {
    kReserved,
    kMsi,  // writes here are interrupts; at most one for each endpoint
  };
  Kind kind = Kind::kReserved;
  AddressRange<Iova> range{};
};

// Where every x86 machine has its message-signalled interrupts. A Linux guest without an MSI region
// makes up one of its own, which no x86 machine knows.
inline constexpr ReservedRegion kX86Msi{ReservedRegion::Kind::kMsi,
                                        {Iova(0xfee00000), Iova(0xfeefffff)}};

struct EndpointOptions {
  Requester requester;
  std::uint32_t id = 0;                           // as the guest's tables (VIOT) number it
  std::vector<ReservedRegion> reserved{kX86Msi};  // disjoint
};

// Who says what happens to endpoints that are attached to nothing (5.13.6).
enum class BypassControl : std::uint8_t {
  kNone,     // no feature: they are blocked
  kFeature,  // VIRTIO_IOMMU_F_BYPASS: they bypass once the driver has accepted it
  kConfig,   // VIRTIO_IOMMU_F_BYPASS_CONFIG: the configuration's bypass byte
};

// What a guest may make the unit keep. Beyond it a request is answered with NOMEM.
struct Limits {
  std::size_t domains = 4096;
  std::size_t mappings_per_domain = std::size_t{1} << 20;
  std::size_t mappings = std::size_t{1} << 21;  // of all domains together
  std::size_t attached_endpoints = 65536;
};

struct Options {
  // At least one bit; the lowest is the granule, any further ones are hints.
  std::uint64_t page_size_mask = ~(kPageSize - 1);
  AddressRange<Iova> input_range = whole_space<Iova>();
  std::uint32_t first_domain = 0;
  std::uint32_t last_domain = ~std::uint32_t{0};
  std::uint32_t probe_size = 512;  // bytes; must hold the properties of every endpoint
  BypassControl bypass = BypassControl::kConfig;
  bool boot_bypass = true;         // kConfig: `bypass` before a driver and after a machine reset
  bool mmio = true;                // VIRTIO_IOMMU_F_MMIO
  bool packed = true;              // VIRTIO_F_RING_PACKED
  std::uint16_t queue_size = 256;  // a power of two, at most 1024
  Limits limits{};
  std::vector<EndpointOptions> endpoints{};
  virtio::InterruptSink* interrupts = nullptr;  // must outlive the unit
};

}  // namespace weir::virtio_iommu
