// SPDX-License-Identifier: Apache-2.0
#include "vendors/virtio_iommu/config_space.h"

#include <array>

#include "vendors/common/virtio/features.h"
#include "vendors/virtio_iommu/fields.h"
#include "vendors/virtio_iommu/layout.h"

namespace weir::virtio_iommu {

// Beside each bit, the test that uses it (tests/virtio_iommu).
std::uint64_t features_of(const Options& options) {
  namespace ring = virtio::feature;
  return feature::kInputRange.of(1) |                                              // MapTest
         feature::kDomainRange.of(1) |                                             // AttachTest
         feature::kMapUnmap.of(1) |                                                // MapTest
         feature::kBypass.of(options.bypass == BypassControl::kFeature ? 1 : 0) |  // BypassTest
         feature::kProbe.of(options.probe_size != 0 ? 1 : 0) |                     // ProbeTest
         feature::kMmio.of(options.mmio ? 1 : 0) |                                 // MapTest
         feature::kBypassConfig.of(options.bypass == BypassControl::kConfig ? 1
                                                                            : 0) |  // BypassTest
         ring::kIndirect.of(1) |                        // LinuxDriverTest
         ring::kEventIndex.of(1) |                      // LinuxDriverTest
         ring::kVersion1.of(1) |                        // DeviceTest
         ring::kPackedRing.of(options.packed ? 1 : 0);  // LinuxDriverTest
}

ConfigSpace::ConfigSpace(const Options& options)
    : options_(options),
      shown_bypass_(options.bypass == BypassControl::kConfig && options.boot_bypass) {}

void ConfigSpace::read(std::uint64_t offset, std::span<std::byte> to) const {
  std::array<std::byte, config::kBytes> bytes{};
  put(bytes, config::kPageSizeMask, options_.page_size_mask);
  put(bytes, config::kInputStart, options_.input_range.first.value());
  put(bytes, config::kInputEnd, options_.input_range.last.value());
  put(bytes, config::kDomainStart, options_.first_domain);
  put(bytes, config::kDomainEnd, options_.last_domain);
  put(bytes, config::kProbeSize, options_.probe_size);
  // Acquire: pairs with show_bypass.
  const bool bypass = shown_bypass_.load(std::memory_order_acquire);
  put(bytes, config::kBypass, static_cast<std::uint8_t>(config::kBypassOn.of(bypass ? 1 : 0)));
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = i < bytes.size() && offset < bytes.size() - i ? bytes[offset + i] : std::byte{0};
}

std::optional<bool> ConfigSpace::decode_write(std::uint64_t accepted_features, std::uint64_t offset,
                                              std::span<const std::byte> from) {
  // 5.13.4.1: a byte of its own, written as such, 0 or 1.
  if (!feature::kBypassConfig.is_set(accepted_features)) return std::nullopt;
  if (offset != config::kBypass || from.size() != 1) return std::nullopt;
  const auto value = get<std::uint8_t>(from, 0);
  if ((value & ~config::kBypassOn.kMask) != 0) return std::nullopt;
  return config::kBypassOn.is_set(value);
}

}  // namespace weir::virtio_iommu
