// SPDX-License-Identifier: Apache-2.0
//
// The device's features and its configuration space (virtio 1.4, 5.13.3 and 5.13.4). Of the
// configuration only `bypass` can be written, and only after BYPASS_CONFIG was negotiated; what it
// reads is what holds for every request that is still in flight, so it follows a write once what
// began before has ended (L1).
//
// Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vendors/virtio_iommu/options.h"

namespace weir::virtio_iommu {

[[nodiscard]] std::uint64_t features_of(const Options& options);

class ConfigSpace {
 public:
  explicit ConfigSpace(const Options& options);  // which must outlive it

  void read(std::uint64_t offset, std::span<std::byte> to) const;
  // What the driver asks `bypass` to become; nothing: the write does nothing.
  [[nodiscard]] static std::optional<bool> decode_write(std::uint64_t accepted_features,
                                                        std::uint64_t offset,
                                                        std::span<const std::byte> from);
  void show_bypass(bool on) {
    // Release: who reads it may take what it says as having taken hold.
    shown_bypass_.store(on, std::memory_order_release);
  }

 private:
  const Options& options_;
  std::atomic<bool> shown_bypass_;
};

}  // namespace weir::virtio_iommu
