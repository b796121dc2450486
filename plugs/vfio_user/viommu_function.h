// SPDX-License-Identifier: Apache-2.0
//
// The PCI function of a virtio-iommu: the function around any virtio device, whose reset is that of
// the machine, because what an IOMMU keeps outlives a mere device reset (virtio 1.4, 5.13.4: bypass
// is restored on system reset).
//
// Thread rules: those of PciFunction.
#pragma once

#include <functional>
#include <utility>

#include "plugs/vfio_user/virtio_function.h"

namespace weir::vfio_user {

class ViommuFunction final : public VirtioFunction {
 public:
  ViommuFunction(std::function<void()> reset, std::function<bool()> reset_settled)
      : VirtioFunction({.class_code = 0x080600,  // IOMMU
                        .vectors = 3}),          // configuration, requests, events
        reset_(std::move(reset)),
        reset_settled_(std::move(reset_settled)) {}

  void reset() override {
    VirtioFunction::reset();
    reset_();
  }
  [[nodiscard]] bool reset_settled() override { return reset_settled_(); }

 private:
  const std::function<void()> reset_;
  const std::function<bool()> reset_settled_;
};

}  // namespace weir::vfio_user
