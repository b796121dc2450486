// SPDX-License-Identifier: Apache-2.0
//
// Guest memory as the unit's queues see it: the device lies behind no IOMMU, so rings and buffers
// are guest-physical. Thread rules: those of UnitHost.
#pragma once

#include "iommu/unit.h"
#include "vendors/common/virtio/queue_memory.h"

namespace weir::virtio_iommu {

class GuestAccess final : public virtio::QueueMemory {
 public:
  explicit GuestAccess(UnitHost& host) : host_(host) {}

  [[nodiscard]] bool read(Gpa at, std::span<std::byte> to) override {
    return host_.read_memory(at, to).ok();
  }
  [[nodiscard]] bool write(Gpa at, std::span<const std::byte> from) override {
    return host_.write_memory(at, from).ok();
  }

 private:
  UnitHost& host_;
};

}  // namespace weir::virtio_iommu
