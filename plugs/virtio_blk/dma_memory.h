// SPDX-License-Identifier: Apache-2.0
//
// The rings and buffers of a device behind an IOMMU: every address that the driver wrote is an
// IOVA, and every access goes through the function's DmaPort.
//
// Thread rules: those of the queue that uses it.
#pragma once

#include "iommu/dma_port.h"
#include "vendors/common/virtio/queue_memory.h"

namespace weir::virtio_blk {

// Virtqueues speak of guest addresses; with VIRTIO_F_ACCESS_PLATFORM (virtio 1.4, 6.1) what they
// hold is what the platform's IOMMU is asked for.
[[nodiscard]] constexpr Iova as_iova(Gpa at) { return Iova(at.value()); }

class DmaMemory final : public virtio::QueueMemory {
 public:
  explicit DmaMemory(DmaPort& dma) : dma_(dma) {}

  [[nodiscard]] bool read(Gpa at, std::span<std::byte> to) override {
    return dma_.read(as_iova(at), to).ok();
  }
  [[nodiscard]] bool write(Gpa at, std::span<const std::byte> from) override {
    return dma_.write(as_iova(at), from).ok();
  }

 private:
  DmaPort& dma_;
};

}  // namespace weir::virtio_blk
