// SPDX-License-Identifier: Apache-2.0
//
// The block device as a PCI function for the vfio-user server: one MSI-X vector for the
// configuration and one for each queue.
//
// Thread rules: those of PciFunction.
#pragma once

#include <memory>

#include "plugs/vfio_user/virtio_function.h"
#include "plugs/virtio_blk/block_device.h"

namespace weir::virtio_blk {

class BlockFunction final : public vfio_user::VirtioFunction {
 public:
  BlockFunction(std::unique_ptr<Storage> storage, const virtio_blk::Options& options)
      : VirtioFunction({.class_code = kMassStorage,
                        .vectors = static_cast<std::uint16_t>(options.queues + 1)}),
        block_(std::move(storage), options),
        device_(block_, this) {
    serve(device_);
  }

  void start(vfio_user::FunctionHost& host) override {
    VirtioFunction::start(host);
    block_.start(host, device_);
  }
  void bus_master_changed(bool on) override {
    if (!on) block_.release_pins();
  }

  [[nodiscard]] const Counts& counts() const { return block_.counts(); }

 private:
  static constexpr std::uint32_t kMassStorage = 0x010000;

  BlockDevice block_;
  virtio::Device device_;
};

}  // namespace weir::virtio_blk
